// An answer: what was predicted, how sure, by which model, where the time went, and whether it was right.

import { useState } from "preact/hooks";
import { ask, Refusal, send, words } from "./api";
import { Notice } from "./parts";
import { figure, ms, percent, t, type Key } from "./words";

export interface Answer {
  prediction: unknown;
  name?: unknown;
  confidence?: number;
  score?: number;
  probabilities?: Record<string, number>;
  model_version?: string;
  request_id?: string;
}

export interface Answered {
  answer: Answer;
  requestId: string;
  spans: Span[];
  tookMs: number;
}

export interface Span {
  name: Key;
  ms: number;
}

/** Reads where the time went: the instance's own spans come first, then the gateway's. */
export function spans(serverTiming: string, tookMs: number): Span[] {
  const all = [...serverTiming.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, dur]) => ({ name: name!, ms: Number(dur) }));
  const [outer, inner] = [all.slice(-2), all.slice(0, -2)];
  const of = (list: typeof all, name: string) => list.find((span) => span.name === name)?.ms ?? 0;
  const [inside, model, upstream] = [of(inner, "queue"), of(inner, "inference"), of(outer, "upstream")];
  const [queue, cold] = [of(outer, "queue"), of(outer, "cold")];
  const found: Span[] = [
    { name: "network", ms: tookMs - queue - cold - upstream },
    { name: "cold", ms: cold },
    { name: "queue", ms: queue },
    { name: "upstream", ms: upstream - inside - model },
    { name: "waitInside", ms: inside },
    { name: "inference", ms: model },
  ];
  return found.map((span) => ({ ...span, ms: Math.max(0, span.ms) })).filter((span) => span.name !== "cold" || span.ms > 0);
}

/** Asks the function at `url` and reads all of its answer. */
export async function predict(url: string, input: unknown): Promise<Answered> {
  const started = performance.now();
  const response = await ask(url, send(input));
  const answer: Answer = await response.json();
  const tookMs = performance.now() - started;
  const requestId = response.headers.get("x-request-id") ?? answer.request_id ?? "";
  return { answer, requestId, tookMs, spans: spans(response.headers.get("server-timing") ?? "", tookMs) };
}

export function Verdict({ answer }: { answer: Answer }) {
  return (
    <p class="verdict">
      <strong>{String(answer.name ?? answer.prediction)}</strong>
      {answer.confidence !== undefined && <span>{percent(answer.confidence)}</span>}
    </p>
  );
}

export function Bars({ answer }: { answer: Answer }) {
  const bars = Object.entries(answer.probabilities ?? {}).sort(([, a], [, b]) => b - a);
  return (
    <table class="bars">
      <caption class="hidden">{t("confidence")}</caption>
      <tbody>
        {bars.map(([name, share], n) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="bar" aria-hidden="true">
              <span class={n === 0 ? "first" : ""} style={{ width: `${Math.max(share * 100, 0.5)}%` }} />
            </td>
            <td class="figure">{percent(share)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Timing({ answered }: { answered: Answered }) {
  const total = answered.spans.reduce((sum, span) => sum + span.ms, 0) || 1;
  return (
    <section class="timing">
      <h3>{t("whereTimeWent")}</h3>
      <div class="stack" aria-hidden="true">
        {answered.spans.map((span) => (
          <span key={span.name} class={span.name} style={{ width: `${(span.ms / total) * 100}%` }} />
        ))}
      </div>
      <ul>
        {answered.spans.map((span) => (
          <li key={span.name}>
            <i class={`dot ${span.name}`} aria-hidden="true" />
            {t(span.name)} <b>{ms(span.ms)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Facts({ answered: { answer, requestId, tookMs } }: { answered: Answered }) {
  return (
    <p class="meta">
      {answer.model_version && <span>{t("model", { version: answer.model_version })}</span>}
      {answer.score !== undefined && <span>{t("score")} {figure(answer.score)}</span>}
      <span>{t("answeredIn", { ms: ms(tookMs) })}</span>
      <span>
        {t("requestId")} <code>{requestId}</code>
      </span>
    </p>
  );
}

/** Asks whether an answer was right, and keeps the verdict. */
export function Thumbs({ requestId, classes }: { requestId: string; classes: unknown[] }) {
  const [verdict, setVerdict] = useState<"up" | "down" | null>(null);
  const [expected, setExpected] = useState("");
  const [comment, setComment] = useState("");
  const [state, setState] = useState<"asking" | "thanked" | "told">("asking");
  const [error, setError] = useState("");
  const give = async (given: "up" | "down", details: object, next: typeof state) => {
    setVerdict(given);
    setError("");
    try {
      await ask("/feedback", send({ request_id: requestId, verdict: given, ...details }));
      setState(next);
    } catch (e) {
      setVerdict(state === "asking" ? null : verdict);
      setError(e instanceof Refusal && e.status === 404 ? `${t("feedbackOff")} ${e.message}` : words(e));
    }
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const right = classes.find((one) => String(one) === expected);
    const details = { ...(right !== undefined && { expected: right }), ...(comment.trim() && { comment: comment.trim() }) };
    void give("down", details, "told");
  };
  return (
    <section class="thumbs" aria-live="polite">
      <div class="row">
        <span>{state === "asking" ? t("wasRight") : t("thanks")}</span>
        <Thumb up pressed={verdict === "up"} onClick={() => give("up", {}, "thanked")} />
        <Thumb up={false} pressed={verdict === "down"} onClick={() => give("down", {}, "thanked")} />
      </div>
      {state === "thanked" && verdict === "down" && (
        <form class="details" onSubmit={submit}>
          {classes.length > 0 && (
            <label>
              <span>{t("whatWasRight")}</span>
              <select name="expected" value={expected} onChange={(e) => setExpected(e.currentTarget.value)}>
                <option value="">{t("noIdea")}</option>
                {classes.map((one) => (
                  <option key={String(one)}>{String(one)}</option>
                ))}
              </select>
            </label>
          )}
          <label>
            <span>{t("comment")}</span>
            <input name="comment" maxLength={2000} value={comment} onInput={(e) => setComment(e.currentTarget.value)} />
          </label>
          <button disabled={!expected && !comment.trim()}>{t("sendMore")}</button>
        </form>
      )}
      {error && <Notice tone="bad">{error}</Notice>}
    </section>
  );
}

const Thumb = ({ up, pressed, onClick }: { up: boolean; pressed: boolean; onClick: () => void }) => (
  <button type="button" class={`thumb ${up ? "up" : "down"}`} aria-pressed={pressed} aria-label={t(up ? "thumbUp" : "thumbDown")} onClick={onClick}>
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d="M7 11v9H4v-9zM7 11l4-8c1.7 0 2.6 1.2 2.3 2.8L12.7 9H19a2 2 0 0 1 2 2.3l-1.2 7A2 2 0 0 1 17.8 20H7" />
    </svg>
  </button>
);
