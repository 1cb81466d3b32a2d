// Who runs where, what it uses of what it may use, what it writes; and how many should run.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, send, words } from "../api";
import { cores, picture } from "../live";
import { Badge, Empty, Meter, Notice, Title } from "../parts";
import { to } from "../route";
import type { Fn, Instance } from "../types";
import { figure, mebibytes, t, tOf } from "../words";

const LOG_LINES = 200;

export function Instances() {
  const now = picture.value;
  return (
    <>
      <Title text={t("instances")} />
      {!now && <Empty>{t("connecting")}</Empty>}
      {now?.functions.map((fn) => (
        <Herd key={fn.name} fn={fn} instances={now.instances.filter((instance) => instance.function === fn.name)} />
      ))}
    </>
  );
}

function Herd({ fn, instances }: { fn: Fn; instances: Instance[] }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <section class="panel herd" data-function={fn.name}>
      <header>
        <h2>
          <a href={to("functions", fn.name)}>{fn.name}</a>
        </h2>
        <span class="dim">{t("instancesOf", { ready: fn.n_ready, count: fn.count ?? instances.length })}</span>
        <Scale fn={fn} />
      </header>
      {fn.trouble && <Notice tone="bad">{fn.trouble}</Notice>}
      {instances.length === 0 ? (
        <Empty>{t("noInstances")}</Empty>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label={`${t("instances")}: ${fn.name}`}>
          <table>
            <thead>
              <tr>
                <th>{t("instances")}</th>
                <th>{t("state")}</th>
                <th>{t("version")}</th>
                <th>{t("node")}</th>
                <th>{t("cpu")}</th>
                <th>{t("memory")}</th>
                <th class="figure">{t("inFlightHead")}</th>
                <th class="figure">{t("restarts")}</th>
              </tr>
            </thead>
            <tbody>
              {instances.map((instance) => (
                <Row key={instance.id} instance={instance} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <button type="button" class="small" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)} aria-label={isOpen ? t("hideLogs") : t("showLogs", { name: fn.name })}>
        {isOpen ? t("hideLogs") : t("logs")}
      </button>
      {isOpen && <Logs name={fn.name} />}
    </section>
  );
}

function Row({ instance }: { instance: Instance }) {
  const { usage } = instance;
  const used = cores(instance);
  const of = (value: string, limit: string | null) => (limit ? t("of", { used: value, limit }) : value);
  const tone = instance.out ? "wait" : instance.state === "ready" ? "good" : instance.state === "failed" || instance.state === "unhealthy" ? "bad" : "wait";
  return (
    <tr>
      <th scope="row">
        {instance.function}/{instance.index} <small class="dim">{instance.address}</small>
      </th>
      <td>
        <Badge tone={tone}>{tOf("state", instance.state)}</Badge> <small class="dim">{instance.out ?? instance.reason}</small>
      </td>
      <td>{instance.meta["version"] ?? "–"}</td>
      <td>{instance.node ?? "–"}</td>
      <td>
        <Meter used={used} limit={usage?.cpu_limit_cores ?? null} text={of(figure(used), usage?.cpu_limit_cores ? figure(usage.cpu_limit_cores) : null)} />
      </td>
      <td>
        <Meter
          used={usage?.memory_bytes ?? null}
          limit={usage?.memory_limit_bytes ?? null}
          text={of(usage?.memory_bytes ? mebibytes(usage.memory_bytes) : "–", usage?.memory_limit_bytes ? mebibytes(usage.memory_limit_bytes) : null)}
        />
      </td>
      <td class="figure">{instance.in_flight}</td>
      <td class="figure">{instance.restarts}</td>
    </tr>
  );
}

/** Asks for another number of instances, inside what the job allows. */
function Scale({ fn }: { fn: Fn }) {
  const [wish, setWish] = useState<number | null>(null);
  const [said, setSaid] = useState<{ tone: "good" | "bad"; text: string } | null>(null);
  if (fn.min === null || fn.max === null || fn.count === null || fn.min === fn.max) return null;
  const count = wish ?? fn.count;
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await api(`/api/functions/${encodeURIComponent(fn.name)}/scale`, send({ count }));
      setSaid({ tone: "good", text: t("scaled", { name: fn.name, count }) });
      setWish(null);
    } catch (e) {
      setSaid({ tone: "bad", text: words(e) });
    }
  };
  return (
    <form class="scale" onSubmit={submit}>
      <label>
        <span class="hidden">{t("scaleTo", { name: fn.name })}</span>
        <span class="dim" aria-hidden="true">{fn.min}</span>
        <input type="range" min={fn.min} max={fn.max} value={count} onInput={(e) => setWish(e.currentTarget.valueAsNumber)} />
        <span class="dim" aria-hidden="true">{fn.max}</span>
      </label>
      <output>{count}</output>
      <button class={wish !== null && wish !== fn.count ? "go" : ""} disabled={wish === null || wish === fn.count}>
        {t("apply")}
      </button>
      {said && <span class={`said ${said.tone}`} role="status">{said.text}</span>}
    </form>
  );
}

interface LogLine {
  instance: string;
  index: number;
  stream: string;
  text: string;
}

function Logs({ name }: { name: string }) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState("");
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const stop = new AbortController();
    follow(name, stop.signal, (more) => setLines((before) => [...before, ...more].slice(-LOG_LINES))).catch(
      (e: unknown) => stop.signal.aborted || setError(words(e)),
    );
    return () => stop.abort();
  }, [name]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  if (error) return <Notice tone="bad">{error}</Notice>;
  return (
    <pre class="logs" ref={box} tabIndex={0} role="log" aria-label={`${t("logs")}: ${name}`}>
      {lines.length === 0 && t("noLogs")}
      {lines.map((line, n) => (
        <div key={n} class={line.stream}>
          <b>{name}/{line.index}</b> {line.text}
        </div>
      ))}
    </pre>
  );
}

async function follow(name: string, stop: AbortSignal, take: (lines: LogLine[]) => void): Promise<void> {
  const url = `/api/functions/${encodeURIComponent(name)}/logs?tail=${LOG_LINES / 2}&follow=true`;
  const response = await api(url, { signal: stop });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n");
    text = whole.pop() ?? "";
    take(whole.filter(Boolean).map((line) => JSON.parse(line)));
  }
}
