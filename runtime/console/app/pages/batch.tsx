// A CSV file of rows: predicted in requests of many rows, and given back with predictions and errors.

import { useMemo, useRef, useState } from "preact/hooks";
import { predictAll, type Row } from "../batch";
import * as csv from "../csv";
import { download } from "../download";
import { urlOf } from "../known";
import { Notice, Panel } from "../parts";
import { request, type Shape } from "../schema";
import { figure, t } from "../words";

/** A file that was read: its head, its rows, and where the function's fields stand. */
interface Table {
  file: string;
  head: string[];
  rows: string[][];
}

/** Errors that are shown; all of them are in the file. */
const SHOWN_ERRORS = 10;
const REDRAW_MS = 100;

export function Batch({ name, shape }: { name: string; shape: Shape }) {
  const [table, setTable] = useState<Table | null>(null);
  const [error, setError] = useState("");
  const [over, setOver] = useState(false);
  const columns = shape.fields.map((field) => field.name).join(", ");
  const read = async (file: File | undefined) => {
    if (!file) return;
    const [head = [], ...rows] = csv.parse(await file.text());
    const names = head.map((column) => column.trim());
    const missing = shape.fields.filter((field) => field.required && !names.includes(field.name));
    setTable(null);
    if (missing.length) return setError(t("csvMissing", { columns: missing.map((field) => field.name).join(", ") }));
    if (!rows.length) return setError(t("csvEmpty"));
    setError("");
    setTable({ file: file.name, head: names, rows });
  };
  if (table) return <Run key={table.file} name={name} shape={shape} table={table} leave={() => setTable(null)} />;
  return (
    <>
      <label
        class={over ? "drop over" : "drop"}
        onDragOver={(e) => { e.preventDefault(); setOver(true); }}
        onDragLeave={() => setOver(false)}
        onDrop={(e) => { e.preventDefault(); setOver(false); void read(e.dataTransfer?.files[0]); }}
      >
        <input type="file" accept=".csv,text/csv" class="hidden" onChange={(e) => read(e.currentTarget.files?.[0])} />
        <b>{t("dropCsv")}</b>
        <span>{t("csvHint", { columns })}</span>
      </label>
      {error && <Notice tone="bad">{error}</Notice>}
    </>
  );
}

function Run({ name, shape, table, leave }: { name: string; shape: Shape; table: Table; leave: () => void }) {
  const inputs = useMemo(() => table.rows.map((row) => {
    const cells = Object.fromEntries(table.head.map((column, n) => [column, row[n] ?? ""]));
    return request(shape.fields, cells);
  }), [table]);
  const results = useRef<Row[]>([]);
  const stop = useRef(new AbortController());
  const [phase, setPhase] = useState<"ready" | "going" | "over">("ready");
  const [counts, setCounts] = useState({ good: 0, bad: 0, seconds: 0 });

  const start = async () => {
    setPhase("going");
    results.current = [];
    stop.current = new AbortController();
    const [began, n] = [performance.now(), { good: 0, bad: 0 }];
    let drawn = 0;
    const draw = () => setCounts({ ...n, seconds: (performance.now() - began) / 1000 });
    await predictAll(urlOf(name), inputs, shape.maxRows, stop.current.signal, (index, row) => {
      results.current[index] = row;
      n[row.error ? "bad" : "good"] += 1;
      if (performance.now() - drawn > REDRAW_MS) {
        drawn = performance.now();
        draw();
      }
    });
    draw();
    setPhase("over");
  };
  const n = counts.good + counts.bad;
  const wrong = results.current.flatMap((row, index) => (row?.error ? [{ index, error: row.error }] : [])).slice(0, SHOWN_ERRORS);
  return (
    <Panel title={table.file} extra={<span class="dim">{t("rows", { n: figure(table.rows.length) })}</span>} class="batch">
      <div class="actions">
        {phase === "going" ? (
          <button type="button" onClick={() => stop.current.abort()}>{t("stop")}</button>
        ) : (
          <button type="button" class={phase === "over" ? "" : "go"} onClick={start}>{t("start")}</button>
        )}
        {phase === "over" && (
          <button type="button" class="go" onClick={() => save(table, results.current)}>{t("download")}</button>
        )}
        {phase !== "going" && <button type="button" onClick={leave}>{t("anotherFile")}</button>}
      </div>
      <progress max={table.rows.length} value={n} aria-label={t("done", { done: n, all: table.rows.length })} />
      <p class="meta" role="status">
        <span>{t("done", { done: figure(n), all: figure(table.rows.length) })}</span>
        <span class="good">{t("good", { n: figure(counts.good) })}</span>
        <span class={counts.bad ? "bad" : ""}>{t("bad", { n: figure(counts.bad) })}</span>
        {phase === "over" && <span>{t("took", { s: figure(counts.seconds), rate: figure(Math.round(n / Math.max(counts.seconds, 0.001))) })}</span>}
      </p>
      {wrong.length > 0 && (
        <>
          <h3>{t("rowErrors")}</h3>
          <ul class="errors">
            {wrong.map(({ index, error }) => (
              <li key={index}>
                <b>{t("row")} {index + 2}</b> {error}
              </li>
            ))}
          </ul>
        </>
      )}
    </Panel>
  );
}

/** Gives the person the file with what was predicted. */
function save(table: Table, results: Row[]): void {
  const rows = table.rows.map((row, index) => {
    const { answer, error } = results[index] ?? {};
    return [...table.head.map((_, n) => row[n] ?? ""), answer?.prediction, answer?.confidence, error];
  });
  const text = csv.write([[...table.head, "prediction", "confidence", "error"], ...rows]);
  download(new Blob([text], { type: "text/csv" }), table.file.replace(/(\.csv)?$/i, "-predictions.csv"));
}
