//! What was found: [`Sizing`], of which every output is made.

use std::collections::BTreeMap;

use drover_engine::local::Host;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::law::Law;
use super::trial::{Offer, Timing, Trial};
use super::{Candidate, Found, Verdict};

/// The version of the JSON form; it changes when a field changes its meaning or goes.
pub const SCHEMA: &str = "drover.loadgen.rightsize/1";

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sizing {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of loadgen.
    pub version: String,
    /// What was asked.
    pub kind: Kind,
    /// When it began, RFC 3339, UTC.
    pub began: String,
    /// How long it took, seconds.
    pub took_s: f64,
    /// The function.
    pub function: String,
    /// What runs it: version and checksum of the model, the program.
    pub code: String,
    /// What ran its instances.
    pub engine: String,
    /// Processor, cores and memory of this machine.
    pub machine: String,
    /// The command's settings, by the names of its options without dashes.
    pub plan: BTreeMap<String, String>,
    /// What is promised.
    pub promises: Vec<String>,
    /// How long the parts of a trial took.
    pub timing: Timing,
    /// The share of verdicts that are right, at least.
    pub confidence: f64,
    /// All trials, in the order in which they were looked at.
    pub trials: Vec<Trial>,
    /// How many of them were made before.
    pub n_reused: usize,
    /// The least size that holds.
    pub answer: Option<Answer>,
    /// The most that a size holds.
    pub capacity: Option<Capacity>,
    /// How throughput grows with instances.
    pub law: Option<Law>,
    /// Why it ended before it knew; nothing if it does.
    pub stopped: Option<String>,
    /// What should be known besides.
    pub notes: Vec<String>,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Which least size holds a load.
    Rightsize,
    /// Which most load a size holds.
    Capacity,
    /// How throughput grows with instances.
    Scaling,
    /// What each of some sizes does with each of some loads.
    Matrix,
}

/// The least size that holds, and what to write into the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The least size that held.
    #[serde(flatten)]
    pub least: Candidate,
    /// Trials in which it held.
    pub held: u32,
    /// All its trials that count.
    pub trials: u32,
    /// Whether that is enough for the confidence that was asked for.
    pub is_sure: bool,
    /// What is added to CPU and memory, percent.
    pub headroom_percent: f64,
    /// The size with that.
    pub recommended: Candidate,
    /// Its CPU, MHz, as a job file has it.
    pub cpu_mhz: u64,
    /// Requests in flight in one instance at this load, which the gateway should aim at.
    pub target_in_flight: u64,
    /// Blocks for the job file.
    pub blocks: String,
}

/// The most that a size holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// The size.
    #[serde(flatten)]
    pub size: Candidate,
    /// The load.
    pub offer: Offer,
    /// Requests a second in its trials.
    pub rps: f64,
    /// Trials in which it held.
    pub held: u32,
    /// All its trials that count.
    pub trials: u32,
}

impl Sizing {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.kind {
            Kind::Rightsize => self.answer.is_none(),
            Kind::Capacity => self.capacity.is_none(),
            Kind::Scaling | Kind::Matrix => self.trials.is_empty(),
        }
    }
}

impl Answer {
    /// Makes the recommendation by the trials of the least size that held.
    #[must_use]
    pub fn new(least: Candidate, found: Found, trials: &[Trial], headroom_percent: f64, bounds: (u32, u32)) -> Self {
        let factor = 1.0 + headroom_percent / 100.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, and not negative")]
        let whole = |value: f64| value.ceil().max(1.0) as u64;
        let recommended = Candidate {
            cpu_cores: (least.cpu_cores * factor * 1e4).round() / 1e4,
            memory_mib: whole(least.memory_mib as f64 * factor),
            count: least.count,
        };
        let held: Vec<_> =
            trials.iter().filter(|trial| trial.candidate == least && trial.verdict == Verdict::Held).collect();
        // Little's law: what is in flight is the rate times how long one takes.
        let in_flight = held.iter().map(|trial| trial.rps * trial.mean_ms / 1e3).fold(0.0, f64::max);
        let target_in_flight = whole(in_flight / f64::from(least.count));
        let cpu_mhz = whole(recommended.cpu_cores * Host::read().core_mhz as f64);
        let (min, max) = bounds;
        let (memory, target) = (recommended.memory_mib, target_in_flight);
        let blocks = format!(
            "resources {{\n  cpu    = {cpu_mhz} # {} of a core of {} MHz\n  memory = {memory}\n}}\n\n\
             scaling {{\n  enabled = true\n  min     = {min}\n  max     = {}\n\n  policy {{\n    target_in_flight = {target}\n  }}\n}}\n",
            recommended.cpu_cores,
            Host::read().core_mhz,
            max.max(least.count),
        );
        Self {
            least,
            held: found.held,
            trials: found.trials,
            is_sure: found.is_sure,
            headroom_percent,
            recommended,
            cpu_mhz,
            target_in_flight,
            blocks,
        }
    }
}

/// Returns the JSON Schema of what `--json` writes, ending in a newline.
#[must_use]
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Sizing);
    schema.insert("$id".into(), format!("urn:{}", SCHEMA.replace('/', ":")).into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
