// The request of the form as code.

import { functionKey } from "../api";
import { urlOf } from "../known";
import { Copy, Panel } from "../parts";
import { request, type Shape } from "../schema";
import { snippets } from "../snippets";
import { t } from "../words";

export function Code({ name, shape, values }: { name: string; shape: Shape; values: Record<string, string> }) {
  const filled = request(shape.fields, values);
  const body = Object.keys(filled).length ? filled : shape.example;
  const all = snippets(location.origin + urlOf(name), body, functionKey.value !== "");
  return (
    <>
      <p class="lead">
        {t("snippetHint")} {functionKey.value && t("snippetKey")}
      </p>
      {Object.entries(all).map(([language, text]) => (
        <Panel key={language} title={language} extra={<Copy text={text} label={t("snippetOf", { language })} />}>
          <pre tabIndex={0} aria-label={t("snippetOf", { language })} data-language={language}>
            <code>{text}</code>
          </pre>
        </Panel>
      ))}
    </>
  );
}
