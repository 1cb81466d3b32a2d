// Follows the run and steers it.
"use strict";

(() => {
  const get = id => document.getElementById(id);
  const view = View(get("view"));
  const inputs = { users: get("users"), "spawn-rate": get("spawn-rate"), rate: get("rate") };
  const said = get("said");
  let report = null;

  const say = (text, isBad) => {
    said.textContent = text;
    said.className = isBad ? "bad" : "";
  };

  const send = async (control, done) => {
    try {
      const answer = await fetch("/api/control", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(control),
      });
      const { error } = answer.ok ? {} : await answer.json();
      say(error ?? done, !answer.ok);
    } catch {
      say("the generator does not answer", true);
    }
  };

  const show = next => {
    if (next.more) next.report.history = [...report.history, ...next.report.history];
    const isNew = !report || report.began !== next.report.began;
    report = next.report;
    view.update(next, false);
    const over = ["finished", "stopped"].includes(report.state);
    get("start").disabled = !(over || report.state === "ready");
    get("stop").disabled = !["ramping", "holding"].includes(report.state);
    get("apply").disabled = over || report.state === "stopping";
    document.querySelectorAll("[data-load]").forEach(label => {
      label.hidden = label.dataset.load !== report.load;
      label.querySelector("input").disabled = label.hidden;
    });
    // What a person has typed is not overwritten.
    if (isNew) {
      for (const [name, input] of Object.entries(inputs)) {
        if (!input.value) input.value = parseFloat(report.plan[name]) || "";
      }
    }
  };

  get("start").addEventListener("click", () => send({ do: "start" }, "started"));
  get("stop").addEventListener("click", () => send({ do: "stop" }, "stopping"));
  get("controls").addEventListener("submit", event => {
    event.preventDefault();
    if (report.load === "rate") {
      send({ do: "rate", rate: inputs.rate.valueAsNumber }, `${inputs.rate.value} requests a second from now on`);
    } else {
      const [count, spawn_rate] = [inputs.users, inputs["spawn-rate"]].map(input => input.valueAsNumber);
      send({ do: "users", count, spawn_rate }, `${count} users from now on`);
    }
  });

  const events = new EventSource("/events");
  events.addEventListener("run", event => {
    if (said.dataset.lost) say("");
    delete said.dataset.lost;
    show(JSON.parse(event.data));
  });
  events.addEventListener("error", () => {
    if (report && ["finished", "stopped"].includes(report.state)) return;
    said.dataset.lost = true;
    say("the generator does not answer; trying again", true);
  });
})();
