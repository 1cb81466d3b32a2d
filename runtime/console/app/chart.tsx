// Charts of the last minutes, by uPlot, and sparklines.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { theme } from "./theme";
import { figure, language } from "./words";

export interface Line {
  label: string;
  /** The name of a colour in the style sheet. */
  colour: string;
  values: (number | null)[];
  dashed?: boolean;
  stepped?: boolean;
}

const HEIGHT = 190;
/** Seconds that are shown, even where there are fewer. */
const SHOWN_LEAST = 180;

interface Drawn {
  title: string;
  /** What else the title says. */
  about?: ComponentChildren;
  /** The language of title and labels, unless it is the person's. */
  lang?: string;
  /** Seconds since 1970. */
  at: number[];
  lines: Line[];
  digits?: number;
  /** How values are written. */
  write?: (value: number) => string;
  /** Whether lines lie one on the other, with the space below each filled. */
  stacked?: boolean;
  /** What the scale reaches at least. */
  top?: number;
}

/** Draws lines over time. Beside the title stand the newest values, as text. */
export function Chart({ title, about, lang, at, lines, digits, write = figure, stacked = false, top = digits === 0 ? 2 : 1 }: Drawn) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const values = lines.map((line) => line.values);
  const data = [at, ...(stacked ? piled(values) : values)] as uPlot.AlignedData;
  const newest = useRef(data);
  newest.current = data;
  const looks = `${stacked} ${top} ${lines.map(({ label, colour }) => `${label} ${colour}`)}`;

  useEffect(() => {
    const box = place.current!;
    const [text, grid] = [colourOf("dim"), colourOf("grid")];
    const axis: uPlot.Axis = {
      stroke: text,
      grid: { stroke: grid, width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const options: uPlot.Options = {
      width: Math.max(box.clientWidth, 120),
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: (_plot, min, max) => [Math.min(min, max - SHOWN_LEAST), max] }, y: { range: (_plot, min, max) => [Math.min(min ?? 0, 0), (Math.max(max ?? 0, top / 1.1) || 1) * 1.1] } },
      axes: [
        { ...axis, size: 26, space: 60, incrs: [60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600], values: (_plot, splits) => splits.map(timeOf) },
        { ...axis, size: write === figure ? 46 : 78, values: (_plot, splits) => splits.map((n) => write(n)), space: 34, ...(digits === 0 ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}) },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: colourOf(line.colour),
          width: stacked ? 1 : 2,
          points: { show: false },
          ...(stacked ? { fill: `${colourOf(line.colour)}99` } : {}),
          ...(line.dashed ? { dash: [5, 4] } : {}),
          ...(line.stepped ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
        })),
      ],
      bands: stacked ? lines.slice(1).map((_, n) => ({ series: [n + 2, n + 1] })) : [],
    };
    const made = new uPlot(options, newest.current, box);
    plot.current = made;
    const size = new ResizeObserver(() => made.setSize({ width: Math.max(box.clientWidth, 120), height: HEIGHT }));
    size.observe(box);
    return () => {
      size.disconnect();
      made.destroy();
    };
  }, [looks, theme.value, language.value]);

  useEffect(() => plot.current?.setData(data));

  return (
    <figure class="panel chart">
      <figcaption lang={lang}>
        <b>{title}</b>
        {about}
        {lines.map((line) => (
          <span class="entry" key={line.label}>
            <i class={`dot ${line.colour}`} aria-hidden="true" />
            {line.label} <b>{newestOf(line.values, write)}</b>
          </span>
        ))}
      </figcaption>
      <div ref={place} class="plot" aria-hidden="true" />
    </figure>
  );
}

/** Draws a small line without axes; `label` says in words what it shows. */
export function Spark({ values, label }: { values: (number | null)[]; label: string }) {
  const [width, height] = [240, 44];
  const known = values.map((value) => value ?? 0);
  const top = Math.max(...known, 1);
  const step = width / Math.max(known.length - 1, 59);
  const left = width - step * (known.length - 1);
  const points = known.map((value, n) => `${(left + n * step).toFixed(1)},${(height - 3 - (value / top) * (height - 8)).toFixed(1)}`);
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {points.length > 1 && <polygon points={`${left.toFixed(1)},${height} ${points.join(" ")} ${width},${height}`} />}
      {points.length > 1 && <polyline points={points.join(" ")} vector-effect="non-scaling-stroke" />}
    </svg>
  );
}

/** Returns lines of which each lies on those before it. */
function piled(values: (number | null)[][]): number[][] {
  const piled: number[][] = [];
  for (const line of values) piled.push(line.map((value, n) => (value ?? 0) + (piled.at(-1)?.[n] ?? 0)));
  return piled;
}

const newestOf = (values: (number | null)[], write: (value: number) => string): string => {
  const newest = values.at(-1);
  return newest === null || newest === undefined ? "–" : write(newest);
};
const timeOf = (s: number): string => new Date(s * 1000).toLocaleTimeString(language.value, { timeStyle: "short" });
/** Returns a colour of the style sheet, as it is now. */
export const colourOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
