// Charts over the time of a run, drawn by uPlot. Texts are set as texts, never as HTML.
"use strict";

const Charts = (() => {
  const MINUTE = 60, HOUR = 3600;
  const STEPS = [1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR];
  const HEIGHT = 190;
  const all = new Set();

  // A label that is too long for a legend keeps its beginning and its end, where files' names differ.
  const short = label => label.length > 32 ? `${label.slice(0, 15)}…${label.slice(-15)}` : label;

  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const clock = s => {
    s = Math.max(0, Math.round(s));
    const two = n => String(n).padStart(2, "0");
    const hours = Math.floor(s / HOUR), minutes = Math.floor(s / MINUTE) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
  };

  // The time of day in UTC, as the run's beginning is said.
  const ofDay = unix => `${new Date(unix * 1000).toISOString().slice(11, 19)}Z`;

  // Makes a chart. `lines`: {label, colour, show(value), fill, dash, spansGaps}; `axis` shows a value of the axis.
  // A button makes the axis logarithmic if it `canBeLog`. `set(columns, moments)` gives it its data: seconds, then a
  // column for each line; and when each second was, since 1970, if that is one moment for all lines.
  const make = ({ title, lines, axis, least = 1, zoom = true, canBeLog = false }) => {
    const node = document.createElement("figure");
    const head = node.appendChild(document.createElement("figcaption"));
    const name = head.appendChild(document.createElement("b"));
    name.textContent = title;
    const at = head.appendChild(document.createElement("span"));
    at.className = "at";
    const legend = lines.map(line => {
      const entry = head.appendChild(document.createElement("span"));
      entry.className = "entry";
      const dot = entry.appendChild(document.createElement("i"));
      dot.style.background = `var(${line.colour})`;
      entry.append(`${short(line.label)} `);
      return entry.appendChild(document.createElement("b"));
    });
    if (canBeLog) {
      const button = head.appendChild(document.createElement("button"));
      button.type = "button";
      button.textContent = "log";
      button.title = "A logarithmic axis shows small values beside large ones";
      button.addEventListener("click", () => {
        isLog = !isLog;
        button.setAttribute("aria-pressed", isLog);
        draw();
      });
    }
    const place = node.appendChild(document.createElement("div"));
    let plot = null, isLog = false, columns = [[], ...lines.map(() => [])], moments = null;

    const when = i => moments ? `${clock(columns[0][i])} · ${ofDay(moments[i])}` : clock(columns[0][i]);

    const tell = () => {
      const last = columns[0].length - 1;
      const shown = plot && plot.cursor.idx != null && plot.cursor.left >= 0 ? plot.cursor.idx : last;
      at.textContent = shown < 0 || shown === last ? "" : when(shown);
      lines.forEach((line, i) => {
        const value = columns[i + 1][shown];
        legend[i].textContent = value == null ? "–" : line.show(value);
      });
    };

    const draw = () => {
      if (plot) plot.destroy();
      const text = colour("--dim"), grid = { stroke: colour("--grid"), width: 1 }, font = "11px system-ui, sans-serif";
      const side = { stroke: text, grid, ticks: { show: false }, font };
      plot = new uPlot({
        width: Math.max(200, place.clientWidth), height: HEIGHT, legend: { show: false },
        padding: [10, 22, 0, 0],
        cursor: { sync: { key: "run" }, drag: { x: zoom, y: false }, points: { size: 6 }, y: false },
        scales: {
          x: { time: false, range: (u, min, max) => [min ?? 0, Math.max(max ?? 0, (min ?? 0) + 10)] },
          y: isLog ? { distr: 3, range: (u, min, max) => uPlot.rangeLog(min ?? least, Math.max(max ?? 0, least), 10, true) }
            : { range: (u, min, max) => [0, uPlot.rangeNum(0, Math.max(max ?? 0, least), 0.1, true)[1]] },
        },
        axes: [
          { ...side, incrs: STEPS, values: (u, seconds) => seconds.map(clock), space: 60, size: 28 },
          { ...side, values: (u, values) => values.map(value => value == null ? "" : axis(value)), size: 62, space: 34 },
        ],
        series: [{}, ...lines.map(line => ({
          label: line.label, stroke: colour(line.colour), width: 1.75, dash: line.dash, spanGaps: line.spansGaps,
          fill: line.fill ? colour(line.colour) + "22" : undefined,
          points: { show: (u, i) => columns[i].filter(value => value != null).length < 2, size: 5 },
        }))],
        hooks: { setCursor: [tell] },
      }, columns, place);
      tell();
    };

    const chart = {
      node,
      draw,
      set(next, unix) {
        [columns, moments] = [next, unix];
        if (!place.clientWidth) return;
        if (plot) plot.setData(columns); else draw();
        tell();
      },
    };
    new ResizeObserver(() => {
      if (!place.clientWidth) return;
      if (plot) plot.setSize({ width: place.clientWidth, height: HEIGHT }); else draw();
    }).observe(place);
    all.add(chart);
    return chart;
  };

  // The colours are painted, not styled.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => all.forEach(chart => chart.draw()));

  return { make, clock };
})();
