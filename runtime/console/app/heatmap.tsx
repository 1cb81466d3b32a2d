// How often values fell into each bucket, over time: a column for each time, darker where there were more.

import { useEffect, useRef } from "preact/hooks";
import { colourOf } from "./chart";
import { theme } from "./theme";
import { clock, t } from "./words";

/** A bucket: its upper bound, and how many values were up to it at each time. */
export type UpTo = [bound: number, counts: (number | null)[]];

/** Draws buckets that each hold those below, as Prometheus counts them. */
export function Heatmap({ title, at, buckets, write }: { title: string; at: number[]; buckets: UpTo[]; write: (bound: number) => string }) {
  const place = useRef<HTMLCanvasElement>(null);
  const cells = apart(buckets);
  const [columns, rows] = [at.length, cells.length];

  useEffect(() => {
    const brush = place.current!.getContext("2d")!;
    const most = Math.max(...cells.flat());
    brush.clearRect(0, 0, columns, rows);
    brush.fillStyle = colourOf("blue");
    cells.forEach((row, y) =>
      row.forEach((n, x) => {
        if (n <= 0) return;
        brush.globalAlpha = 0.15 + (0.85 * n) / most;
        brush.fillRect(x, rows - 1 - y, 1, 1);
      }),
    );
  });
  void theme.value;

  const bounds = buckets.map(([bound]) => (Number.isFinite(bound) ? write(bound) : "∞"));
  const last = cells.map((row) => row.at(-1) ?? 0);
  const now = bounds[last.indexOf(Math.max(...last))]!;
  const [least, most] = [bounds[0]!, bounds.at(-1)!];
  return (
    <>
      <p class="ends dim" aria-hidden="true">{most}</p>
      <canvas ref={place} class="heat" width={columns} height={rows} role="img" aria-label={t("heatmapOf", { title, least, most, now })} />
      <p class="ends dim" aria-hidden="true">
        <span>{least}</span>
        <span>{clock(at[0]! * 1000)}</span>
        <span>{clock(at.at(-1)! * 1000)}</span>
      </p>
    </>
  );
}

/** Returns how many values were in each bucket alone. */
const apart = (buckets: UpTo[]): number[][] =>
  buckets.map(([, counts], n) => counts.map((count, i) => Math.max(0, (count ?? 0) - (buckets[n - 1]?.[1][i] ?? 0))));
