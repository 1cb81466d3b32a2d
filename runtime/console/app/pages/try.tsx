// The form of a function beside its answer.

import { useRef } from "preact/hooks";
import { Bars, Facts, Thumbs, Timing, Verdict } from "../answer";
import { Fields } from "../form";
import { Empty, Notice, Panel } from "../parts";
import { type Shape, shown } from "../schema";
import { useAnswer } from "../submit";
import { t } from "../words";

interface Props {
  name: string;
  shape: Shape;
  values: Record<string, string>;
  setValues: (values: Record<string, string>) => void;
  /** Whether the function keeps verdicts. */
  keeps: boolean;
}

export function Answer({ name, shape, values, setValues, keeps }: Props) {
  const form = useRef<HTMLFormElement>(null);
  // The first wrong field is where to type.
  const failed = () => form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  const { answered, problem, busy, submit, seen } = useAnswer(name, shape, values, failed);
  return (
    <div class="split">
      <form class="panel" ref={form} onSubmit={submit} noValidate>
        <Fields
          fields={shape.fields}
          values={values}
          errors={problem?.fields ?? {}}
          onChange={(field, value) => {
            setValues({ ...values, [field]: value });
            seen(field);
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
