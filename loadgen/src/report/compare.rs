//! Several runs beside each other, the first of which is what the others are measured by.

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::{bytes, count, millis, percent, rate, share};
use super::table::{Table, escaped};
use super::{InstanceReport, Outcome, Point, Range, Report};

/// Several runs, measured by the first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// By how many percent a figure may be worse than the first run's before that is a regression.
    pub threshold_percent: f64,
    /// The runs, in the order in which they were given.
    pub runs: Vec<Run>,
}

/// One run's figures.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Run {
    /// What tells it from the others, e.g. its file's name.
    pub name: String,
    /// What was loaded.
    pub target: String,
    /// Instances: the most that ran at once, if that is known.
    pub instances: Option<u64>,
    /// The CPU limit of an instance in cores, if it is known and the same for all.
    pub cpu_limit_cores: Option<f64>,
    /// The memory limit of an instance in bytes, if it is known and the same for all.
    pub memory_limit_bytes: Option<u64>,
    /// The most users at once.
    pub users: u64,
    /// What it has come to.
    pub outcome: Outcome,
    /// That in words.
    pub result: String,
    /// The figures that are measured by the first run's, in the order of [`Figure::ALL`].
    pub figures: Vec<Measured>,
}

/// A figure of one run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// Which.
    pub figure: Figure,
    /// Its value in the figure's unit, if it is known.
    pub value: Option<f64>,
    /// The value for people.
    pub shown: String,
    /// By how many percent it differs from the first run's: positive is more.
    pub change_percent: Option<f64>,
    /// Whether it is worse than the threshold allows.
    pub is_regression: bool,
}

/// What runs are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Requests a second.
    Rps,
    /// The median, in milliseconds.
    P50,
    /// 95 of 100 answers took at most so long, in milliseconds.
    P95,
    /// 99 of 100, in milliseconds.
    P99,
    /// Failed requests, in percent.
    Failures,
    /// CPU of the busiest instance at most, in percent of its limit.
    Cpu,
    /// Memory of the fullest instance at most, in percent of its limit.
    Ram,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Rps, Self::P50, Self::P95, Self::P99, Self::Failures, Self::Cpu, Self::Ram];

    /// Returns the title of its column.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Rps => "Requests/s",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Failures => "Failures",
            Self::Cpu => "CPU",
            Self::Ram => "RAM",
        }
    }

    /// A difference below this is noise, however large it is in percent.
    const fn least_difference(self) -> f64 {
        match self {
            Self::Rps | Self::P50 | Self::P95 | Self::P99 => 0.5,
            Self::Failures => 0.1,
            Self::Cpu | Self::Ram => 1.0,
        }
    }

    fn of(self, report: &Report) -> Option<f64> {
        let measured = report.total.requests > 0;
        // Instances that came and went are in the seconds only.
        let most = |of: fn(&InstanceReport) -> Option<Range>, at: fn(&Point) -> Option<f64>| {
            let instances = report.instances.iter().filter_map(of).map(|range| range.max);
            instances.chain(report.history.iter().filter_map(at)).reduce(f64::max)
        };
        match self {
            Self::Rps => measured.then_some(report.total.rps),
            Self::P50 => measured.then_some(report.total.latency.p50_ms),
            Self::P95 => measured.then_some(report.total.latency.p95_ms),
            Self::P99 => measured.then_some(report.total.latency.p99_ms),
            Self::Failures => measured.then(|| share(report.total.failures, report.total.requests)),
            Self::Cpu => most(|instance| instance.cpu_percent, |point| point.cpu_percent),
            Self::Ram => most(|instance| instance.ram_percent, |point| point.ram_percent),
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Rps => rate(value),
            Self::P50 | Self::P95 | Self::P99 => millis(value),
            Self::Failures | Self::Cpu | Self::Ram => percent(value),
        }
    }

    fn is_regression(self, first: f64, value: f64, threshold_percent: f64) -> bool {
        let worse = if self == Self::Rps { first - value } else { value - first };
        worse >= self.least_difference() && worse > first * threshold_percent / 100.0
    }
}

impl Comparison {
    /// Compares `runs`, each with what tells it from the others, with the first of them.
    #[must_use]
    pub fn of(runs: &[(String, Report)], threshold_percent: f64) -> Self {
        let first = runs.first().map(|(_, report)| report);
        let of_run = |(name, report): &(String, Report)| Run {
            name: name.clone(),
            target: report.target.clone(),
            instances: report.history.iter().filter_map(|point| point.instances).max(),
            cpu_limit_cores: same(report.instances.iter().map(|instance| instance.cpu_limit_cores)),
            memory_limit_bytes: same(report.instances.iter().map(|instance| instance.memory_limit_bytes)),
            users: report.history.iter().map(|point| point.users).max().unwrap_or(0),
            outcome: Outcome::of(report),
            result: Outcome::of(report).words().into(),
            figures: Figure::ALL.map(|figure| measured(figure, report, first, threshold_percent)).to_vec(),
        };
        Self { threshold_percent, runs: runs.iter().map(of_run).collect() }
    }

    /// Whether a run is worse than the first in anything.
    #[must_use]
    pub fn has_regression(&self) -> bool {
        self.runs.iter().flat_map(|run| &run.figures).any(|figure| figure.is_regression)
    }

    /// Returns it for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n\n{}\n", self.table().text().join("\n"), self.legend())
    }

    /// Returns it as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        format!("# Runs compared\n\n{}\n{}\n", self.table().markdown(), escaped(&self.legend()))
    }

    fn table(&self) -> Table {
        let [rps, p50, p95, p99, failures, cpu, ram] = Figure::ALL.map(Figure::title);
        let figures = ["Instances", "CPU limit", "RAM limit", "Users", rps, p50, p95, p99, failures, cpu, ram];
        let mut table = Table::new(["Run", "Target", "Result"], figures);
        for run in &self.runs {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
            let begin = [run.name.clone(), run.target.clone(), run.result.clone()];
            let machine = [
                or_dash(run.instances.map(count)),
                or_dash(run.cpu_limit_cores.map(rate)),
                or_dash(run.memory_limit_bytes.map(bytes)),
                count(run.users),
            ];
            table.row(begin.into_iter().chain(machine).chain(run.figures.iter().map(Measured::text)));
        }
        table
    }

    /// Says what the marks mean.
    #[must_use]
    pub fn legend(&self) -> String {
        let name = self.runs.first().map_or("", |run| &run.name);
        format!("Changes are against {name}; ▲▼: worse by more than {}.", percent(self.threshold_percent))
    }
}

impl Measured {
    fn text(&self) -> String {
        let Some(change) = self.change_percent.filter(|change| change.abs() >= 0.5) else { return self.shown.clone() };
        let mark = match (self.is_regression, change > 0.0) {
            (true, true) => " ▲",
            (true, false) => " ▼",
            (false, _) => "",
        };
        format!("{} ({change:+.0} %){mark}", self.shown)
    }
}

fn measured(figure: Figure, report: &Report, first: Option<&Report>, threshold_percent: f64) -> Measured {
    let value = figure.of(report);
    let baseline = first.filter(|first| !std::ptr::eq(*first, report)).and_then(|first| figure.of(first));
    let both = value.zip(baseline);
    Measured {
        figure,
        value,
        shown: value.map_or_else(|| "-".into(), |value| figure.show(value)),
        change_percent: both.filter(|(_, first)| *first > 0.0).map(|(value, first)| (value / first - 1.0) * 100.0),
        is_regression: both.is_some_and(|(value, first)| figure.is_regression(first, value, threshold_percent)),
    }
}

/// Returns the one value that all have.
fn same<T: PartialEq>(mut values: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = values.next()??;
    values.all(|value| value.as_ref() == Some(&first)).then_some(first)
}
