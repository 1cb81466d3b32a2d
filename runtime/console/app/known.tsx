// What a function takes, as it says itself; or why that cannot be known.

import { useEffect, useState } from "preact/hooks";
import { ask, functionKey, Refusal, words } from "./api";
import { Empty, KeyForm, Notice } from "./parts";
import { type Shape, shape } from "./schema";
import { t } from "./words";

/** Where the function answers. */
export const urlOf = (name: string): string => `/functions/${encodeURIComponent(name)}/predict`;

/** Reads what the function takes; a function that sleeps wakes for it. */
export function useShape(name: string): { shape: Shape | null; error: unknown } {
  const [state, setState] = useState<{ shape: Shape | null; error: unknown }>({ shape: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    setState({ shape: null, error: null });
    ask(`/functions/${encodeURIComponent(name)}/openapi.json`, { signal: stop.signal })
      .then(async (response) => setState({ shape: shape(await response.json()), error: null }))
      .catch((error: unknown) => stop.signal.aborted || setState({ shape: null, error }));
    return () => stop.abort();
  }, [name, functionKey.value]);
  return state;
}

/** Says why there is no form. */
export function NoShape({ name, error }: { name: string; error: unknown }) {
  if (!error) return <Empty>{t("loadingSchema")}</Empty>;
  if (error instanceof Refusal && error.status === 401) {
    return (
      <Notice tone={functionKey.value ? "bad" : "wait"}>
        <p>{functionKey.value ? error.message : t("functionLocked")}</p>
        <KeyForm kind="function" />
      </Notice>
    );
  }
  const unknown = error instanceof Refusal && error.problem.kind === "unknown_function";
  return <Notice tone="bad">{unknown ? t("unknownFunction", { name }) : words(error)}</Notice>;
}
