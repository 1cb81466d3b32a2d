// How a form is sent to a function, and what is wrong with it if it is not answered.

import { useState } from "preact/hooks";
import { type Answered, predict } from "./answer";
import { Refusal, words } from "./api";
import { urlOf } from "./known";
import { request, type Shape } from "./schema";
import { t } from "./words";

/** What is wrong with a request: by field, and as a whole. */
export interface Wrong {
  fields: Record<string, string>;
  text: string;
}

/** Sends `values` to the function `name`; `failed` is called once the page shows what is wrong with them. */
export function useAnswer(name: string, shape: Shape, values: Record<string, string>, failed?: () => void) {
  const [answered, setAnswered] = useState<Answered | null>(null);
  const [problem, setProblem] = useState<Wrong | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setAnswered(await predict(urlOf(name), request(shape.fields, values)));
      setProblem(null);
    } catch (e) {
      setAnswered(null);
      setProblem(wrong(e));
      if (failed) requestAnimationFrame(failed);
    }
    setBusy(false);
  };
  /** Whoever changes a value has seen what was wrong with it. */
  const seen = (field: string) => {
    if (problem?.fields[field]) setProblem({ ...problem, fields: { ...problem.fields, [field]: "" } });
  };
  return { answered, problem, busy, submit, seen };
}

function wrong(e: unknown): Wrong {
  const errors = e instanceof Refusal ? (e.problem.errors ?? []) : [];
  const fields = Object.fromEntries(errors.map(({ pointer, detail }) => [pointer.replace(/^\//, ""), detail]));
  const n = errors.length;
  return { fields, text: n === 0 ? words(e) : n === 1 ? t("wrongValue") : t("wrongValues", { n }) };
}
