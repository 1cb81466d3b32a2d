// The form of a function, made from its schema: units, ranges, examples, and each field's own error.

import type { Field } from "./schema";
import { figure, t } from "./words";

interface Props {
  fields: Field[];
  values: Record<string, string>;
  /** What is wrong, by field. */
  errors: Record<string, string>;
  onChange: (name: string, value: string) => void;
}

/** Texts longer than this get several lines. */
const LONG = 120;

export const Fields = ({ fields, values, errors, onChange }: Props) => (
  <div class={fields.length > 1 ? "fields" : "fields one"}>
    {fields.map((field) => (
      <Row
        key={field.name}
        field={field}
        value={values[field.name] ?? ""}
        error={errors[field.name]}
        onChange={(value) => onChange(field.name, value)}
      />
    ))}
  </div>
);

function Row({ field, value, error, onChange }: { field: Field; value: string; error: string | undefined; onChange: (value: string) => void }) {
  const id = `field-${field.name}`;
  const about = { "aria-describedby": `${id}-hint ${id}-error`, "aria-invalid": error ? (true as const) : undefined };
  return (
    <div class={error ? "field wrong" : "field"}>
      <label for={id}>{field.label}</label>
      <div class="input">
        <Input field={field} id={id} value={value} onChange={onChange} about={about} />
        {field.unit && <span class="unit">{field.unit}</span>}
      </div>
      <p class="hint" id={`${id}-hint`}>
        <code>{field.name}</code> {hint(field)}
      </p>
      <p class="error" id={`${id}-error`}>
        {error}
      </p>
    </div>
  );
}

function Input({ field, id, value, onChange, about }: { field: Field; id: string; value: string; onChange: (value: string) => void; about: object }) {
  const typed = (event: { currentTarget: { value: string } }) => onChange(event.currentTarget.value);
  if (field.kind === "choice" || field.kind === "flag") {
    const choices = field.kind === "flag" ? ["true", "false"] : field.choices.map(String);
    return (
      <select id={id} name={field.name} value={value} onChange={typed} {...about}>
        <option value="">{t("choose")}</option>
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  }
  const example = field.example === undefined ? "" : String(field.example);
  if (field.kind === "text" && (field.maxLength ?? 0) > LONG) {
    return <textarea id={id} name={field.name} rows={4} value={value} placeholder={example} onInput={typed} {...about} />;
  }
  // Not of type number: that would hide what was typed wrong, and the function says it better.
  const mode = field.kind === "text" ? "text" : field.kind === "integer" ? "numeric" : "decimal";
  const negative = (field.min ?? 0) < 0;
  return <input id={id} name={field.name} inputMode={negative ? "text" : mode} autocomplete="off" value={value} placeholder={example} onInput={typed} {...about} />;
}

function hint({ min, max, maxLength, unit }: Field): string {
  if (min !== undefined && max !== undefined) return `· ${t("range", { min: figure(min), max: figure(max) })} ${unit}`;
  return maxLength ? `· ${t("atMost", { max: figure(maxLength) })}` : "";
}
