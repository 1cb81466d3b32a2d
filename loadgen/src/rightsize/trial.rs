//! One trial: a size is deployed, its limits are read back, it is loaded and judged.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use drover_engine::Instance;
use drover_engine::local::cgroup::Cgroup;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::deploy::{Deployer, NotDeployed, check, groups, verify};
use super::machine::{Machine, Since};
use super::{Candidate, Error, Verdict};
use crate::control::Control;
use crate::plan::{Load, Plan, Stage};
use crate::report::Report;
use crate::run::Run;
use crate::slo::Promise;

/// By what factor a promise must be missed for a trial to be hopeless.
const HOPELESS: f64 = 3.0;
/// Requests that the generator may send late where all promises are kept in spite of it, percent.
const LATE_PERCENT: f64 = 5.0;
/// Seconds of measuring before that is believed.
const HOPELESS_AFTER: usize = 3;

/// What a trial is loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// So many users.
    Users(u64),
    /// So many requests a second.
    Rate(f64),
}

/// How long the parts of a trial take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// From nothing to the whole load, seconds.
    pub ramp_s: f64,
    /// The whole load before anything is measured, seconds.
    pub warm_up_s: f64,
    /// What is measured, seconds.
    pub hold_s: f64,
}

/// What one trial has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trial {
    /// When it began, RFC 3339, UTC.
    pub began: String,
    /// The size.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// The load.
    pub offer: Offer,
    /// Why this was tried.
    pub because: String,
    /// What came of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Requests that were measured.
    pub requests: u64,
    /// Requests a second.
    pub rps: f64,
    /// Failed requests, percent.
    pub failures_percent: f64,
    /// Half of the answers took at most so long, milliseconds.
    pub p50_ms: f64,
    /// 95 of 100 answers.
    pub p95_ms: f64,
    /// 99 of 100 answers.
    pub p99_ms: f64,
    /// On average.
    pub mean_ms: f64,
    /// CPU of the busiest instance on average, percent of its limit.
    pub cpu_percent: Option<f64>,
    /// The most memory that an instance took, MiB.
    pub peak_mib: Option<f64>,
    /// The generator's CPU on average, percent of one core.
    pub generator_cpu_percent: f64,
    /// Requests that the generator sent late.
    pub late: u64,
    /// What the machine did meanwhile.
    pub machine: Machine,
    /// Whether it ended early, because nothing could save it.
    pub is_cut_short: bool,
}

/// What a trial is made of besides its size.
pub struct Setup<'a> {
    /// Deploys.
    pub deployer: &'a Deployer,
    /// What is promised.
    pub promises: &'a [Promise],
    /// How long it takes.
    pub timing: Timing,
    /// Makes the run of a load, whose target's instances are those of the moment.
    pub run: &'a (dyn Fn(Plan) -> Running<'a> + Sync),
    /// The plan whose load is replaced: how users wait, how long an answer may take.
    pub plan: &'a Plan,
    /// Where the reports of the run can be seen.
    pub reports: &'a watch::Sender<Arc<Report>>,
}

/// A run that is being made.
pub type Running<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Run, Error>> + Send + 'a>>;

impl Timing {
    /// Returns how long the parts take together.
    #[must_use]
    pub fn whole(self) -> Duration {
        Duration::from_secs_f64(self.ramp_s + self.warm_up_s + self.hold_s)
    }
}

impl Offer {
    /// Returns it in words.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Users(1) => "1 user".into(),
            Self::Users(n) => format!("{n} users"),
            Self::Rate(rate) => format!("{rate} requests/s"),
        }
    }

    /// Returns it as a number.
    #[must_use]
    pub fn amount(self) -> f64 {
        match self {
            Self::Users(n) => n as f64,
            Self::Rate(rate) => rate,
        }
    }

    fn load(self, timing: Timing, connections: usize) -> Load {
        let stages = vec![Stage {
            target: self.amount(),
            ramp: Duration::from_secs_f64(timing.ramp_s),
            hold: Some(Duration::from_secs_f64(timing.warm_up_s + timing.hold_s)),
        }];
        match self {
            Self::Users(_) => Load::Users(stages),
            Self::Rate(_) => Load::Rate { stages, arrivals: crate::plan::Arrivals::Poisson, connections },
        }
    }
}

impl Setup<'_> {
    /// Tries `candidate` with `offer`.
    ///
    /// # Errors
    /// What has nothing to do with the candidate: the gateway is gone, limits do not hold.
    pub async fn trial(&self, candidate: Candidate, offer: Offer, because: &str) -> Result<Trial, Error> {
        let began = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let mut trial = Trial::new(began, candidate, offer, because);
        let instances = match self.deployer.deploy(&candidate).await {
            Ok(instances) => instances,
            Err(NotDeployed::Error(e)) => return Err(e),
            Err(NotDeployed::OutOfMemory(why)) => return Ok(trial.ended(Verdict::OutOfMemory(why))),
            Err(NotDeployed::NotReady(why)) => return Ok(trial.ended(Verdict::Broken(why))),
        };
        let is_verified = verify(&candidate, &instances)?;
        let plan = Plan { load: offer.load(self.timing, Plan::CONNECTIONS), run_time: None, ..self.plan.clone() };
        let run = Run { promises: self.promises.to_vec(), ..(self.run)(plan).await? };
        let watcher = Watcher { deployer: self.deployer, instances: &instances, groups: groups(&instances) };
        let (report, seen) = self.measure(&run, &watcher).await?;
        if !is_verified {
            verify_by_report(&candidate, &report)?;
        }
        trial.note(&report, &seen);
        let verdict = judge(&report, self.promises, &seen);
        Ok(trial.ended(verdict))
    }

    /// Loads, and counts from the end of the warm-up on.
    async fn measure(&self, run: &Run, watcher: &Watcher<'_>) -> Result<(Arc<Report>, Seen), Error> {
        let (control, mut wishes) = mpsc::channel(4);
        let quiet = Duration::from_secs_f64(self.timing.ramp_s + self.timing.warm_up_s);
        let mut since = None;
        let mut seen = Seen::default();
        let going = run.go(self.reports, &mut wishes);
        tokio::pin!(going);
        let beside = async {
            tokio::time::sleep(quiet).await;
            let _ended = control.send(Control::Reset).await;
            since = Since::now();
            let mut reports = self.reports.subscribe();
            while reports.changed().await.is_ok() {
                let report = Arc::clone(&reports.borrow_and_update());
                seen.held_mib = [seen.held_mib, watcher.held_mib()].into_iter().flatten().reduce(f64::max);
                let is_hopeless = report.history.len() >= HOPELESS_AFTER
                    && self.promises.iter().any(|p| p.missed_by(&report).is_some_and(|factor| factor > HOPELESS));
                if is_hopeless || watcher.n_killed() > 0 {
                    seen.is_cut_short = true;
                    let _ended = control.send(Control::Stop).await;
                    break;
                }
            }
            std::future::pending::<Infallible>().await
        };
        let report = tokio::select! {
            report = &mut going => report?,
            never = beside => match never {},
        };
        seen.machine = since.map(Since::machine).unwrap_or_default();
        seen.killed = watcher.killed().await;
        seen.ended = watcher.ended().await?;
        Ok((report, seen))
    }
}

/// What is seen of instances besides the answers.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What the kernel has killed for want of memory.
    pub killed: Option<String>,
    /// What ended, or was lost.
    pub ended: Option<String>,
    /// The most memory that one of them held.
    pub held_mib: Option<f64>,
    /// What the machine did.
    pub machine: Machine,
    /// Whether the run was stopped.
    pub is_cut_short: bool,
}

/// Looks after the instances of a trial.
struct Watcher<'a> {
    deployer: &'a Deployer,
    instances: &'a [Instance],
    groups: Vec<Cgroup>,
}

impl Watcher<'_> {
    fn n_killed(&self) -> u64 {
        self.groups.iter().map(Cgroup::n_oom_kills).sum()
    }

    fn held_mib(&self) -> Option<f64> {
        let bytes = self.groups.iter().filter_map(Cgroup::held_bytes).max()?;
        Some(bytes as f64 / f64::from(1 << 20))
    }

    /// Says what was killed for want of memory.
    async fn killed(&self) -> Option<String> {
        let now = self.deployer.instances().await.unwrap_or_default();
        let said = now.into_iter().filter_map(|instance| instance.reason).find(|why| why.contains("out of memory"));
        said.or_else(|| (self.n_killed() > 0).then(|| "the kernel has killed a process for want of memory".into()))
    }

    /// Says which instance is no more what it was when the trial began.
    async fn ended(&self) -> Result<Option<String>, Error> {
        let now = self.deployer.instances().await?;
        Ok(self.instances.iter().find_map(|old| {
            let Some(new) = now.iter().find(|new| new.id == old.id) else {
                return Some(format!("instance {} has gone", old.index));
            };
            let why = new.reason.clone().unwrap_or_else(|| "nobody says why".into());
            let is_new = new.restarts > old.restarts || new.pid != old.pid;
            is_new.then(|| format!("instance {} has ended: {why}", old.index))
        }))
    }
}

/// Decides what a trial has shown.
#[must_use]
pub fn judge(report: &Report, promises: &[Promise], seen: &Seen) -> Verdict {
    if let Some(why) = &seen.killed {
        return Verdict::OutOfMemory(why.clone());
    }
    if let Some(why) = &seen.ended {
        return Verdict::Broken(why.clone());
    }
    let judged: Vec<_> = promises.iter().map(|promise| (promise, promise.judge(report))).collect();
    let is_kept = judged.iter().all(|(_, shown)| shown.kept == Some(true));
    if let Some(why) = report.invalid.first()
        && !(is_kept && is_only_late(report))
    {
        return Verdict::Invalid(why.clone());
    }
    if let Some((promise, shown)) = judged.iter().find(|(_, shown)| shown.kept == Some(false)) {
        let cpu = report.instances.iter().filter_map(|one| one.cpu_percent.map(|cpu| cpu.mean)).reduce(f64::max);
        return match seen.machine.was_in_the_way(cpu) {
            Some(why) => Verdict::Invalid(why),
            None => Verdict::Broken(format!("{promise}: {}", shown.seen)),
        };
    }
    if let Some((promise, _)) = judged.iter().find(|(_, shown)| shown.kept.is_none()) {
        return Verdict::Invalid(format!("{promise} cannot be checked: the instances do not tell"));
    }
    Verdict::Held
}

/// Whether nothing else is wrong than that the generator sent a few requests late. They were sent all the same, and in
/// a crowd with the next ones: that asks more of the function, and not less.
fn is_only_late(report: &Report) -> bool {
    let late = crate::report::figures::share(report.late, report.total.requests);
    report.invalid.len() == 1 && late > 0.0 && late <= LATE_PERCENT
}

/// Where no process of the instances can be seen, their own word counts.
fn verify_by_report(candidate: &Candidate, report: &Report) -> Result<(), Error> {
    let mut is_seen = false;
    for instance in &report.instances {
        let (Some(cores), Some(bytes)) = (instance.cpu_limit_cores, instance.memory_limit_bytes) else { continue };
        is_seen = true;
        check(candidate, cores, bytes)?;
    }
    let none = "neither the kernel of this machine nor the instances tell which limits hold";
    if is_seen { Ok(()) } else { Err(Error::Limits(none.into())) }
}

#[cfg(test)]
impl Trial {
    /// A trial that measured nothing.
    pub(crate) fn example(candidate: Candidate, offer: Offer, verdict: Verdict) -> Self {
        Self::new("2026-01-01T00:00:00Z".into(), candidate, offer, "an example").ended(verdict)
    }
}

impl Trial {
    fn new(began: String, candidate: Candidate, offer: Offer, because: &str) -> Self {
        Self {
            began,
            candidate,
            offer,
            because: because.to_owned(),
            verdict: Verdict::Held,
            requests: 0,
            rps: 0.0,
            failures_percent: 0.0,
            p50_ms: 0.0,
            p95_ms: 0.0,
            p99_ms: 0.0,
            mean_ms: 0.0,
            cpu_percent: None,
            peak_mib: None,
            generator_cpu_percent: 0.0,
            late: 0,
            machine: Machine::default(),
            is_cut_short: false,
        }
    }

    fn ended(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    fn note(&mut self, report: &Report, seen: &Seen) {
        let latency = &report.total.latency;
        let most = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
        let resident = report
            .instances
            .iter()
            .filter_map(|one| Some(one.ram_percent?.max / 100.0 * one.memory_limit_bytes? as f64 / f64::from(1 << 20)));
        self.requests = report.total.requests;
        self.rps = report.total.rps;
        self.failures_percent = crate::report::figures::share(report.total.failures, report.total.requests);
        (self.p50_ms, self.p95_ms, self.p99_ms, self.mean_ms) =
            (latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.mean_ms);
        self.cpu_percent = most(&mut report.instances.iter().filter_map(|one| one.cpu_percent.map(|cpu| cpu.mean)));
        // What was held counts, not the pages of files, which the kernel takes back.
        self.peak_mib = seen.held_mib.or_else(|| most(&mut resident.into_iter()));
        self.generator_cpu_percent = report.generator.cpu_percent.mean;
        self.late = report.late;
        self.machine = seen.machine;
        self.is_cut_short = seen.is_cut_short;
    }
}

#[cfg(test)]
mod tests;
