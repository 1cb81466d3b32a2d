//! What a scenario file says of the run itself: how many users, when, for how long.

use std::time::Duration;

use super::document::{Findings, Table};
use crate::plan::{Arrivals, Load, Plan, Stage, Wait};

/// What a scenario file says of the run. What it does not say is left to the command line and its defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// A function's name or a URL.
    pub target: Option<String>,
    /// How many users there are in the end; not together with `stages` or `rate`.
    pub users: Option<f64>,
    /// How many users are added a second.
    pub spawn_rate: Option<f64>,
    /// Requests a second, whatever the answers do; not together with `users`.
    pub rate: Option<f64>,
    /// How such requests are spread: constant or Poisson.
    pub arrivals: Option<Arrivals>,
    /// The stages of the users, or of the rate if `rate` or `arrivals` is given.
    pub stages: Vec<Stage>,
    /// How long it goes on.
    pub run_time: Option<Duration>,
    /// How long answers are waited for once nothing new is sent.
    pub stop_timeout: Option<Duration>,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
    /// How long a user waits after a task.
    pub wait: Option<Wait>,
    /// What all that is drawn at random begins from.
    pub seed: Option<u64>,
    /// What is promised.
    pub promises: Vec<Promise>,
}

/// A promise as it is written, such as `p95<1s, failures<1%`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// Its text.
    pub text: String,
    /// The task that it is for; all if there is none.
    pub task: Option<String>,
    /// Where it is written: `FILE:LINE:COLUMN`.
    pub place: String,
}

impl Settings {
    /// Changes `plan` as far as the scenario says something of it.
    pub fn apply(&self, plan: &mut Plan) {
        let is_rate = self.rate.is_some() || self.arrivals.is_some();
        let stages = match (self.stages.as_slice(), self.users.or(self.rate)) {
            ([], Some(target)) => vec![Stage::ramp(0.0, target, self.spawn_rate.unwrap_or(0.0))],
            ([], None) => Vec::new(),
            (stages, _) => stages.to_vec(),
        };
        if !stages.is_empty() {
            let arrivals = self.arrivals.clone().unwrap_or(Arrivals::Constant);
            plan.load = match is_rate {
                true => Load::Rate { stages, arrivals, connections: Plan::CONNECTIONS },
                false => Load::Users(stages),
            };
        }
        plan.run_time = self.run_time.or(plan.run_time);
        plan.stop_timeout = self.stop_timeout.unwrap_or(plan.stop_timeout);
        plan.timeout = self.timeout.unwrap_or(plan.timeout);
        plan.wait = self.wait.unwrap_or(plan.wait);
        plan.seed = self.seed.unwrap_or(plan.seed);
    }
}

/// Reads what the top of the file says of the run.
pub(super) fn read(root: &Table<'_>, findings: &Findings) -> Settings {
    let positive = |key: &'static str| {
        let item = root.get(key)?;
        item.number().and_then(|n| if n > 0.0 && n.is_finite() { Some(n) } else { item.wrong("a number above 0") })
    };
    let wait = root.get("wait_time").and_then(|item| {
        let text = item.as_str().map_or_else(|| item.json().to_string(), str::to_owned);
        text.parse::<Wait>().map_err(|why| findings.add(item.at, why)).ok()
    });
    let mut settings = Settings {
        target: root.text("target").map(|(target, _)| target.to_owned()),
        users: positive("users"),
        spawn_rate: positive("spawn_rate"),
        rate: positive("rate"),
        arrivals: root.word("arrivals", &[("constant", Arrivals::Constant), ("poisson", Arrivals::Poisson)]),
        stages: Vec::new(),
        run_time: root.duration("run_time"),
        stop_timeout: root.duration("stop_timeout"),
        timeout: root.duration("timeout"),
        wait,
        seed: root.count("seed", 0),
        promises: Vec::new(),
    };
    if let Some((text, at)) = root.text("slo") {
        settings.promises.push(Promise { text: text.into(), task: None, place: findings.place(at) });
    }
    for table in root.tables("stages") {
        let from = settings.stages.last().map_or(0.0, |stage| stage.target);
        stage(&table, from, &mut settings.stages, findings);
        table.finish();
    }
    let both = |a: bool, b: bool, what: &str| {
        if a && b {
            findings.add(root.at, format!("{what} do not go together: keep one"));
        }
    };
    let has_stages = !settings.stages.is_empty();
    both(settings.users.is_some(), settings.rate.is_some(), "`users` and `rate`");
    both(settings.users.is_some(), has_stages, "`users` and [[stages]]");
    both(settings.rate.is_some(), has_stages, "`rate` and [[stages]]; for stages of a rate, give `arrivals`,");
    settings
}

/// Reads one stage, which may be several of the plan.
fn stage(table: &Table<'_>, from: f64, stages: &mut Vec<Stage>, findings: &Findings) {
    let target = table.get("target").and_then(|item| {
        item.number()
            .and_then(|n| if n >= 0.0 && n.is_finite() { Some(n) } else { item.wrong("a number of at least 0") })
    });
    // k6 calls the time of the way there `duration`.
    let times = [table.duration("ramp"), table.duration("duration")];
    let spawn_rate = table.number("spawn_rate").filter(|n| *n > 0.0);
    let hold = table.duration("hold");
    let steps = table.count("steps", 1);
    if times.iter().flatten().count() + usize::from(spawn_rate.is_some()) > 1 {
        findings.add(table.at, "`ramp`, `duration` and `spawn_rate` all say how fast: keep one");
    }
    let Some(target) = target else {
        if !table.has("target") {
            findings.add(table.at, "a stage has no target: how many users, or requests a second");
        }
        return;
    };
    let by_rate = spawn_rate.map(|rate| Stage::ramp(from, target, rate).ramp);
    let ramp = times.into_iter().flatten().next().or(by_rate).unwrap_or_default();
    // Without an end, only the last stage may be.
    let hold = Some(hold.unwrap_or_default());
    match steps.and_then(|n| u32::try_from(n).ok()) {
        Some(n) if n > 1 => {
            let level = |i: u32| from + (target - from) * f64::from(i) / f64::from(n);
            let step = |i: u32| Stage { target: level(i), ramp: Duration::ZERO, hold: Some(ramp / n) };
            stages.extend((1..=n).map(step));
            stages.push(Stage { target, ramp: Duration::ZERO, hold });
        }
        _ => stages.push(Stage { target, ramp, hold }),
    }
}
