//! What is asked about sizes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use loadgen::plan::{Wait, time};
use loadgen::rightsize::Cost;
use loadgen::rightsize::ladder::Grain;

use super::RequestArgs;

/// What all of these commands are told.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    /// The function.
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// What a user waits after each request, as for a run.
    #[arg(long, value_name = "WAIT", help_heading = "Load")]
    pub(crate) wait_time: Option<Wait>,
    /// How long an answer may take.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s", help_heading = "Load")]
    pub(crate) timeout: Duration,
    /// From nothing to the whole load.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5s", help_heading = "Load")]
    pub(crate) ramp: Duration,
    /// The whole load before anything is measured.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "3s", help_heading = "Load")]
    pub(crate) warm_up: Duration,
    /// What is measured.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "20s", help_heading = "Load")]
    pub(crate) hold: Duration,
    /// What must hold: see loadgen's own --slo.
    #[arg(long, value_name = "PROMISES", help_heading = "Search")]
    pub(crate) slo: Vec<String>,
    /// What must run the instances; refuses to begin if it is another.
    #[arg(long, value_enum, help_heading = "Search")]
    pub(crate) engine: Option<EngineArg>,
    /// When to stop, with the best so far.
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "Search")]
    pub(crate) max_time: Option<Duration>,
    /// Makes trials that were made before anew.
    #[arg(long, help_heading = "Search")]
    pub(crate) force: bool,
    /// Only gives the function back what it had before trials that were cut off.
    #[arg(long, help_heading = "Search")]
    pub(crate) restore: bool,
    /// Where trials are kept, in rightsize.sqlite.
    #[arg(long, env = "DROVER_STATE_DIR", default_value = ".drover", value_name = "DIR", help_heading = "Search")]
    pub(crate) state_dir: PathBuf,
    /// Writes a page with charts.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) html: Option<PathBuf>,
    /// Writes all figures; `loadgen schema --rightsize` says how.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) json: Option<PathBuf>,
    /// Writes tables.
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) markdown: Option<PathBuf>,
}

/// What runs instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineArg {
    /// `drover up`.
    Local,
    /// Nomad, behind `drover gateway`.
    Nomad,
}

/// The least size that holds.
#[derive(Debug, Args)]
pub(crate) struct RightsizeArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Users, each of whom sends a request a second unless --wait-time says otherwise.
    #[arg(short, long, required_unless_present_any = ["rate", "restore"], conflicts_with = "rate", help_heading = "Load")]
    pub(crate) users: Option<u64>,
    /// Requests a second, whatever the answers do.
    #[arg(long, value_name = "PER_SECOND", help_heading = "Load")]
    pub(crate) rate: Option<f64>,
    /// The least CPU of an instance, cores.
    #[arg(long, value_name = "CORES", default_value_t = 0.05, help_heading = "Search")]
    pub(crate) min_cpu: f64,
    /// The most CPU of an instance, cores. Default: this machine's.
    #[arg(long, value_name = "CORES", help_heading = "Search")]
    pub(crate) max_cpu: Option<f64>,
    /// The CPU that is tried first, cores, where it is known about: the steps from there are short. Default: 0.25, and
    /// factors of two.
    #[arg(long, value_name = "CORES", help_heading = "Search")]
    pub(crate) start_cpu: Option<f64>,
    /// The least memory of an instance, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 16, help_heading = "Search")]
    pub(crate) min_memory: u64,
    /// The most memory of an instance, MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, help_heading = "Search")]
    pub(crate) max_memory: u64,
    /// How many instances are tried, in this order, as far as the job allows them.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", help_heading = "Search")]
    pub(crate) counts: Vec<u32>,
    /// How far sizes are apart.
    #[arg(long, value_enum, default_value_t = Grain::Usual, help_heading = "Search")]
    pub(crate) grain: Grain,
    /// The share of verdicts that are right at the edge, at least.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, help_heading = "Search")]
    pub(crate) confidence: f64,
    /// What a size costs: `cpu` is all CPU and then all memory, `cpu=30,memory=4` prices of a core and a GiB.
    #[arg(long, value_name = "PRICES", default_value_t = Cost::default(), help_heading = "Search")]
    pub(crate) cost: Cost,
    /// What is added to CPU and memory in the recommendation, percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0, help_heading = "Results")]
    pub(crate) headroom: f64,
    /// Writes the recommendation into this job file; the plan is shown first.
    #[arg(long, value_name = "JOBFILE", help_heading = "Results")]
    pub(crate) apply: Option<PathBuf>,
}

/// The most load that a size holds.
#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// CPU of an instance, cores; as it is unless given.
    #[arg(long, value_name = "CORES", help_heading = "Search")]
    pub(crate) cpu: Option<f64>,
    /// Memory of an instance, MiB; as it is unless given.
    #[arg(long, value_name = "MIB", help_heading = "Search")]
    pub(crate) memory: Option<u64>,
    /// Instances; as it is unless given.
    #[arg(long, help_heading = "Search")]
    pub(crate) count: Option<u32>,
    /// Searches for requests a second, not for users.
    #[arg(long, help_heading = "Search")]
    pub(crate) by_rate: bool,
    /// The load that is tried first.
    #[arg(long, value_name = "LOAD", default_value_t = 100, help_heading = "Search")]
    pub(crate) start: u64,
    /// The most load that is tried.
    #[arg(long, value_name = "LOAD", default_value_t = 20_000, help_heading = "Search")]
    pub(crate) most: u64,
    /// How far loads are apart.
    #[arg(long, value_enum, default_value_t = Grain::Usual, help_heading = "Search")]
    pub(crate) grain: Grain,
    /// The share of verdicts that are right at the edge, at least.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, help_heading = "Search")]
    pub(crate) confidence: f64,
}

/// Throughput by instances.
#[derive(Debug, Args)]
pub(crate) struct ScalingArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// How many instances are tried.
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,5", help_heading = "Search")]
    pub(crate) counts: Vec<u32>,
    /// CPU of an instance, cores; as it is unless given.
    #[arg(long, value_name = "CORES", help_heading = "Search")]
    pub(crate) cpu: Option<f64>,
    /// Memory of an instance, MiB; as it is unless given.
    #[arg(long, value_name = "MIB", help_heading = "Search")]
    pub(crate) memory: Option<u64>,
    /// Users for each instance, who wait for nothing unless --wait-time says otherwise: enough to keep it busy.
    #[arg(short, long, default_value_t = 32, help_heading = "Load")]
    pub(crate) users: u64,
    /// Trials of each number of instances.
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = "Search")]
    pub(crate) repeats: usize,
}

/// Sizes against loads.
#[derive(Debug, Args)]
pub(crate) struct MatrixArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// CPU of an instance, cores.
    #[arg(long, value_name = "CORES", value_delimiter = ',', help_heading = "Search")]
    pub(crate) cpu: Vec<f64>,
    /// Memory of an instance, MiB.
    #[arg(long, value_name = "MIB", value_delimiter = ',', help_heading = "Search")]
    pub(crate) memory: Vec<u64>,
    /// Instances.
    #[arg(long, value_delimiter = ',', default_value = "1", help_heading = "Search")]
    pub(crate) count: Vec<u32>,
    /// Users, each of whom sends a request a second unless --wait-time says otherwise.
    #[arg(short, long, value_delimiter = ',', required_unless_present = "restore", help_heading = "Load")]
    pub(crate) users: Vec<u64>,
}

/// One of these commands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    Rightsize(&'a RightsizeArgs),
    Capacity(&'a CapacityArgs),
    Scaling(&'a ScalingArgs),
    Matrix(&'a MatrixArgs),
}

impl<'a> Ask<'a> {
    pub(crate) fn common(self) -> &'a CommonArgs {
        match self {
            Self::Rightsize(args) => &args.common,
            Self::Capacity(args) => &args.common,
            Self::Scaling(args) => &args.common,
            Self::Matrix(args) => &args.common,
        }
    }
}

impl<'a> From<&'a RightsizeArgs> for Ask<'a> {
    fn from(args: &'a RightsizeArgs) -> Self {
        Self::Rightsize(args)
    }
}

impl<'a> From<&'a CapacityArgs> for Ask<'a> {
    fn from(args: &'a CapacityArgs) -> Self {
        Self::Capacity(args)
    }
}

impl<'a> From<&'a ScalingArgs> for Ask<'a> {
    fn from(args: &'a ScalingArgs) -> Self {
        Self::Scaling(args)
    }
}

impl<'a> From<&'a MatrixArgs> for Ask<'a> {
    fn from(args: &'a MatrixArgs) -> Self {
        Self::Matrix(args)
    }
}
