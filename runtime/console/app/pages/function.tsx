// One function: tried by a form, by a file of rows, and as code.

import { useState } from "preact/hooks";
import { NoShape, useShape } from "../known";
import { picture } from "../live";
import { Badge, stateOf, Title } from "../parts";
import { to } from "../route";
import { shown } from "../schema";
import { type Key, t } from "../words";
import { Batch } from "./batch";
import { Code } from "./code";
import { Answer } from "./try";

const tabs: [string, Key][] = [["try", "try"], ["batch", "batch"], ["code", "code"]];

export function Function({ name, tab = "try" }: { name: string; tab: string | undefined }) {
  const { shape: known, error } = useShape(name);
  const [typed, setTyped] = useState<Record<string, string> | null>(null);
  const values = typed ?? (known ? shown(known.example) : {});
  const fn = picture.value?.functions.find((one) => one.name === name);
  const state = fn && stateOf(fn);
  return (
    <>
      <Title text={name}>
        {state && <Badge tone={state.tone}>{state.word}</Badge>}
        <nav class="links" aria-label={name}>
          <a href={to("live", name)}>{t("live")}</a>
          <a href={`/${encodeURIComponent(name)}`}>{t("simple")}</a>
          <a href={`/functions/${encodeURIComponent(name)}/docs`}>{t("documentation")}</a>
        </nav>
      </Title>
      {known?.description && <p class="lead">{known.description}</p>}
      <nav class="tabs" aria-label={t("function")}>
        {tabs.map(([id, key]) => (
          <a key={id} href={to("functions", name, id)} aria-current={tab === id ? "page" : undefined}>
            {t(key)}
          </a>
        ))}
      </nav>
      {!known && <NoShape name={name} error={error} />}
      {known && tab === "batch" && <Batch name={name} shape={known} />}
      {known && tab === "code" && <Code name={name} shape={known} values={values} />}
      {known && tab !== "batch" && tab !== "code" && (
        <Answer name={name} shape={known} values={values} setValues={setTyped} keeps={(fn?.feedback ?? "off") !== "off"} />
      )}
    </>
  );
}
