// What users said of the answers: filtered, counted, exported, deleted.

import { useEffect, useState } from "preact/hooks";
import { api, Refusal, words } from "../api";
import { download } from "../download";
import { picture } from "../live";
import { Badge, Empty, Notice, Panel, Title } from "../parts";
import { clock, figure, percent, t } from "../words";
import { Report } from "./summary";

interface Entry {
  request_id: string;
  function: string;
  version: string;
  at: string;
  verdict: "up" | "down";
  expected: string | null;
  comment: string | null;
  prediction: string | null;
  confidence: number | null;
  input: unknown;
  answer: unknown;
}

type Filter = Record<"function" | "version" | "verdict" | "class" | "expected" | "since" | "until" | "text", string>;

const NOTHING: Filter = { function: "", version: "", verdict: "", class: "", expected: "", since: "", until: "", text: "" };
const PAGE = 50;

export function Feedback({ name }: { name: string | undefined }) {
  const [filter, setFilter] = useState<Filter>({ ...NOTHING, function: name ?? "" });
  const [page, setPage] = useState<{ entries: Entry[]; next: string | null } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const query = queryOf(filter);

  useEffect(() => {
    const stop = new AbortController();
    // A person types: what is typed next makes this of no use.
    const timer = setTimeout(() => {
      load(query, stop.signal).then(
        (first) => {
          setPage(first);
          setError(null);
        },
        (e: unknown) => stop.signal.aborted || setError(e),
      );
    }, 250);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [query]);

  const more = async () => {
    try {
      const next = await load(`${query}&before=${encodeURIComponent(page?.next ?? "")}`);
      setPage({ entries: [...(page?.entries ?? []), ...next.entries], next: next.next });
    } catch (e) {
      setError(e);
    }
  };
  const remove = async (entry: Entry) => {
    if (!confirm(t("deleteSure"))) return;
    try {
      await api(`/api/feedback/${encodeURIComponent(entry.request_id)}`, { method: "DELETE", headers: { "content-type": "application/json" } });
      setPage((now) => now && { ...now, entries: now.entries.filter((one) => one.request_id !== entry.request_id) });
    } catch (e) {
      setError(e);
    }
  };
  const save = async (format: "csv" | "jsonl") => {
    try {
      const response = await api(`/api/feedback/export?format=${format}&${query}`);
      download(await response.blob(), `feedback.${format}`);
    } catch (e) {
      setError(e);
    }
  };
  const isAway = error instanceof Refusal && (error.status >= 500 || error.problem.kind === "unknown_route");
  return (
    <>
      <Title text={t("feedback")}>
        {!isAway && (
          <div class="links">
            <button type="button" class="small" onClick={() => save("csv")}>{t("exportCsv")}</button>
            <button type="button" class="small" onClick={() => save("jsonl")}>{t("exportJsonl")}</button>
          </div>
        )}
      </Title>
      {isAway ? <Away why={words(error)} /> : error !== null && <Notice tone="bad">{words(error)}</Notice>}
      {!isAway && (
        <>
          <Filters filter={filter} change={setFilter} />
          {filter.function && <Report name={filter.function} since={filter.since} until={filter.until} />}
          <Panel>
            {page && page.entries.length === 0 && <Empty>{t("noFeedback")}</Empty>}
            {page && page.entries.length > 0 && <List entries={page.entries} remove={remove} />}
            {page?.next && <button type="button" onClick={more}>{t("more")}</button>}
          </Panel>
          <p class="dim">{t("exportHint")}</p>
        </>
      )}
    </>
  );
}

/** Says how feedback is turned on. */
function Away({ why }: { why: string }) {
  const [before, between, after] = t("feedbackHow", { command: "\n", meta: "\n" }).split("\n");
  return (
    <Notice tone="wait">
      <p>{t("feedbackAway")}</p>
      <p>
        {before}
        <code>drover feedback</code>
        {between}
        <code>feedback = "verdicts"</code>
        {after}
      </p>
      <p class="dim" lang="en">{why}</p>
    </Notice>
  );
}

function Filters({ filter, change }: { filter: Filter; change: (filter: Filter) => void }) {
  const names = picture.value?.functions.map((fn) => fn.name) ?? [];
  const set = (name: keyof Filter) => (event: { currentTarget: { value: string } }) => change({ ...filter, [name]: event.currentTarget.value });
  const input = (name: keyof Filter, label: string, isDay = false) => (
    <label>
      <span>{label}</span>
      {isDay ? (
        <input name={name} type="date" value={filter[name]} onInput={set(name)} />
      ) : (
        <input name={name} value={filter[name]} onInput={set(name)} />
      )}
    </label>
  );
  return (
    <form class="panel filters" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span>{t("function")}</span>
        <select name="function" value={filter.function} onChange={set("function")}>
          <option value="">{t("any")}</option>
          {names.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </label>
      <label>
        <span>{t("verdict")}</span>
        <select name="verdict" value={filter.verdict} onChange={set("verdict")}>
          <option value="">{t("any")}</option>
          <option value="up">{t("up")}</option>
          <option value="down">{t("down")}</option>
        </select>
      </label>
      {input("version", t("version"))}
      {input("class", t("predicted"))}
      {input("expected", t("expected"))}
      {input("since", t("since"), true)}
      {input("until", t("until"), true)}
      {input("text", t("text"))}
    </form>
  );
}

function List({ entries, remove }: { entries: Entry[]; remove: (entry: Entry) => void }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("feedback")}>
      <table class="entries">
        <thead>
          <tr>
            <th>{t("when")}</th>
            <th>{t("function")}</th>
            <th>{t("verdict")}</th>
            <th>{t("prediction")}</th>
            <th>{t("expected")}</th>
            <th>{t("input")}</th>
            <th>
              <span class="hidden">{t("delete")}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.request_id} data-request={entry.request_id}>
              <td class="when">{clock(Date.parse(entry.at))}</td>
              <td>
                {entry.function} <small class="dim">{entry.version}</small>
              </td>
              <td>
                <Badge tone={entry.verdict === "up" ? "good" : "bad"}>{t(entry.verdict)}</Badge>
              </td>
              <td>
                {entry.prediction ?? "–"} <small class="dim">{entry.confidence !== null && percent(entry.confidence)}</small>
              </td>
              <td>{entry.expected ?? "–"}</td>
              <td class="wide">
                <Input value={entry.input} />
                {entry.comment && <p class="comment">“{entry.comment}”</p>}
              </td>
              <td>
                <button type="button" class="small" onClick={() => remove(entry)} aria-label={t("deleteOf", { id: entry.request_id })}>
                  {t("delete")}
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Input({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span class="dim">{t("notStored")}</span>;
  if (typeof value !== "object") return <>{String(value)}</>;
  const fields = Object.entries(value);
  if (fields.length === 1) return <>{String(fields[0]![1])}</>;
  return (
    <span class="values">
      {fields.map(([name, one]) => (
        <span key={name}>
          <small class="dim">{name}</small> {typeof one === "number" ? figure(one) : String(one)}
        </span>
      ))}
    </span>
  );
}

/** Returns the filter as a query. Days are the person's own, from midnight to midnight. */
function queryOf(filter: Filter): string {
  const midnight = (day: string, plus: number) => {
    const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
    return new Date(year, month - 1, date + plus).toISOString();
  };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (!value.trim()) continue;
    query.set(name, name === "since" ? midnight(value, 0) : name === "until" ? midnight(value, 1) : value.trim());
  }
  return query.toString();
}

async function load(query: string, signal?: AbortSignal): Promise<{ entries: Entry[]; next: string | null }> {
  const response = await api(`/api/feedback?limit=${PAGE}&${query}`, signal ? { signal } : {});
  const { feedback, next } = await response.json();
  return { entries: feedback, next };
}
