// Shows the runs that stand in this file beside each other.
"use strict";

(() => {
  const { comparison, legend, histories } = JSON.parse(document.getElementById("data").textContent);
  const root = document.getElementById("view");
  const colours = ["--blue", "--amber", "--teal", "--violet", "--red", "--grey"];
  const titles = { rps: "Requests/s", p50: "p50", p95: "p95", p99: "p99", failures: "Failures", cpu: "CPU", ram: "RAM" };
  const { runs } = comparison;

  const worse = runs.filter(run => run.figures.some(figure => figure.is_regression));
  const badge = worse.length ? el("span", "badge bad", "regression") : el("span", "badge good", "no regression");
  root.append(el("header", "", el("div", "title", el("h1", "", "Runs compared"), badge), el("p", "facts", legend)));

  const figure = one => {
    const arrow = one.change_percent > 0 ? "▲" : "▼";
    const change = one.change_percent == null || Math.abs(one.change_percent) < 0.5 ? null
      : el("small", "", ` ${one.change_percent > 0 ? "+" : ""}${one.change_percent.toFixed(0)} %`);
    return el("td", `figure ${one.is_regression ? "regression" : ""}`, one.shown, change, one.is_regression ? ` ${arrow}` : null);
  };
  const columns = [["Run"], ["Target"], ["Result"], ...["Instances", "CPU limit", "RAM limit", "Users"].map(title => [title, true]),
    ...runs[0].figures.map(one => [titles[one.figure], true])];
  root.append(el("section", "", table(columns, runs.map((run, i) => {
    const dot = el("i", "dot");
    dot.style.background = `var(${colours[i % colours.length]})`;
    const bad = ["invalid", "broken"].includes(run.outcome);
    return [el("span", "", dot, run.name), run.target, el("span", bad ? "bad" : "", run.result),
      Show.or(run.instances, Show.count), Show.or(run.cpu_limit_cores, Show.rate), Show.or(run.memory_limit_bytes, Show.bytes),
      Show.count(run.users), ...run.figures.map(figure)];
  }))));

  // The runs' seconds, on one axis from each one's own beginning.
  const bySecond = histories.map(history => new Map(history.map(p => [Math.round(p.at_s), p])));
  const end = Math.max(0, ...bySecond.flatMap(points => [...points.keys()]));
  const seconds = Array.from({ length: end }, (_, i) => i + 1);
  const answered = of => p => p.rps > 0 ? p[of] : null;
  const place = root.appendChild(el("div", "charts"));
  for (const [title, of, show, least, canBeLog] of [
    ["Requests/s", p => p.rps, Show.rate], ["p95", answered("p95_ms"), Show.ms, 0.1, true],
    ["p99", answered("p99_ms"), Show.ms, 0.1, true], ["Failures/s", p => p.failures_per_s, Show.rate],
    ["Users", p => p.users, Show.count], ["Instances", p => p.instances, Show.whole],
    ["Busiest CPU, of the limit", p => p.cpu_percent, Show.percent, 100],
    ["Fullest RAM, of the limit", p => p.ram_percent, Show.percent, 100]]) {
    if (!histories.some(history => history.some(p => of(p) != null))) continue;
    const lines = runs.map((run, i) => ({ label: run.name, colour: colours[i % colours.length], show, spansGaps: true, dash: i < colours.length ? undefined : [5, 4] }));
    const chart = Charts.make({ title, axis: show, lines, least, canBeLog });
    place.append(chart.node);
    chart.set([seconds, ...bySecond.map(points => seconds.map(s => points.has(s) ? of(points.get(s)) ?? null : null))]);
  }
})();
