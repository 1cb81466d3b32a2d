// All functions as cards: how they are, and how much they have to do.

import { Spark } from "../chart";
import { history, link, perMinute, picture } from "../live";
import { Badge, Empty, stateOf, Title } from "../parts";
import { to } from "../route";
import type { Fn } from "../types";
import { figure, ms, t } from "../words";

/** Seconds that a card's line shows. */
const SHOWN = 180;

export function Functions() {
  const functions = picture.value?.functions;
  return (
    <>
      <Title text={t("functions")} />
      {functions?.length === 0 && (
        <Empty>
          {t("noFunctions")} {t("noFunctionsHint", { command: "" })}
          <code>drover up</code>
        </Empty>
      )}
      {!functions && (link.value === "connecting" || link.value === "open") && <Empty>{t("connecting")}</Empty>}
      <ul class="cards">{functions?.map((fn) => <Card key={fn.name} fn={fn} />)}</ul>
    </>
  );
}

function Card({ fn }: { fn: Fn }) {
  const { tone, word } = stateOf(fn);
  const seconds = history(fn.name).slice(-SHOWN);
  return (
    <li class="panel card">
      <header>
        <h2>
          <a href={to("functions", fn.name)}>{fn.name}</a>
        </h2>
        <Badge tone={tone}>{word}</Badge>
      </header>
      <Spark values={seconds.map(({ rate }) => rate)} label={t("lastMinutes", { name: fn.name })} />
      <dl class="facts">
        <div>
          <dt>{t("perMinute")}</dt>
          <dd>{figure(rounded(perMinute(fn.name)))}</dd>
        </div>
        <div>
          <dt>{t("p95")}</dt>
          <dd>{ms(seconds.at(-1)?.p95 ?? null)}</dd>
        </div>
        <div>
          <dt>{t("instances")}</dt>
          <dd>
            {fn.n_ready}
            <small> / {fn.max ?? "–"}</small>
          </dd>
        </div>
      </dl>
      <p class={fn.trouble ? "why bad" : "why"}>{fn.trouble ?? (fn.n_ready === 0 && fn.count === 0 ? t("idleHint") : fn.why)}</p>
    </li>
  );
}

const rounded = (n: number | null): number | null => (n === null ? null : n >= 10 ? Math.round(n) : Math.round(n * 10) / 10);
