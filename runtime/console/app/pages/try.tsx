// The form of a function beside its answer.

import { useRef, useState } from "preact/hooks";
import { type Answered, Bars, Facts, predict, Thumbs, Timing, Verdict } from "../answer";
import { Refusal, words } from "../api";
import { Fields } from "../form";
import { urlOf } from "../known";
import { Empty, Notice, Panel } from "../parts";
import { request, type Shape, shown } from "../schema";
import { t } from "../words";

interface Props {
  name: string;
  shape: Shape;
  values: Record<string, string>;
  setValues: (values: Record<string, string>) => void;
  /** Whether the function keeps verdicts. */
  keeps: boolean;
}

/** What is wrong with a request: by field, and as a whole. */
export interface Wrong {
  fields: Record<string, string>;
  text: string;
}

export function wrong(e: unknown): Wrong {
  const errors = e instanceof Refusal ? (e.problem.errors ?? []) : [];
  const fields = Object.fromEntries(errors.map(({ pointer, detail }) => [pointer.replace(/^\//, ""), detail]));
  const n = errors.length;
  return { fields, text: n === 0 ? words(e) : n === 1 ? t("wrongValue") : t("wrongValues", { n }) };
}

export function Answer({ name, shape, values, setValues, keeps }: Props) {
  const [answered, setAnswered] = useState<Answered | null>(null);
  const [problem, setProblem] = useState<Wrong | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setAnswered(await predict(urlOf(name), request(shape.fields, values)));
      setProblem(null);
    } catch (e) {
      setAnswered(null);
      setProblem(wrong(e));
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus());
    }
    setBusy(false);
  };
  return (
    <div class="split">
      <form class="panel" ref={form} onSubmit={submit} noValidate>
        <Fields
          fields={shape.fields}
          values={values}
          errors={problem?.fields ?? {}}
          onChange={(field, value) => {
            setValues({ ...values, [field]: value });
            if (problem?.fields[field]) setProblem({ ...problem, fields: { ...problem.fields, [field]: "" } });
          }}
        />
        <div class="actions">
          <button class="go" disabled={busy}>
            {busy ? t("predicting") : t("predict")}
          </button>
          <button type="button" onClick={() => setValues(shown(shape.example))}>
            {t("example")}
          </button>
          <button type="button" onClick={() => setValues({})}>
            {t("clear")}
          </button>
        </div>
      </form>
      <Panel title={t("answer")} class="answer">
        <div aria-live="polite">
          {problem && <Notice tone="bad">{problem.text}</Notice>}
          {!problem && !answered && <Empty>{t("noAnswer")}</Empty>}
          {answered && <Verdict answer={answered.answer} />}
        </div>
        {answered && (
          <>
            <Bars answer={answered.answer} />
            <Timing answered={answered} />
            <Facts answered={answered} />
            {keeps && <Thumbs key={answered.requestId} requestId={answered.requestId} classes={shape.classes} />}
          </>
        )}
      </Panel>
    </div>
  );
}
