// A panel of a dashboard, with what Prometheus says of it.

import { useState } from "preact/hooks";
import { Chart, Spark } from "./chart";
import { Heatmap, type UpTo } from "./heatmap";
import { Empty } from "./parts";
import { writer } from "./units";
import { language, t } from "./words";

/** A panel, as `/api/dashboards` lists it. */
export interface Described {
  id: number;
  title: string;
  description: string;
  type: "timeseries" | "stat" | "gauge" | "heatmap";
  unit: string;
  is_stacked: boolean;
  max: number | null;
  /** Its place, of 24 columns. */
  grid: { x: number; y: number; w: number; h: number };
}

/** What there is to draw: points each `step` seconds. */
export interface Figures {
  from: number;
  to: number;
  step: number;
  series: { legend: string; points: [at: number, value: number | null][] }[];
  n_left_out: number;
}

/** A series with a value, or nothing, for each time of the panel. */
type Row = { legend: string; values: (number | null)[] };

const COLOURS = ["blue", "amber", "teal", "violet", "red", "grey"];

export function DashboardPanel({ panel, figures }: { panel: Described; figures: Figures | undefined }) {
  const write = writer(panel.unit);
  const at = figures ? Array.from({ length: (figures.to - figures.from) / figures.step + 1 }, (_, n) => figures.from + n * figures.step) : [];
  const rows = figures ? figures.series.map((one) => row(one, figures)) : [];
  const isEmpty = rows.every(({ values }) => values.every((value) => value === null));
  const about = <About title={panel.title} text={panel.description} />;
  const place = panel.grid.w > 12 ? "wide" : "";
  if (figures && !isEmpty && panel.type === "timeseries") {
    const lines = rows.map(({ legend, values }, n) => ({ label: legend, colour: COLOURS[n % COLOURS.length]!, values, dashed: n >= COLOURS.length }));
    return (
      <div class={place} data-panel={panel.id}>
        <Chart title={panel.title} about={about} lang="en" at={at} lines={lines} write={write} stacked={panel.is_stacked} top={panel.max ?? 0} />
        <LeftOut n={figures.n_left_out} />
      </div>
    );
  }
  return (
    <div class={place} data-panel={panel.id}>
      <figure class="panel chart">
        <figcaption lang="en">
          <b>{panel.title}</b>
          {about}
        </figcaption>
        {isEmpty ? (
          <Empty>{t(figures ? "noData" : "collecting")}</Empty>
        ) : panel.type === "heatmap" ? (
          <Heatmap title={panel.title} at={at} buckets={bucketsOf(rows)} write={write} />
        ) : (
          <Numbers rows={rows} write={write} />
        )}
      </figure>
      <LeftOut n={figures?.n_left_out ?? 0} />
    </div>
  );
}

/** Says what a panel is about, to who asks. */
function About({ title, text }: { title: string; text: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="about" lang={language.value} title={text} aria-expanded={isOpen} aria-label={t("about", { title })} onClick={() => setOpen(!isOpen)}>
        ?
      </button>
      {isOpen && <p>{text}</p>}
    </>
  );
}

/** The newest value of each series, with a small line of those before it. */
const Numbers = ({ rows, write }: { rows: Row[]; write: (value: number) => string }) => (
  <ul class="numbers">
    {rows.map(({ legend, values }) => (
      <li key={legend}>
        <strong>{write(values.findLast((value) => value !== null) ?? 0)}</strong>
        {legend}
        <Spark values={values.slice(values.findIndex((value) => value !== null))} label={legend} />
      </li>
    ))}
  </ul>
);

const LeftOut = ({ n }: { n: number }) => (n > 0 ? <p class="dim">{t("andMore", { n })}</p> : null);

function row({ legend, points }: Figures["series"][number], { from, to, step }: Figures): Row {
  const values: (number | null)[] = Array((to - from) / step + 1).fill(null);
  for (const [at, value] of points) values[Math.round((at - from) / step)] = value;
  return { legend, values };
}

const bucketsOf = (rows: Row[]): UpTo[] =>
  rows
    .map(({ legend, values }): UpTo => [legend === "+Inf" ? Infinity : Number(legend), values])
    .sort(([a], [b]) => a - b);
