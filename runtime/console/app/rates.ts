// Rates and percentiles from counts since the start: pure, two pictures in and a figure out.

import type { Bucket, Counted } from "./types";

/** Returns how many answers were counted, of those that `choose` takes. */
export function answers(counted: Counted, choose: (status: string) => boolean = () => true): number {
  return Object.entries(counted.answers).reduce((sum, [status, n]) => (choose(status) ? sum + n : sum), 0);
}

/** Whether it was the service that failed, not the request. */
export const isFailure = (status: string): boolean => status >= "500";

/** Adds counts of several functions. */
export function merge(all: Counted[]): Counted {
  const sum: Counted = { answers: {}, kinds: {}, first_byte: [], cold: {} };
  const buckets = new Map<number | null, number>();
  for (const counted of all) {
    for (const [status, n] of Object.entries(counted.answers)) sum.answers[status] = (sum.answers[status] ?? 0) + n;
    for (const [kind, n] of Object.entries(counted.kinds)) sum.kinds[kind] = (sum.kinds[kind] ?? 0) + n;
    for (const [phase, [n, seconds]] of Object.entries(counted.cold)) {
      const before = sum.cold[phase] ?? [0, 0];
      sum.cold[phase] = [before[0] + n, before[1] + seconds];
    }
  }
  // Bounds that a function has not reached are left out of its picture: it has as many there as at its last one below.
  const bounds = new Set(all.flatMap((counted) => counted.first_byte.map(([bound]) => bound)));
  for (const bound of bounds) buckets.set(bound, all.reduce((n, counted) => n + within(counted.first_byte, bound), 0));
  sum.first_byte = [...buckets].sort(([a], [b]) => (a ?? Infinity) - (b ?? Infinity));
  return sum;
}

/** Returns how many answers came within `bound` seconds; null is no bound. */
function within(buckets: Bucket[], bound: number | null): number {
  let n = 0;
  for (const [upper, count] of buckets) if ((upper ?? Infinity) <= (bound ?? Infinity)) n = Math.max(n, count);
  return n;
}

/** Returns the time within which the share `q` of the answers between two counts came, in milliseconds. */
export function percentile(before: Bucket[], after: Bucket[], q: number): number | null {
  const grown = after.map(([bound, n]) => [bound ?? Infinity, n - within(before, bound)] as const);
  const total = grown.at(-1)?.[1] ?? 0;
  if (total <= 0) return null;
  let [low, below] = [0, 0];
  for (const [bound, n] of grown) {
    if (n >= q * total && n > below) {
      const top = bound === Infinity ? low : bound;
      return 1000 * (low + ((top - low) * (q * total - below)) / (n - below));
    }
    [low, below] = [bound, n];
  }
  return null;
}
