//! Which questions are asked.

use std::path::Path;
use std::time::Duration;

use drover_testkit::bench::Plan;

use crate::BESIDE;

/// What can be asked for.
pub(crate) const NAMES: [&str; 6] = ["penguins", "covertype", "sentiment", "direct", "fastapi", "scaling"];
/// The part that is no function.
pub(crate) const FASTAPI: &str = "fastapi";
/// How many users each function gets, a request a second each.
const USERS: [u64; 4] = [500, 2_000, 5_000, 10_000];
/// What is promised.
const PROMISE: &str = "p95<1s,failures<1%";
/// Trials for which a search has time; most take fewer, and each a little less.
const TRIALS: u32 = 9;
/// Slots of an instance without a gateway before it: as many as there are users at most.
const SLOTS_ALONE: u64 = 10_000;
/// Users who wait for nothing, for each instance.
const GREEDY: u64 = 32;

/// Some questions that are asked one after the other.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) questions: Vec<Question>,
}

/// Which of loadgen's questions it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The least size.
    Least,
    /// Throughput by instances.
    Growth,
}

/// One question.
pub(crate) struct Question {
    /// The name of its files.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) function: &'static str,
    pub(crate) users: u64,
    /// What else loadgen is told.
    pub(crate) words: Vec<String>,
    /// The CPU that is tried first, if no question before says more.
    pub(crate) start_cpu: Option<f64>,
    /// At most so many cores and MiB are aimed at.
    pub(crate) aims: Option<[f64; 2]>,
    /// The model of the FastAPI service.
    model: Option<&'static str>,
}

/// How long a trial takes.
pub(crate) struct Timing {
    pub(crate) ramp: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) hold: Duration,
}

impl Kind {
    /// Returns the command.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Least => "rightsize",
            Self::Growth => "scaling",
        }
    }
}

impl Question {
    fn least(name: String, function: &'static str, users: u64, promise: &str) -> Self {
        // Two trials that hold are good, and one that breaks is bad: with 0.9 it takes twice as long.
        let words = ["--slo", promise, "--counts", "1", "--confidence", "0.75", "--max-memory", "512"];
        let words = words.map(str::to_owned).to_vec();
        Self { name, kind: Kind::Least, function, users, words, start_cpu: Some(0.05), aims: None, model: None }
    }

    fn growth(name: &str, words: &[&str]) -> Self {
        let usual = ["--counts", "1,2,3,5", "--cpu", "0.1", "--memory", "64", "--repeats", "2"];
        let words = usual.iter().chain(words).map(|word| (*word).to_owned()).collect();
        let (name, start_cpu, aims, model) = (name.to_owned(), None, None, None);
        Self { name, kind: Kind::Growth, function: "penguins", users: GREEDY, words, start_cpu, aims, model }
    }

    /// Returns the variables of the job file.
    pub(crate) fn vars(&self, python: Option<&Path>) -> Vec<String> {
        match (self.model, python) {
            (Some(model), Some(python)) => vec![format!("model={model}"), format!("python={}", python.display())],
            _ => {
                let mut vars = vec![format!("function={}", self.function), "min=1".into()];
                // Without a gateway nobody queues what comes at once.
                let is_direct = self.words.iter().any(|word| word == "--direct");
                vars.extend(is_direct.then(|| format!("slots={SLOTS_ALONE}")));
                vars
            }
        }
    }

    pub(crate) fn timing(&self, plan: &Plan) -> Timing {
        Timing { ramp: plan.warm_up * 2, warm_up: plan.warm_up, hold: plan.hold * 2 / 5 }
    }

    /// Returns how long it may take.
    pub(crate) fn most(&self, plan: &Plan) -> Duration {
        let Timing { ramp, warm_up, hold } = self.timing(plan);
        let most = (ramp + warm_up + hold + BESIDE) * TRIALS;
        // Python's imports take seconds of a part of a core.
        if self.model.is_some() { most * 3 / 2 } else { most }
    }
}

/// Returns the part of this name.
pub(crate) fn part(name: &str) -> Option<Part> {
    let name = NAMES.into_iter().find(|known| *known == name)?;
    let questions = match name {
        "direct" => direct(),
        FASTAPI => fastapi(),
        "scaling" => vec![Question::growth("scaling", &[]), Question::growth("scaling-direct", &["--direct"])],
        function => USERS.map(|users| of_function(function, users)).into(),
    };
    Some(Part { name, questions })
}

fn of_function(function: &'static str, users: u64) -> Question {
    let question = Question::least(format!("{function}-{users}"), function, users, PROMISE);
    // The gateway holds the connections.
    let aims = (function == "penguins" && users == 10_000).then_some([0.35, 64.0]);
    Question { aims, ..question }
}

/// Each user has a connection of their own to the instance.
fn direct() -> Vec<Question> {
    let question = Question::least("penguins-direct-10000".into(), "penguins", 10_000, "p95<100ms,failures<1%");
    let words = [question.words, vec!["--direct".into()]].concat();
    vec![Question { words, start_cpu: Some(0.35), aims: Some([0.35, 256.0]), ..question }]
}

fn fastapi() -> Vec<Question> {
    let question = |model, users, start| {
        let question = Question::least(format!("fastapi-{model}-{users}"), FASTAPI, users, PROMISE);
        let words = [question.words, vec!["--max-cpu".into(), "1".into(), "--min-memory".into(), "32".into()]].concat();
        Question { words, start_cpu: Some(start), model: Some(model), ..question }
    };
    vec![
        question("onnx", 500, 0.25),
        question("onnx", 2_000, 0.8),
        question("sklearn", 50, 0.63),
        question("sklearn", 500, 1.0),
    ]
}
