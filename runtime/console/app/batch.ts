// Predicts many rows, in requests of some rows each, a few at once. A row with errors does not stop the others.

import { ask, Refusal, send, words } from "./api";

export interface Row {
  answer?: { prediction: unknown; confidence?: number; [name: string]: unknown };
  error?: string;
}

const ROWS_PER_REQUEST = 250;
const AT_ONCE = 4;
const ATTEMPTS = 6;
const LONGEST_WAIT_S = 10;

/** Predicts all `inputs`; tells of each that is done. Ends early when `stop` says so. */
export async function predictAll(
  url: string,
  inputs: unknown[],
  maxRows: number,
  stop: AbortSignal,
  done: (index: number, row: Row) => void,
): Promise<void> {
  const size = Math.min(ROWS_PER_REQUEST, maxRows);
  let next = 0;
  const worker = async () => {
    while (next < inputs.length && !stop.aborted) {
      const indices = Array.from({ length: Math.min(size, inputs.length - next) }, (_, n) => next + n);
      next += indices.length;
      await predict(url, inputs, indices, stop, done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function predict(
  url: string,
  inputs: unknown[],
  indices: number[],
  stop: AbortSignal,
  done: (index: number, row: Row) => void,
): Promise<void> {
  let left = indices;
  for (let attempt = 1; left.length > 0 && !stop.aborted; ) {
    try {
      const response = await ask(url, { ...send(left.map((index) => inputs[index])), signal: stop });
      const answers: Row["answer"][] = await response.json();
      left.forEach((index, n) => done(index, { answer: answers[n] }));
      return;
    } catch (e) {
      if (stop.aborted) return;
      const wrong = e instanceof Refusal ? errorsByRow(e) : new Map<number, string>();
      if (wrong.size > 0) {
        wrong.forEach((error, n) => done(left[n]!, { error }));
        left = left.filter((_, n) => !wrong.has(n));
        continue;
      }
      const again = !(e instanceof Refusal) || [429, 502, 503, 504].includes(e.status);
      if (!again || attempt++ >= ATTEMPTS) {
        left.forEach((index) => done(index, { error: words(e) }));
        return;
      }
      const wait = e instanceof Refusal ? e.retryAfter : 1;
      await new Promise((over) => setTimeout(over, 1000 * Math.min(wait * attempt, LONGEST_WAIT_S)));
    }
  }
}

/** Returns what is wrong with which row of a request: `/3/length` is a field of its fourth. */
function errorsByRow(refusal: Refusal): Map<number, string> {
  const all = new Map<number, string>();
  for (const { pointer, detail } of refusal.problem.errors ?? []) {
    const [, row, ...field] = pointer.split("/");
    if (row === undefined || !/^\d+$/.test(row)) return new Map();
    const text = `${field.join("/")} ${detail}`.trim();
    const before = all.get(Number(row));
    all.set(Number(row), before ? `${before}; ${text}` : text);
  }
  return all;
}
