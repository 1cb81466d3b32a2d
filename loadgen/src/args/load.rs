//! How much load, when, for how long: what becomes a plan.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use loadgen::plan::{Arrivals, Load, Plan, Preset, Stage, Wait, time};
use loadgen::scenario;

/// What is read from a command line, and otherwise from a scenario or by default.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// Users at most. Default: 1.
    #[arg(short, long, conflicts_with_all = ["rate", "replay"])]
    users: Option<u64>,
    /// Users that are added a second; all at once by default.
    #[arg(short = 'r', long, value_name = "PER_SECOND")]
    spawn_rate: Option<f64>,
    /// How long it goes on, e.g. 300, 5m or 1h30m; until Ctrl-C by default.
    #[arg(short = 't', long, value_name = "TIME", value_parser = time)]
    run_time: Option<Duration>,
    /// What a user waits after each request: 1s, between(1, 5), constant_pacing(1), exponential(1). Default: 0.
    #[arg(long, value_name = "WAIT")]
    wait_time: Option<Wait>,
    /// Requests a second, whatever the answers do. Of a scenario these are tasks begun a second, as iterations are of
    /// k6's arrival rates: one of three steps makes three requests.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How the requests of --rate are spread.
    #[arg(long, value_enum, default_value_t = Spread::Constant)]
    arrivals: Spread,
    /// Requests at the moments that a file holds: seconds from the beginning, one in a line.
    #[arg(long, value_name = "FILE", conflicts_with = "rate")]
    replay: Option<PathBuf>,
    /// Connections at most, for --rate and --replay.
    #[arg(long, default_value_t = Plan::CONNECTIONS)]
    connections: usize,
    /// A load by name.
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Multiplies the times of stages and run: 0.1 makes a smoke test of an hour.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    scale_time: f64,
    /// How long answers are waited for at the end. Default: 30 s.
    #[arg(long, value_name = "TIME", value_parser = time)]
    stop_timeout: Option<Duration>,
    /// How long an answer may take. Default: 60 s.
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// What all that is drawn at random begins from. Default: 1.
    #[arg(long)]
    seed: Option<u64>,
}

/// How requests are spread.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Spread {
    /// At equal distances.
    Constant,
    /// As if by people who do not know of each other.
    Poisson,
}

impl LoadArgs {
    /// Makes the plan: the command line before the scenario before the preset before defaults.
    pub(crate) fn plan(&self, scenario: Option<&scenario::Settings>) -> Result<Plan> {
        let mut plan = self.preset.map_or_else(Plan::default, Preset::plan);
        if let Some(settings) = scenario {
            settings.apply(&mut plan);
        }
        if let Some(load) = self.load()? {
            plan.load = load;
        } else if let (Load::Rate { connections, .. }, true) = (&mut plan.load, self.connections != Plan::CONNECTIONS) {
            *connections = self.connections;
        }
        plan.run_time = self.run_time.or(plan.run_time);
        plan.wait = self.wait_time.unwrap_or(plan.wait);
        plan.stop_timeout = self.stop_timeout.unwrap_or(plan.stop_timeout);
        plan.timeout = self.timeout.unwrap_or(plan.timeout);
        plan.seed = self.seed.unwrap_or(plan.seed);
        if !(self.scale_time > 0.0 && self.scale_time.is_finite()) {
            bail!("--scale-time is {}, and must be above 0", self.scale_time);
        }
        plan.scale_time(self.scale_time);
        Ok(plan)
    }

    fn load(&self) -> Result<Option<Load>> {
        if let Some(file) = &self.replay {
            let arrivals = Arrivals::Replay(moments(file)?.into());
            return Ok(Some(Load::Rate { stages: Vec::new(), arrivals, connections: self.connections }));
        }
        if let Some(rate) = self.spawn_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            bail!("--spawn-rate is {rate}, and must be above 0");
        }
        if let Some(rate) = self.rate {
            if !(rate > 0.0 && rate.is_finite()) {
                bail!("--rate is {rate}, and must be above 0");
            }
            let arrivals = match self.arrivals {
                Spread::Constant => Arrivals::Constant,
                Spread::Poisson => Arrivals::Poisson,
            };
            let stages = vec![Stage::step(rate)];
            return Ok(Some(Load::Rate { stages, arrivals, connections: self.connections }));
        }
        let Some(users) = self.users else { return Ok(None) };
        Ok(Some(Load::Users(vec![Stage::ramp(0.0, users as f64, self.spawn_rate.unwrap_or(0.0))])))
    }
}

/// Reads moments, which must not fall.
fn moments(file: &std::path::Path) -> Result<Vec<Duration>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut moments = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("{}:{}: `{line}`", file.display(), n + 1);
        let seconds: f64 = line.trim().parse().with_context(at)?;
        let moment = Duration::try_from_secs_f64(seconds).with_context(at)?;
        if moments.last().is_some_and(|before| *before > moment) {
            bail!("{} is before the line above it", at());
        }
        moments.push(moment);
    }
    if moments.is_empty() {
        bail!("{} holds no moment", file.display());
    }
    Ok(moments)
}
