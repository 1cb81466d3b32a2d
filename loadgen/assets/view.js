// Shows a run: the live page and the report's file have the same view. All of a run's texts may come from
// strangers: they become text nodes, never HTML.
"use strict";

const Show = {
  count: n => Math.round(n).toLocaleString("en-GB"),
  whole: n => Number.isInteger(n) ? Show.count(n) : "",
  rate: n => n >= 1000 ? Show.count(n) : String(+n.toFixed(n >= 10 ? 1 : 2)),
  ms: n => n >= 120000 ? `${+(n / 60000).toFixed(1)} min` : n >= 1000 ? `${+(n / 1000).toFixed(2)} s`
    : `${+n.toFixed(n >= 100 ? 0 : n >= 10 ? 1 : 2)} ms`,
  percent: n => n > 0 && n < 0.01 ? "<0.01 %" : `${+n.toFixed(n >= 10 ? 1 : 2)} %`,
  bytes: n => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
    return `${+n.toFixed(n >= 100 ? 0 : 1)} ${units[i]}`;
  },
  or: (value, show) => value == null ? "–" : show(value),
};

// Makes an element. A child that is no node becomes text.
const el = (tag, names, ...children) => {
  const node = document.createElement(tag);
  if (names) node.className = names;
  node.append(...children.filter(child => child != null));
  return node;
};

// Makes a table. `columns`: [title, is a figure].
const table = (columns, rows) => {
  const row = (tag, cells) => el("tr", "", ...cells.map((cell, i) =>
    cell instanceof HTMLTableCellElement ? cell : el(tag, columns[i][1] ? "figure" : "", cell)));
  return el("div", "scroll", el("table", "",
    el("thead", "", row("th", columns.map(([title]) => title))),
    el("tbody", "", ...rows.map(cells => row("td", cells)))));
};

const View = root => {
  const parts = {};
  const add = (name, node) => root.appendChild(parts[name] = node);
  add("head", el("header"));
  add("alarms", el("div", "alarms"));
  add("tiles", el("div", "tiles"));
  add("charts", el("div", "charts"));
  add("tables", el("div", "tables"));
  let charts = null, before = "";
  const opened = new Set();

  const isOver = report => ["finished", "stopped"].includes(report.state);
  const last = report => report.history[report.history.length - 1];
  const share = task => task.requests ? task.failures / task.requests * 100 : 0;

  const head = ({ report, outcome, is_bad }) => {
    const badge = el("span", `badge ${is_bad ? "bad" : isOver(report) ? "good" : report.state}`, outcome);
    badge.id = "outcome";
    const facts = [
      `${Charts.clock(report.elapsed_s)}${report.remaining_s == null || isOver(report) ? ""
        : ` of ${Charts.clock(report.elapsed_s + report.remaining_s)}`}`,
      report.state, ...(report.began ? [`began ${report.began.replace("T", " ")}`] : []), `loadgen ${report.version}`,
    ];
    const whole = report.elapsed_s + (report.remaining_s ?? 0);
    const bar = el("progress");
    bar.max = 1;
    bar.value = whole ? report.elapsed_s / whole : 0;
    const settings = Object.entries(report.plan).map(([name, value]) => el("span", "setting", `${name} `, el("b", "", value)));
    return [el("div", "title", el("h1", "", report.target), badge), el("p", "facts", facts.join(" · ")),
      report.remaining_s == null || isOver(report) ? null : bar,
      settings.length ? el("p", "settings", ...settings) : null].filter(node => node);
  };

  const alarms = report => {
    const boxes = [];
    if (report.invalid.length) {
      boxes.push(el("section", "alarm", el("h2", "", "Invalid: do not believe these figures"),
        el("ul", "", ...report.invalid.map(reason => el("li", "", reason)))));
    }
    const broken = report.promises.filter(promise => promise.kept === false);
    if (broken.length) {
      boxes.push(el("section", "alarm", el("h2", "", broken.length > 1 ? "Promises broken" : "Promise broken"),
        el("ul", "", ...broken.map(({ promise, task, seen }) =>
          el("li", "", el("b", "", promise), task ? ` of ${task}` : "", `: seen ${seen}`)))));
    }
    return boxes;
  };

  const tile = (id, title, value, below, mood) => {
    const node = el("div", `tile ${mood ?? ""}`, el("span", "name", title), el("b", "", value), el("small", "", below ?? ""));
    node.dataset.tile = id;
    return node;
  };

  const tiles = report => {
    const { total } = report, now = last(report), live = !isOver(report) && now, l = total.latency;
    const most = of => Math.max(0, ...report.history.map(of).filter(value => value != null));
    const time = (id, of) => tile(id, id, Show.ms(live ? now[of] : l[of]), live ? `whole run ${Show.ms(l[of])}` : `peak ${Show.ms(most(p => p[of]))}`);
    const boxes = [
      tile("rps", "Requests/s", Show.rate(live ? now.rps : total.rps),
        live ? `mean ${Show.rate(total.rps)}` : `peak ${Show.rate(most(p => p.rps))}`),
      tile("requests", "Requests", Show.count(total.requests), now ? `${Show.count(now.in_flight)} in flight` : ""),
      tile("failures", "Failures", Show.percent(share(total)), Show.count(total.failures), total.failures ? "bad" : ""),
      time("p50", "p50_ms"), time("p95", "p95_ms"), time("p99", "p99_ms"),
      report.load === "rate" && live && now.rate != null
        ? tile("rate", "Wanted rate", Show.rate(now.rate), `${Show.count(now.users)} users`)
        : tile("users", "Users", Show.count(live ? now.users : most(p => p.users)), live ? `most ${Show.count(most(p => p.users))}` : "at most"),
    ];
    if (now && now.instances != null) {
      const known = pick => (report.history.some(p => pick(p) != null) ? most(pick) : null);
      const cpu = live ? now.cpu_percent : known(p => p.cpu_percent), ram = live ? now.ram_percent : known(p => p.ram_percent);
      boxes.push(tile("instances", "Instances", Show.count(live ? now.instances : most(p => p.instances)),
        `CPU ${Show.or(cpu, Show.percent)} · RAM ${Show.or(ram, Show.percent)}`));
    }
    boxes.push(tile("generator", "Generator CPU", Show.percent(live ? now.generator_cpu_percent : report.generator.cpu_percent.mean),
      `${Show.bytes(report.generator.memory_bytes)} · late ${Show.count(report.late)}`, report.late ? "late" : ""));
    return boxes;
  };

  const makeCharts = (report, zoom) => {
    const answered = of => p => p.rps > 0 ? p[of] : null;
    const line = (label, colour, of, show, more) => ({ label, colour, of, show, ...more });
    const list = [
      { title: "Requests/s", axis: Show.rate, lines: [
        line("done", "--blue", p => p.rps, Show.rate, { fill: true }),
        ...(report.load === "rate" ? [line("wanted", "--grey", p => p.rate, Show.rate, { dash: [5, 4] })] : [])] },
      { title: "Response times", axis: Show.ms, least: 0.1, canBeLog: true, lines: [
        line("p50", "--teal", answered("p50_ms"), Show.ms), line("p95", "--amber", answered("p95_ms"), Show.ms),
        line("p99", "--violet", answered("p99_ms"), Show.ms)] },
      { title: "Users", axis: Show.whole, lines: [
        line("users", "--blue", p => p.users, Show.count, { fill: true }),
        line("in flight", "--amber", p => p.in_flight, Show.count)] },
      { title: "Failures/s", axis: Show.rate, lines: [
        line("failed", "--red", p => p.failures_per_s, Show.rate, { fill: true })] },
    ];
    if (report.history.some(p => p.instances != null)) {
      list.push({ title: "Instances", axis: Show.whole, lines: [
        line("running", "--teal", p => p.instances, Show.count, { fill: true })] });
    }
    if (report.history.some(p => p.cpu_percent != null || p.ram_percent != null)) {
      list.push({ title: "CPU and RAM, of the limit", axis: Show.percent, least: 100, lines: [
        line("busiest CPU", "--amber", p => p.cpu_percent, Show.percent),
        line("fullest RAM", "--violet", p => p.ram_percent, Show.percent)] });
    }
    list.push({ title: "Generator", axis: Show.percent, lines: [
      line("CPU of one core", "--grey", p => p.generator_cpu_percent, Show.percent, { fill: true })] });
    list.push({ title: "Late", axis: Show.whole, lines: [
      line("sent late", "--red", p => p.late, Show.count, { fill: true })] });
    const made = list.map(spec => ({ spec, chart: Charts.make({ ...spec, zoom }) }));
    parts.charts.replaceChildren(...made.map(({ chart }) => chart.node));
    return { key: list.map(spec => spec.title).join(), made };
  };

  const tasks = (report, of) => {
    const columns = [["Task"], ...["Requests", "Failures", "Requests/s", "Mean", "p50", "p90", "p95", "p99", "p99.9", "Max", "Body"].map(title => [title, true])];
    const rows = [...report.tasks, ...(report.tasks.length === 1 ? [] : [{ ...report.total, name: "all", method: "" }])];
    const times = ["mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms"];
    return table(columns, rows.map(task => [
      el("span", "", task.method ? el("span", "method", task.method) : null, task.name),
      Show.count(task.requests),
      task.failures ? el("span", "bad", `${Show.count(task.failures)} (${Show.percent(share(task))})`) : "0",
      Show.rate(task.rps), ...times.map(time => task.requests ? Show.ms(task[of][time]) : "–"), Show.bytes(Math.round(task.mean_bytes)),
    ]));
  };

  const failures = report => table([["Task"], ["Kind"], ["What"], ["How often", true]], report.failures.map(failure => {
    const task = el("span", "", failure.method ? el("span", "method", failure.method) : null, failure.task);
    let what = failure.detail;
    if (failure.samples.length) {
      const key = [failure.task, failure.method, failure.kind, failure.detail].join("\0");
      what = el("details", "", el("summary", "", failure.detail), ...failure.samples.map(sample => el("pre", "", sample)));
      what.open = opened.has(key);
      what.addEventListener("toggle", () => what.open ? opened.add(key) : opened.delete(key));
    }
    return [task, el("code", "bad", failure.kind), what, Show.count(failure.count)];
  }));

  const promises = report => table([["Promise"], ["Task"], ["Seen"], ["Kept"]], report.promises.map(promise => [
    el("code", "", promise.promise), promise.task ?? "all", promise.seen,
    promise.kept == null ? "not known" : promise.kept ? el("span", "good", "✓ kept") : el("span", "bad", "✗ broken"),
  ]));

  const instances = report => {
    const all = report.instances.reduce((sum, { requests }) => sum + requests, 0);
    const range = value => value == null ? ["–", "–"] : [Show.percent(value.mean), Show.percent(value.max)];
    return table([["Instance"], ["Address"], ...["Requests", "Share", "CPU limit", "CPU mean", "max", "RAM limit", "RAM mean", "max"].map(title => [title, true])],
      report.instances.map(one => [el("code", "", one.id), one.address, Show.count(one.requests),
        Show.percent(all ? one.requests / all * 100 : 0), Show.or(one.cpu_limit_cores, Show.rate), ...range(one.cpu_percent),
        Show.or(one.memory_limit_bytes, Show.bytes), ...range(one.ram_percent)]));
  };

  const generator = report => {
    const fleet = report.workers.length > 0;
    const row = (name, requests, late, usage, clock) => [name, Show.count(requests), late ? el("span", "bad", Show.count(late)) : "0",
      Show.percent(usage.cpu_percent.mean), Show.percent(usage.cpu_percent.max), Show.rate(usage.cores), Show.bytes(usage.memory_bytes),
      Show.ms(usage.waited_ms), Show.ms(usage.stolen_ms),
      ...(fleet ? [Show.or(clock?.clock_ahead_ms, Show.ms), Show.or(clock?.round_trip_ms, Show.ms)] : [])];
    const titles = ["Requests", "Late", "CPU mean", "CPU max", "Cores", "RAM", "Waited/s", "Stolen/s", ...(fleet ? ["Clock ahead", "Round trip"] : [])];
    return table([["Generator"], ...titles.map(title => [title, true])], [
      row(fleet ? "all workers" : "this process", report.total.requests, report.late, report.generator),
      ...report.workers.map(worker => row(
        el("span", "", `${worker.id} ${worker.address} `, worker.lost ? el("b", "bad", "lost") : null),
        worker.requests, worker.late, worker.usage, worker)),
    ]);
  };

  const tables = report => {
    const section = (id, title, content) => {
      const node = el("section", "", el("h2", "", title), content);
      node.id = id;
      return node;
    };
    const { total } = report;
    const corrected = JSON.stringify(total.latency) !== JSON.stringify(total.service);
    const list = [section("tasks", "Response times, from the moment a request was due", tasks(report, "latency"))];
    if (report.promises.length) list.push(section("promises", "Promises", promises(report)));
    if (report.failures.length) list.push(section("failed", "Failures", failures(report)));
    if (corrected) list.push(section("service", "Response times, from the moment it was sent", tasks(report, "service")));
    if (report.instances.length) list.push(section("instances", "Instances", instances(report)));
    list.push(section("generator", "Generator", generator(report)));
    return list;
  };

  return {
    // Shows `view`; a chart's part can be chosen with the mouse if `zoom`.
    update(view, zoom) {
      const { report } = view;
      document.title = `${report.target}: ${view.outcome}`;
      parts.head.replaceChildren(...head(view));
      parts.alarms.replaceChildren(...alarms(report));
      parts.tiles.replaceChildren(...tiles(report));
      // What has not changed is left alone, so that a text in it can be selected.
      const now = JSON.stringify({ ...report, history: null, elapsed_s: 0, remaining_s: 0 });
      if (now !== before) parts.tables.replaceChildren(...tables(report));
      before = now;
      const wanted = [report.load, ...["instances", "cpu_percent", "ram_percent"].map(name => report.history.some(p => p[name] != null))].join();
      if (!charts || charts.wanted !== wanted) charts = { ...makeCharts(report, zoom), wanted };
      const seconds = report.history.map(p => p.at_s), moments = report.history.map(p => p.unix_s);
      charts.made.forEach(({ spec, chart }) =>
        chart.set([seconds, ...spec.lines.map(line => report.history.map(p => line.of(p) ?? null))], moments));
    },
  };
};
