// Load tests: a preset is started on a function, watched, and ended; the load comes from loadgen, a program of its own.

import { useEffect, useState } from "preact/hooks";
import { api, Refusal, send, words } from "../api";
import { Chart, type Line } from "../chart";
import { download } from "../download";
import { picture } from "../live";
import { Badge, Copy, Empty, Notice, Panel, Title } from "../parts";
import { to } from "../route";
import { events } from "../stream";
import { figure, ms, t, tOf } from "../words";

const PRESETS = ["quick", "medium", "load", "stress"];
/** What the times of a preset may be multiplied by; what is more than its end is for loadgen itself. */
const SCALES = ["0.02", "0.1", "0.5", "1"];
/** loadgen says each 15 s that it is there. */
const SILENCE_MS = 25_000;
const AGAIN_MS = 2000;
/** Charts show so many seconds. */
const SHOWN = 600;

/** What is used here of a report of loadgen, as `loadgen schema` describes it. */
interface Report {
  began: string;
  state: "ready" | "ramping" | "holding" | "stopping" | "finished" | "stopped";
  target: string;
  remaining_s: number | null;
  invalid: string[];
  total: { requests: number; failures: number; rps: number; latency: Record<"p50_ms" | "p95_ms" | "p99_ms", number> };
  failures: { kind: string; detail: string; count: number }[];
  history: Point[];
}

interface Point {
  unix_s: number;
  users: number;
  rps: number;
  failures_per_s: number;
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
}

interface Seen {
  report: Report;
  outcome: string;
  is_bad: boolean;
  /** Whether the history goes on from what was sent before. */
  more: boolean;
}

/** Follows the load generator while the page is open: the run, or why there is none to be seen. */
function useRun(): [run: Seen | null, away: Refusal | null] {
  const [run, setRun] = useState<Seen | null>(null);
  const [away, setAway] = useState<Refusal | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    let history: Point[] = [];
    void (async () => {
      while (!stop.signal.aborted) {
        try {
          for await (const [, value] of events("/api/load/events", stop.signal, SILENCE_MS)) {
            const event = value as Seen;
            history = [...(event.more ? history : []), ...event.report.history].slice(-SHOWN);
            setRun({ ...event, report: { ...event.report, history } });
            setAway(null);
          }
        } catch (e) {
          if (e instanceof Refusal) setAway(e);
        }
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    })();
    return () => stop.abort();
  }, []);
  return [run, away];
}

export function LoadTests() {
  const [run, away] = useRun();
  const names = picture.value?.functions.map((fn) => fn.name) ?? [];
  const [chosen, setChosen] = useState("");
  const name = chosen || names[0] || "NAME";
  return (
    <>
      <Title text={t("loadTests")}>
        <select aria-label={t("function")} value={name} onChange={(e) => setChosen(e.currentTarget.value)}>
          {names.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </Title>
      <p class="lead">{t("loadIntro")}</p>
      {away && <Notice tone={away.status === 503 ? "wait" : "bad"}>{away.message}</Notice>}
      {away?.status === 404 ? <Commands name={name} /> : <Start name={name} run={away ? null : run} />}
      {run && run.report.target && <Watch run={run} />}
    </>
  );
}

const goesOn = (report: Report): boolean => ["ramping", "holding", "stopping"].includes(report.state);

function Start({ name, run }: { name: string; run: Seen | null }) {
  const [preset, setPreset] = useState(PRESETS[0]!);
  const [scale, setScale] = useState("0.1");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const tell = async (path: string, wish: unknown) => {
    setBusy(true);
    try {
      await api(path, send(wish));
      setWrong("");
    } catch (e) {
      setWrong(words(e));
    }
    setBusy(false);
  };
  const start = (event: Event) => {
    event.preventDefault();
    void tell("/api/load/preset", { function: name, preset, scale_time: Number(scale) });
  };
  const running = run !== null && goesOn(run.report);
  return (
    <form class="panel" onSubmit={start}>
      <fieldset class="presets" disabled={running}>
        <legend>{t("preset")}</legend>
        {PRESETS.map((one) => (
          <label key={one}>
            <input type="radio" name="preset" value={one} checked={preset === one} onChange={() => setPreset(one)} />
            <b>{one}</b> <span class="dim">{tOf("preset", one)}</span>
          </label>
        ))}
      </fieldset>
      <div class="watch">
        <label>
          <span>{t("scaleTime")}</span>
          <select name="scale" value={scale} disabled={running} onChange={(e) => setScale(e.currentTarget.value)}>
            {SCALES.map((one) => (
              <option key={one} value={one}>
                {one === "1" ? t("unscaled") : `× ${figure(Number(one))}`}
              </option>
            ))}
          </select>
        </label>
        <div class="actions">
          <button class="go" disabled={!run || running || busy}>
            {t("startLoad", { name })}
          </button>
          <button type="button" disabled={!running || busy || run.report.state === "stopping"} onClick={() => tell("/api/load/control", { do: "stop" })}>
            {t("stop")}
          </button>
        </div>
      </div>
      {wrong && <Notice tone="bad">{wrong}</Notice>}
    </form>
  );
}

function Watch({ run }: { run: Seen }) {
  const { report } = run;
  const { total, history } = report;
  const at = history.map((point) => point.unix_s);
  const line = (label: string, colour: string, get: (point: Point) => number): Line => ({ label, colour, values: history.map(get) });
  const save = async () => {
    const file = await api("/api/load/report.html");
    download(await file.blob(), `load-${report.target}.html`);
  };
  return (
    <>
      <Panel title={report.target} class="run" extra={<Badge tone={goesOn(report) ? "wait" : run.is_bad ? "bad" : "good"}>{tOf("load", report.state)}</Badge>}>
        <dl class="facts" aria-live="off">
          {facts(report).map(([key, value]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        {!goesOn(report) && (
          <p class="outcome" role="status" lang="en">
            {run.outcome}
          </p>
        )}
        {report.invalid.map((why) => (
          <Notice tone="bad" key={why}>
            {why}
          </Notice>
        ))}
        <ul class="log">
          {report.failures.slice(0, 8).map((failure) => (
            <li key={`${failure.kind}${failure.detail}`}>
              <b>{figure(failure.count)}</b> {failure.kind} <span lang="en">{failure.detail}</span>
            </li>
          ))}
        </ul>
        <div class="actions">
          <button type="button" disabled={total.requests === 0} onClick={save}>
            {t("loadReport")}
          </button>
          <a href={to("live", report.target)}>{t("seenHere")}</a>
        </div>
      </Panel>
      {history.length === 0 ? (
        <Empty>{t("collecting")}</Empty>
      ) : (
        <div class="charts">
          <Chart title={t("requestRate")} at={at} lines={[line(t("requests"), "blue", (p) => p.rps), line(t("failuresRate"), "red", (p) => p.failures_per_s)]} />
          <Chart title={t("latency")} at={at} lines={[line("p50", "teal", (p) => p.p50_ms), line("p95", "amber", (p) => p.p95_ms), line("p99", "red", (p) => p.p99_ms)]} />
          <Chart title={t("loadUsers")} at={at} digits={0} lines={[line(t("loadUsers"), "violet", (p) => p.users)]} />
        </div>
      )}
    </>
  );
}

function facts({ total, history, remaining_s: left }: Report): [string, string][] {
  const { p50_ms: p50, p95_ms: p95, p99_ms: p99 } = total.latency;
  return [
    [t("loadUsers"), figure(history.at(-1)?.users ?? 0)],
    [t("loadRequests"), figure(total.requests)],
    [t("loadRate"), figure(total.rps)],
    ["p50", ms(p50)],
    ["p95", ms(p95)],
    ["p99", ms(p99)],
    [t("loadFailures"), figure(total.failures)],
    [t("remaining"), left === null ? "–" : `${figure(Math.ceil(left))} s`],
  ];
}

/** What to type where this gateway knows no load generator. */
function Commands({ name }: { name: string }) {
  return (
    <Panel>
      <ul class="presets">
        {PRESETS.map((preset) => {
          const command = `loadgen --preset ${preset} --web --gateway ${location.origin} ${name}`;
          return (
            <li key={preset}>
              <h2>{preset}</h2>
              <p class="dim">{tOf("preset", preset)}</p>
              <div class="command">
                <code>{command}</code>
                <Copy text={command} label={preset} />
              </div>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
