// A function alone, for those who use it: at `/sentiment`, a sentence in, a verdict out, and whether it was right.

import { useState } from "preact/hooks";
import { Bars, Thumbs, Verdict } from "../answer";
import { Fields } from "../form";
import { NoShape, useShape } from "../known";
import { link, picture } from "../live";
import { Notice, Preferences, Title } from "../parts";
import { type Shape, shown } from "../schema";
import { useAnswer } from "../submit";
import { figure, t } from "../words";

export function Simple({ name }: { name: string }) {
  const { shape, error } = useShape(name);
  return (
    <div class="simple">
      <main id="content">
        <Title text={name} />
        {shape ? (
          <>
            <p class="lead">{shape.description}</p>
            <Form name={name} shape={shape} />
          </>
        ) : (
          <NoShape name={name} error={error} />
        )}
      </main>
      <footer>
        <span>
          {t("simpleFoot", { name })} <a href="/">{t("console")}</a>
        </span>
        <Preferences />
      </footer>
    </div>
  );
}

function Form({ name, shape }: { name: string; shape: Shape }) {
  const isOneText = shape.fields.length === 1 && shape.fields[0]!.kind === "text";
  const [values, setValues] = useState(isOneText ? {} : shown(shape.example));
  const { answered, problem, busy, submit, seen } = useAnswer(name, shape, values);
  // Whoever may not see what runs is shown the thumbs all the same: the gateway says if nothing is kept.
  const feedback = picture.value?.functions.find((fn) => fn.name === name)?.feedback;
  const keeps = picture.value ? (feedback ?? "off") !== "off" : link.value !== "connecting";
  return (
    <>
      <form class="panel" onSubmit={submit} noValidate>
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
            {busy ? t("predicting") : t(isOneText ? "analyse" : "predict")}
          </button>
        </div>
      </form>
      <div aria-live="polite">
        {problem && <Notice tone="bad">{problem.text}</Notice>}
        {answered && (
          <section class="panel answer">
            <Verdict answer={answered.answer} />
            <Bars answer={answered.answer} />
            {answered.answer.score !== undefined && (
              <p class="meta">
                <span>
                  {t("score")} <b>{figure(answered.answer.score)}</b>
                </span>
              </p>
            )}
            {keeps && <Thumbs key={answered.requestId} requestId={answered.requestId} classes={shape.classes} />}
          </section>
        )}
      </div>
    </>
  );
}
