// What the gateway says, as `/api/live` and its neighbours write it.

export interface Picture {
  at_unix_ms: number;
  version: string;
  catalog_lost: string | null;
  scheduler_lost: string | null;
  functions: Fn[];
  instances: Instance[];
}

export interface Size {
  cpu_cores: number;
  memory_mib: number;
  memory_max_mib: number | null;
}

export interface Fn {
  name: string;
  engine: string | null;
  size: Size | null;
  count: number | null;
  held_s: number | null;
  wanted: number | null;
  why: string | null;
  min: number | null;
  max: number | null;
  scales: boolean;
  n_ready: number;
  n_instances: number;
  in_flight: number;
  waiting: number;
  requests_total: number;
  feedback: string | null;
  trouble: string | null;
  counted: Counted;
}

/** Counts since the gateway's start. */
export interface Counted {
  answers: Record<string, number>;
  kinds: Record<string, number>;
  first_byte: Bucket[];
  cold: Record<string, [n: number, seconds: number]>;
}

/** Answers within a bound, in seconds; without a bound, all. */
export type Bucket = [bound: number | null, n: number];

export interface Instance {
  id: string;
  function: string;
  index: number;
  address: string | null;
  state: string;
  reason: string | null;
  restarts: number;
  node: string | null;
  meta: Record<string, string>;
  in_flight: number;
  out: string | null;
  usage: Usage | null;
}

export interface Usage {
  cpu_seconds: number | null;
  read_unix_ms: number;
  cpu_limit_cores: number | null;
  memory_bytes: number | null;
  memory_limit_bytes: number | null;
}

export interface Decided {
  at_unix_ms: number;
  function: string;
  from: number;
  to: number;
  why: string;
}

/** RFC 9457, with what Drover adds. */
export interface Problem {
  status: number;
  kind: string;
  title: string;
  detail: string;
  request_id?: string;
  errors?: { pointer: string; detail: string }[];
}
