// What a function takes and answers, read from its OpenAPI document.

export interface Field {
  name: string;
  kind: "number" | "integer" | "text" | "choice" | "flag";
  label: string;
  unit: string;
  min: number | undefined;
  max: number | undefined;
  maxLength: number | undefined;
  choices: unknown[];
  example: unknown;
  required: boolean;
}

export interface Shape {
  title: string;
  description: string;
  version: string;
  fields: Field[];
  example: Record<string, unknown>;
  /** What `prediction` can be; nothing if the function does not say. */
  classes: unknown[];
  /** Rows that one request may have. */
  maxRows: number;
}

interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  description?: string;
  examples?: unknown[];
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  anyOf?: Schema[];
  oneOf?: Schema[];
  "x-unit"?: string;
}

interface Document {
  info: { title: string; description?: string; version: string };
  paths: Record<string, { post?: { requestBody?: { content: Record<string, { schema: Schema }> } } }>;
  components: { schemas: Record<string, Schema> };
}

/** Reads the document at `/functions/NAME/openapi.json`. */
export function shape(document: Document): Shape {
  const { Request: request, Response: response } = document.components.schemas;
  const prediction = resolve(document, response?.properties?.["prediction"] ?? {});
  const body = document.paths["/predict"]?.post?.requestBody?.content["application/json"]?.schema;
  const fields = Object.entries(request?.properties ?? {}).map(([name, schema]) =>
    field(name, resolve(document, schema), request?.required?.includes(name) ?? false),
  );
  return {
    title: document.info.title,
    description: document.info.description ?? "",
    version: document.info.version,
    fields,
    example: (request?.examples?.[0] ?? {}) as Record<string, unknown>,
    classes: prediction.enum ?? between(prediction),
    maxRows: body?.oneOf?.find((one) => one.maxItems)?.maxItems ?? 1,
  };
}

/** Returns what the form holds as the function takes it. What is no number goes as it is: the function says what is wrong. */
export function request(fields: Field[], values: Record<string, string>): Record<string, unknown> {
  const filled = fields.filter(({ name }) => (values[name] ?? "") !== "");
  return Object.fromEntries(filled.map((field) => [field.name, typed(field, values[field.name]!)]));
}

/** Returns a value as its field takes it. */
export function typed(field: Field, text: string): unknown {
  if (field.kind === "flag") return text === "true" ? true : text === "false" ? false : text;
  if (field.kind === "choice") return field.choices.find((choice) => String(choice) === text) ?? text;
  if (field.kind === "text") return text;
  const plain = text.trim();
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : text;
}

/** Returns values as the form shows them. */
export const shown = (values: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

function field(name: string, schema: Schema, required: boolean): Field {
  const type = [schema.type].flat().find((one) => one !== "null");
  const kind = schema.enum ? "choice" : type === "boolean" ? "flag" : type === "integer" || type === "number" ? type : "text";
  return {
    name,
    kind,
    label: schema.description?.replace(/\.$/, "") || name,
    unit: schema["x-unit"] ?? "",
    min: schema.minimum,
    max: schema.maximum,
    maxLength: schema.maxLength,
    choices: schema.enum ?? [],
    example: schema.examples?.[0],
    required,
  };
}

function resolve(document: Document, schema: Schema): Schema {
  const of = schema.$ref?.split("/").at(-1);
  const found = of ? document.components.schemas[of] : undefined;
  const some = (found ?? schema).anyOf?.find((one) => one.type !== "null");
  const bare = found ? { ...found, ...schema } : schema;
  // An enum with documented variants is written as one constant each.
  const constants = bare.oneOf?.flatMap((one) => (one.const === undefined ? (one.enum ?? []) : [one.const]));
  return { ...bare, ...(some && resolve(document, some)), ...(constants?.length ? { enum: constants } : {}) };
}

/** Returns the whole numbers of a small range. */
function between({ type, minimum, maximum }: Schema): unknown[] {
  if (type !== "integer" || minimum === undefined || maximum === undefined || maximum - minimum > 100) return [];
  return Array.from({ length: maximum - minimum + 1 }, (_, n) => minimum + n);
}
