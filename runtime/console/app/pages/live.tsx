// What runs now: charts of the last ten minutes, decisions with their reasons, cold starts.

import { type Line, Chart } from "../chart";
import { ALL, decisions, happened, history, picture, type Second } from "../live";
import { Empty, Panel, Title } from "../parts";
import { merge } from "../rates";
import { to } from "../route";
import { clock, ms, t, tOf } from "../words";

/** Phases of a cold start, in the order in which they come. */
const PHASES = ["schedule", "start", "load", "register", "first_byte"];
const SHOWN_DECISIONS = 50;

export function Live({ name = ALL }: { name: string | undefined }) {
  const now = picture.value;
  const functions = now?.functions ?? [];
  const seconds = [...history(name)];
  const at = seconds.map((second) => second.at);
  const line = (label: string, colour: string, get: (second: Second) => number | null, more: Partial<Line> = {}): Line => ({
    label,
    colour,
    values: seconds.map(get),
    ...more,
  });
  return (
    <>
      <Title text={t("live")}>
        <select
          aria-label={t("function")}
          value={name}
          onChange={(e) => (location.hash = e.currentTarget.value ? to("live", e.currentTarget.value) : to("live"))}
        >
          <option value="">{t("all")}</option>
          {functions.map((fn) => (
            <option key={fn.name}>{fn.name}</option>
          ))}
        </select>
      </Title>
      {!now && <Empty>{t("collecting")}</Empty>}
      <div class="charts">
        <Chart title={t("requestRate")} at={at} lines={[line(t("requests"), "blue", (s) => s.rate), line(t("failuresRate"), "red", (s) => s.failures)]} />
        <Chart title={t("latency")} at={at} lines={[line("p50", "teal", (s) => s.p50), line("p95", "amber", (s) => s.p95), line("p99", "red", (s) => s.p99)]} />
        <Chart title={t("inFlight")} at={at} digits={0} lines={[line(t("inFlightShort"), "blue", (s) => s.inFlight), line(t("waiting"), "amber", (s) => s.waiting)]} />
        <Chart
          title={t("instancesChart")}
          at={at}
          digits={0}
          lines={[
            line(t("ready"), "teal", (s) => s.ready, { stepped: true }),
            line(t("asked"), "violet", (s) => s.asked, { stepped: true }),
            line(t("wanted"), "grey", (s) => s.wanted, { stepped: true, dashed: true }),
          ]}
        />
      </div>
      <Decisions name={name} />
      <div class="split even">
        <ColdStarts name={name} />
        <Happenings name={name} />
      </div>
    </>
  );
}

function Decisions({ name }: { name: string }) {
  const shown = decisions.value.filter((one) => name === ALL || one.function === name).slice(0, SHOWN_DECISIONS);
  return (
    <Panel title={t("decisions")}>
      {shown.length === 0 ? (
        <Empty>{t("noDecisions")}</Empty>
      ) : (
        <div class="scroll tall" tabIndex={0} role="region" aria-label={t("decisions")}>
          <table>
            <thead>
              <tr>
                <th>{t("when")}</th>
                <th>{t("function")}</th>
                <th>{t("change")}</th>
                <th>{t("why")}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <tr key={`${one.at_unix_ms}${one.function}${one.to}`}>
                  <td class="when">{clock(one.at_unix_ms)}</td>
                  <td>{one.function}</td>
                  <td class="figure change">
                    {one.from} → <b>{one.to}</b>
                  </td>
                  <td lang="en">{one.why}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function ColdStarts({ name }: { name: string }) {
  const chosen = (picture.value?.functions ?? []).filter((fn) => name === ALL || fn.name === name);
  const { cold } = merge(chosen.map((fn) => fn.counted));
  const mean = (phase: string) => {
    const [n, seconds] = cold[phase] ?? [0, 0];
    return n ? (1000 * seconds) / n : 0;
  };
  const n = cold["total"]?.[0] ?? 0;
  const longest = Math.max(...PHASES.map(mean), 1);
  return (
    <Panel title={t("coldStarts")}>
      {n === 0 ? (
        <Empty>{t("noColdStarts")}</Empty>
      ) : (
        <>
          <p class="meta">{t("coldMean", { n, s: ms(mean("total")) })}</p>
          <table class="bars">
            <tbody>
              {PHASES.map((phase) => (
                <tr key={phase}>
                  <th scope="row">{tOf("phase", phase)}</th>
                  <td class="bar" aria-hidden="true">
                    <span class="first" style={{ width: `${(100 * mean(phase)) / longest}%` }} />
                  </td>
                  <td class="figure">{ms(mean(phase))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Panel>
  );
}

function Happenings({ name }: { name: string }) {
  const shown = happened.value.filter((one) => name === ALL || one.function === name).slice(0, 12);
  return (
    <Panel title={t("happenings")}>
      {shown.length === 0 && <Empty>{t("noHappenings")}</Empty>}
      <ul class="log">
        {shown.map((one) => (
          <li key={`${one.at_unix_ms}${one.instance}${one.text}`}>
            <time>{clock(one.at_unix_ms)}</time> <b>{one.function}</b> <span lang="en">{one.text}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

