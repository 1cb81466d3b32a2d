// The dashboards of Grafana, for those who have none: the same panels, from the same Prometheus.

import { useEffect, useState } from "preact/hooks";
import { adminKey, api, words } from "../api";
import { picture } from "../live";
import { type Described, DashboardPanel, type Figures } from "../panel";
import { Empty, Notice, Title } from "../parts";
import { to } from "../route";
import { t, tOf } from "../words";

interface Board {
  uid: string;
  title: string;
  description: string;
  /** Of no function, of one, or of any number. */
  function: "none" | "one" | "any";
  panels: Described[];
}

interface Listed {
  /** Whether the gateway knows one. */
  prometheus: boolean;
  dashboards: Board[];
}

/** How far one may look back, in minutes. */
const MINUTES = ["15", "60", "360", "1440"];
const AGAIN_MS = 15_000;

/** Asks which dashboards there are. */
function useBoards(): [listed: Listed | null, error: unknown] {
  const [listed, setListed] = useState<Listed | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    api("/api/dashboards", { signal: stop.signal }).then(
      async (response) => {
        setListed(await response.json());
        setError(null);
      },
      (e: unknown) => stop.signal.aborted || setError(e),
    );
    return () => stop.abort();
  }, [adminKey.value]);
  return [listed, error];
}

/** Asks for all panels, and again while somebody looks; `query` says of what. */
function useFigures(board: Board, query: string): [figures: Record<number, Figures>, error: unknown] {
  const [figures, setFigures] = useState<Record<number, Figures>>({});
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    const askOne = async ({ id }: Described) => {
      const response = await api(`/api/dashboards/${encodeURIComponent(board.uid)}/${id}?${query}`, { signal: stop.signal });
      const found: Figures = await response.json();
      if (!stop.signal.aborted) setFigures((others) => ({ ...others, [id]: found }));
    };
    const ask = async () => {
      if (document.hidden) return;
      const asked = await Promise.allSettled(board.panels.map(askOne));
      if (!stop.signal.aborted) setError(asked.find((one) => one.status === "rejected")?.reason ?? null);
    };
    setFigures({});
    void ask();
    const timer = setInterval(ask, AGAIN_MS);
    document.addEventListener("visibilitychange", ask);
    return () => {
      stop.abort();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", ask);
    };
  }, [board.uid, query]);
  return [figures, error];
}

export function Dashboards({ uid, name = "" }: { uid: string | undefined; name: string | undefined }) {
  const [listed, error] = useBoards();
  const [minutes, setMinutes] = useState(MINUTES[0]!);
  const names = picture.value?.functions.map((fn) => fn.name) ?? [];
  const boards = listed?.dashboards ?? [];
  const board = boards.find((one) => one.uid === uid) ?? boards[0];
  // A dashboard of one function shows the first until another one is chosen.
  const chosen = board?.function === "none" ? "" : name || (board?.function === "one" ? (names[0] ?? "") : "");
  const query = new URLSearchParams({ minutes, ...(chosen ? { function: chosen } : {}) }).toString();
  const isReady = board && (board.function !== "one" || chosen);
  return (
    <>
      <Title text={t("dashboards")}>
        {board && (
          <>
            <select name="dashboard" aria-label={t("dashboard")} value={board.uid} onChange={(e) => go(e.currentTarget.value, name)}>
              {boards.map((one) => (
                <option key={one.uid} value={one.uid} lang="en">
                  {one.title.replace("Drover: ", "")}
                </option>
              ))}
            </select>
            {board.function !== "none" && (
              <select name="function" aria-label={t("function")} value={chosen} onChange={(e) => go(board.uid, e.currentTarget.value)}>
                {board.function === "any" && <option value="">{t("all")}</option>}
                {[...new Set([...names, ...(chosen ? [chosen] : [])])].map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            )}
            <select name="minutes" aria-label={t("lookBack")} value={minutes} onChange={(e) => setMinutes(e.currentTarget.value)}>
              {MINUTES.map((one) => (
                <option key={one} value={one}>
                  {tOf("minutes", one)}
                </option>
              ))}
            </select>
          </>
        )}
      </Title>
      {error !== null && <Notice tone="bad">{words(error)}</Notice>}
      {board && <p class="lead" lang="en">{board.description}</p>}
      {listed && !listed.prometheus && <Away />}
      {listed?.prometheus && isReady && <Panels key={`${board.uid} ${query}`} board={board} query={query} />}
      {listed?.prometheus && !isReady && <Empty>{t("noFunctions")}</Empty>}
    </>
  );
}

function Panels({ board, query }: { board: Board; query: string }) {
  const [figures, error] = useFigures(board, query);
  const inOrder = [...board.panels].sort((a, b) => a.grid.y - b.grid.y || a.grid.x - b.grid.x);
  return (
    <>
      {error !== null && <Notice tone="bad">{words(error)}</Notice>}
      <div class="charts boards">
        {inOrder.map((panel) => (
          <DashboardPanel key={panel.id} panel={panel} figures={figures[panel.id]} />
        ))}
      </div>
    </>
  );
}

/** Says how there come to be figures. */
function Away() {
  const [before, between, after] = t("howPrometheus", { command: "\n", setting: "\n" }).split("\n");
  return (
    <Notice tone="wait">
      <p>{t("noPrometheus")}</p>
      <p>
        {before}
        <code>drover up --observe</code>
        {between}
        <code>prometheus.url</code>
        {after}
      </p>
    </Notice>
  );
}

const go = (uid: string, name: string): void => void (location.hash = to("dashboards", uid, ...(name ? [name] : [])));
