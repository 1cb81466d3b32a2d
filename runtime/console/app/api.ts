// Requests to the gateway, with the keys that it asks for. Keys are kept for as long as the tab is open.

import { effect, signal } from "@preact/signals";
import type { Problem } from "./types";

export const adminKey = kept("drover-admin-key");
/** The key of functions, where the gateway asks for one. */
export const functionKey = kept("drover-function-key");

/** An answer other than success. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly retryAfter: number,
  ) {
    super(problem.detail);
  }
}

/** Calls what the console and `drover` use. */
export const api = (path: string, init: RequestInit = {}): Promise<Response> => call(path, adminKey.value, init);

/** Calls a function, or what its users call. */
export const ask = (path: string, init: RequestInit = {}): Promise<Response> => call(path, functionKey.value, init);

/** Makes a request of `value` as JSON. */
export const send = (value: unknown, method = "POST"): RequestInit => ({
  method,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(value),
});

/** Says in words what went wrong. */
export const words = (e: unknown): string => (e instanceof Error ? e.message : String(e));

async function call(path: string, key: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key) headers.set("authorization", `Bearer ${key}`);
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  const text = await response.text();
  throw new Refusal(response.status, problem(response, text), Number(response.headers.get("retry-after") ?? 1));
}

function problem(response: Response, text: string): Problem {
  try {
    const read = JSON.parse(text);
    if (typeof read.detail === "string") return read;
  } catch {
    // Something between here and the gateway answered.
  }
  const detail = text.slice(0, 300) || response.statusText;
  return { status: response.status, kind: "unknown", title: response.statusText, detail };
}

function kept(name: string) {
  const key = signal(sessionStorage.getItem(name) ?? "");
  effect(() => sessionStorage.setItem(name, key.value));
  return key;
}
