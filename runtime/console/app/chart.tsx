// Charts of the last minutes, by uPlot, and sparklines.

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

/** Draws lines over time; `at` is in seconds since 1970. Beside the title stand the newest values, as text. */
export function Chart({ title, at, lines, digits }: { title: string; at: number[]; lines: Line[]; digits?: number }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = [at, ...lines.map((line) => line.values)] as uPlot.AlignedData;
  const newest = useRef(data);
  newest.current = data;
  const looks = lines.map(({ label, colour }) => `${label} ${colour}`).join();

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
      scales: { x: { range: (_plot, min, max) => [Math.min(min, max - SHOWN_LEAST), max] }, y: { range: (_plot, _min, max) => [0, Math.max(max * 1.1, digits === 0 ? 2 : 1)] } },
      axes: [
        { ...axis, size: 26, space: 60, incrs: [60, 120, 300], values: (_plot, splits) => splits.map(timeOf) },
        { ...axis, size: 46, values: (_plot, splits) => splits.map((n) => figure(n)), space: 34, ...(digits === 0 ? { incrs: [1, 2, 5, 10, 20, 50, 100] } : {}) },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: colourOf(line.colour),
          width: 2,
          points: { show: false },
          ...(line.dashed ? { dash: [5, 4] } : {}),
          ...(line.stepped ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
        })),
      ],
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
      <figcaption>
        <b>{title}</b>
        {lines.map((line) => (
          <span class="entry" key={line.label}>
            <i class={`dot ${line.colour}`} aria-hidden="true" />
            {line.label} <b>{figure(line.values.at(-1))}</b>
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

const timeOf = (s: number): string => new Date(s * 1000).toLocaleTimeString(language.value, { timeStyle: "short" });
const colourOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
