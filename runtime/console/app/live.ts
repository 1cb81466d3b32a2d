// What runs now: the gateway's stream of pictures and events, and the last ten minutes of it.

import { effect, signal } from "@preact/signals";
import { api, adminKey, Refusal } from "./api";
import { events } from "./stream";
import { answers, isFailure, merge, percentile } from "./rates";
import type { Counted, Decided, Instance, Picture } from "./types";

/** One second of a function, or of all. */
export interface Second {
  at: number;
  rate: number | null;
  failures: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  inFlight: number;
  waiting: number;
  ready: number;
  asked: number | null;
  wanted: number | null;
}

export interface Happened {
  at_unix_ms: number;
  function?: string;
  instance?: string;
  text: string;
}

export type Link = "connecting" | "open" | "lost" | "locked" | "refused";

/** All functions together. */
export const ALL = "";
const KEPT_SECONDS = 600;
/** The time that percentiles and rates look back on. */
const WINDOW = 10;
const SILENCE_MS = 10_000;

export const picture = signal<Picture | null>(null);
export const link = signal<Link>("connecting");
/** Why the gateway does not show what runs, in its words. */
export const refusal = signal("");
export const decisions = signal<Decided[]>([]);
/** Instances that came into or went out of service since the page was opened, the newest first. */
export const happened = signal<Happened[]>([]);

const past = new Map<string, Second[]>();
let pictures: Picture[] = [];

/** Returns the last seconds of a function, the oldest first. Read `picture` to follow it. */
export const history = (name: string): Second[] => past.get(name) ?? [];

/** Returns the CPU that an instance uses, in cores, over the last seconds. */
export function cores(instance: Instance): number | null {
  const now = instance.usage;
  for (const before of pictures) {
    const then = before.instances.find((other) => other.id === instance.id)?.usage;
    if (!now || !then || then.read_unix_ms >= now.read_unix_ms) continue;
    if (now.cpu_seconds === null || then.cpu_seconds === null || now.cpu_seconds < then.cpu_seconds) continue;
    return ((now.cpu_seconds - then.cpu_seconds) * 1000) / (now.read_unix_ms - then.read_unix_ms);
  }
  return null;
}

/** Returns the requests of the last minute, or so many as there would be at the rate since the page was opened. */
export function perMinute(name: string): number | null {
  const rates = history(name).slice(-60).flatMap(({ rate }) => (rate === null ? [] : [rate]));
  return rates.length ? (60 * rates.reduce((a, b) => a + b, 0)) / rates.length : null;
}

/** Follows the gateway for as long as the page is open. */
export function follow(): void {
  let going = new AbortController();
  effect(() => {
    void adminKey.value;
    going.abort();
    going = new AbortController();
    void keepFollowing(going.signal);
  });
}

async function keepFollowing(stop: AbortSignal): Promise<void> {
  for (let wait = 500; !stop.aborted; wait = Math.min(wait * 2, 10_000)) {
    try {
      await once(stop, () => (wait = 500));
      link.value = "lost";
    } catch (e) {
      if (stop.aborted) return;
      if (e instanceof Refusal && (e.status === 401 || e.status === 403)) {
        refusal.value = e.problem.detail;
        link.value = e.status === 401 ? "locked" : "refused";
        return;
      }
      link.value = "lost";
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function once(stop: AbortSignal, opened: () => void): Promise<void> {
  for await (const [name, value] of events("/api/live", stop, SILENCE_MS)) {
    if (link.value !== "open") void api("/api/decisions").then(async (r) => (decisions.value = await r.json()), () => undefined);
    take(name, value);
    link.value = "open";
    opened();
  }
}

function take(name: string, value: unknown): void {
  if (name === "live") see(value as Picture);
  if (name === "decision") decisions.value = [value as Decided, ...decisions.value].slice(0, 500);
  if (name === "instance") happened.value = [value as Happened, ...happened.value].slice(0, 100);
}

function see(now: Picture): void {
  const last = pictures.at(-1);
  // A gateway that began anew counts from nothing.
  if (last && sum(now) < sum(last)) pictures = [];
  pictures = [...pictures, now].slice(-(WINDOW + 1));
  for (const { name } of now.functions) note(name, now, last);
  note(ALL, now, last);
  picture.value = now;
}

const sum = (of: Picture): number => answers(merge(of.functions.map((f) => f.counted)));

function note(name: string, now: Picture, last: Picture | undefined): void {
  const chosen = (of: Picture) => of.functions.filter((f) => name === ALL || f.name === name);
  const counted = (of: Picture): Counted => merge(chosen(of).map((f) => f.counted));
  const [here, before, oldest] = [counted(now), last && counted(last), counted(pictures[0] ?? now)];
  const seconds = last ? (now.at_unix_ms - last.at_unix_ms) / 1000 : 0;
  const rate = (choose?: (status: string) => boolean) =>
    before && seconds > 0 ? Math.max(0, answers(here, choose) - answers(before, choose)) / seconds : null;
  const total = (get: (f: Picture["functions"][number]) => number | null) =>
    chosen(now).reduce((all, f) => all + (get(f) ?? 0), 0);
  const at = (q: number) => percentile(oldest.first_byte, here.first_byte, q);
  const second: Second = {
    at: now.at_unix_ms / 1000,
    rate: rate(),
    failures: rate(isFailure),
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    inFlight: total((f) => f.in_flight),
    waiting: total((f) => f.waiting),
    ready: total((f) => f.n_ready),
    asked: total((f) => f.count),
    wanted: total((f) => f.wanted),
  };
  const all = past.get(name) ?? [];
  all.push(second);
  if (all.length > KEPT_SECONDS) all.shift();
  past.set(name, all);
}
