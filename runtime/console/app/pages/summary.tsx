// How often users agree with a function: by version and day, and what it takes for what.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api";
import { Empty, Panel } from "../parts";
import { figure, percent, t } from "../words";

interface Votes {
  up: number;
  down: number;
}

interface Summary extends Votes {
  function: string;
  agreement: number | null;
  versions: (Votes & { version: string; agreement: number | null; days: (Votes & { day: string })[] })[];
  confusion: { predicted: string; expected: string; count: number }[];
  drift: Record<string, unknown> | null;
}

const COLOURS = ["blue", "teal", "violet", "amber", "red", "grey"];

export function Report({ name, since, until }: { name: string; since: string; until: string }) {
  const [summary, setSummary] = useState<Summary | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const query = new URLSearchParams({ function: name });
    if (since) query.set("since", new Date(`${since}T00:00`).toISOString());
    if (until) query.set("until", new Date(Date.parse(`${until}T00:00`) + 86_400_000).toISOString());
    // That feedback is away is said once, by the list.
    api(`/api/feedback/summary?${query}`, { signal: stop.signal }).then(
      async (response) => setSummary(await response.json()),
      () => setSummary(null),
    );
    return () => stop.abort();
  }, [name, since, until]);
  if (!summary || summary.up + summary.down === 0) return null;
  return (
    <>
      <div class="split even">
        <Panel title={t("agreement")} extra={<span class="dim">{t("agreementHint")}</span>}>
          <table class="bars">
            <tbody>
              {summary.versions.map(({ version, agreement, up, down }, n) => (
                <tr key={version}>
                  <th scope="row">
                    <i class={`dot ${COLOURS[n % COLOURS.length]}`} aria-hidden="true" /> {version}
                  </th>
                  <td class="bar" aria-hidden="true">
                    <span class={COLOURS[n % COLOURS.length]} style={{ width: `${(agreement ?? 0) * 100}%` }} />
                  </td>
                  <td class="figure">
                    {percent(agreement)} <small class="dim">({up}/{up + down})</small>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <h3>{t("agreementOver")}</h3>
          <Days versions={summary.versions} />
        </Panel>
        <Panel title={t("confusion")}>
          <Confusion cells={summary.confusion} />
        </Panel>
      </div>
      {summary.drift && <Drift drift={summary.drift} />}
    </>
  );
}

/** One dot a day and version: its height is the agreement, its size the number of verdicts. */
function Days({ versions }: { versions: Summary["versions"] }) {
  const days = [...new Set(versions.flatMap((version) => version.days.map(({ day }) => day)))].sort();
  const most = Math.max(...versions.flatMap((version) => version.days.map(({ up, down }) => up + down)), 1);
  const [width, height, edge] = [480, 120, 14];
  const x = (day: string) => (days.length < 2 ? width / 2 : edge + (days.indexOf(day) * (width - 2 * edge)) / (days.length - 1));
  const y = ({ up, down }: Votes) => edge + (1 - up / (up + down)) * (height - 2 * edge);
  const label = versions.map((v) => `${v.version}: ${v.days.map((d) => `${d.day} ${percent(d.up / (d.up + d.down))}`).join(", ")}`).join("; ");
  return (
    <>
      <svg class="days" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
        {[0, 0.5, 1].map((share) => (
          <line key={share} x1="0" x2={width} y1={edge + share * (height - 2 * edge)} y2={edge + share * (height - 2 * edge)} />
        ))}
        {versions.map((version, n) => (
          <g key={version.version} class={COLOURS[n % COLOURS.length]}>
            <polyline points={version.days.map((day) => `${x(day.day)},${y(day)}`).join(" ")} />
            {version.days.map((day) => (
              <circle key={day.day} cx={x(day.day)} cy={y(day)} r={3 + 6 * Math.sqrt((day.up + day.down) / most)}>
                <title>{`${version.version} · ${day.day} · ${percent(day.up / (day.up + day.down))} (${day.up}/${day.up + day.down})`}</title>
              </circle>
            ))}
          </g>
        ))}
      </svg>
      <p class="ends dim">
        <span>{days[0]}</span>
        {days.length > 1 && <span>{days.at(-1)}</span>}
      </p>
    </>
  );
}

function Confusion({ cells }: { cells: Summary["confusion"] }) {
  const classes = [...new Set(cells.flatMap(({ predicted, expected }) => [predicted, expected]))].sort();
  const count = (predicted: string, expected: string) =>
    cells.find((cell) => cell.predicted === predicted && cell.expected === expected)?.count ?? 0;
  const most = Math.max(...cells.map((cell) => cell.count), 1);
  if (!classes.length) return <Empty>{t("noFeedback")}</Empty>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("confusion")}>
      <table class="confusion">
        <thead>
          <tr>
            <td class="corner">
              {t("predicted")} ↓ · {t("expected")} →
            </td>
            {classes.map((name) => (
              <th key={name} scope="col">{name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {classes.map((predicted) => (
            <tr key={predicted}>
              <th scope="row">{predicted}</th>
              {classes.map((expected) => {
                const n = count(predicted, expected);
                const level = n === 0 ? 0 : Math.ceil((4 * n) / most);
                return (
                  <td key={expected} class={`${predicted === expected ? "right" : "mistaken"} level${level}`}>
                    {n}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Shows what instances say of drift, whatever they name it. */
function Drift({ drift }: { drift: Record<string, unknown> }) {
  const rows = flatten(drift);
  return (
    <Panel title={t("drift")}>
      <div class="scroll">
        <table>
          <tbody>
            {rows.map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="figure">{typeof value === "number" ? figure(value) : String(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function flatten(value: unknown, name = ""): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[name, value]];
  return Object.entries(value).flatMap(([key, one]) => flatten(one, name ? `${name} · ${key}` : key));
}
