//! A run from its beginning to its end: drives the load, renews the [`Report`] each second, judges promises.

mod crew;
mod local;
mod second;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use self::crew::Crew;
pub(crate) use self::local::{Local, Standing};
pub(crate) use self::second::{Second, Seconds};
use crate::control::Control;
use crate::drive::{self, Settings};
use crate::fleet::{self, Master};
use crate::plan::{Load, Plan};
use crate::report::{InstanceReport, LoadKind, Point, Report, RunState, Usage};
use crate::slo::Promise;
use crate::stats::Totals;
use crate::target::Target;
use crate::work::Work;

/// Of all requests, percent, that may be late before the figures are not to be believed.
const LATE_PERCENT: f64 = 0.1;
/// Seconds before a promise can be broken for good: the first answers say little.
const ABORT_AFTER: u64 = 3;

/// All that a run is made of.
#[derive(Clone)]
pub struct Run {
    /// What is loaded.
    pub target: Target,
    /// What is sent.
    pub work: Arc<dyn Work>,
    /// How it goes.
    pub plan: Plan,
    /// How it is sent.
    pub settings: Settings,
    /// What it must show.
    pub promises: Vec<Promise>,
    /// Whether it ends early once a promise is broken that cannot be kept any more.
    pub abort_on_fail: bool,
    /// The command's settings as a person gave them.
    pub described: BTreeMap<String, String>,
    /// What instances need, if that is known.
    pub needs: Option<Arc<dyn Needs>>,
    /// Whose workers put the load on; this process itself if there is none.
    pub fleet: Option<Master>,
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This process cannot put load on.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// A fleet cannot.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
}

/// Knows what the target's instances need.
pub trait Needs: Send + Sync {
    /// Forgets what was seen before a run.
    fn reset(&self);

    /// Fills in the point of this second: instances, and the CPU and memory of the busiest.
    fn fill(&self, point: &mut Point);

    /// Returns each instance's share and needs since the run's beginning.
    fn instances(&self) -> Vec<InstanceReport>;
}

/// What is known beside what was counted.
struct Stand {
    began: Instant,
    /// From when on is counted.
    counts_from: Instant,
    /// How long was counted, also what is forgotten.
    counted: Duration,
    state: RunState,
    remaining: Option<Duration>,
    generator: Standing,
}

impl Run {
    /// Returns the report of a run that waits for its start.
    #[must_use]
    pub fn ready(&self) -> Report {
        Report {
            target: self.target.name.clone(),
            load: match self.plan.load {
                Load::Users(_) => LoadKind::Users,
                Load::Rate { .. } => LoadKind::Rate,
            },
            plan: self.described.clone(),
            remaining_s: self.plan.end().map(|end| end.as_secs_f64()),
            ..Report::empty()
        }
    }

    /// Runs to the end, renewing `reports` each second and following `control`. The last report is the whole.
    ///
    /// # Errors
    /// It cannot begin.
    pub async fn go(
        &self,
        reports: &watch::Sender<Arc<Report>>,
        control: &mut mpsc::Receiver<Control>,
    ) -> Result<Arc<Report>, Error> {
        let mut crew = tokio::select! {
            crew = Crew::begin(self) => crew?,
            () = stop(control) => {
                let report = Arc::new(Report { state: RunState::Stopped, remaining_s: Some(0.0), ..self.ready() });
                reports.send_replace(Arc::clone(&report));
                return Ok(report);
            }
        };
        let ready = Report { began: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(), ..self.ready() };
        if let Some(needs) = &self.needs {
            needs.reset();
        }
        let mut totals = Totals::new(self.work.tasks().to_vec());
        let mut stand = Stand {
            began: crew.began(),
            counts_from: crew.began(),
            counted: Duration::ZERO,
            state: RunState::Ramping,
            remaining: self.plan.end(),
            generator: Standing::default(),
        };
        let mut was_stopped = false;
        loop {
            tokio::select! {
                second = crew.second() => {
                    let Some((second, standing)) = second else { break };
                    stand.generator = standing;
                    self.count(&mut totals, &second, &mut stand, crew.stands());
                    if second.number.is_none() {
                        // The last report is not to be seen twice.
                        continue;
                    }
                }
                wish = next(control) => {
                    if wish == Control::Reset {
                        totals = Totals::new(self.work.tasks().to_vec());
                        stand.counts_from = stand.began + stand.counted;
                        self.needs.iter().for_each(|needs| needs.reset());
                        continue;
                    }
                    was_stopped |= wish == Control::Stop;
                    crew.follow(wish);
                    continue;
                }
            }
            let report = self.report(&ready, &totals, &stand);
            let may_abort = self.abort_on_fail && report.history.len() as u64 >= ABORT_AFTER;
            if may_abort && !was_stopped && self.promises.iter().any(|promise| promise.is_broken_for_good(&report)) {
                was_stopped = true;
                crew.follow(Control::Stop);
            }
            reports.send_replace(Arc::new(report));
        }
        stand.state = if was_stopped { RunState::Stopped } else { RunState::Finished };
        stand.remaining = Some(Duration::ZERO);
        let report = Arc::new(self.report(&ready, &totals, &stand));
        reports.send_replace(Arc::clone(&report));
        Ok(report)
    }

    fn count(
        &self,
        totals: &mut Totals,
        second: &Second,
        stand: &mut Stand,
        (level, is_changing, left): (f64, bool, Option<Duration>),
    ) {
        stand.remaining = left;
        stand.counted += second.took;
        stand.state = match left {
            Some(left) if left.is_zero() => RunState::Stopping,
            _ if is_changing => RunState::Ramping,
            _ => RunState::Holding,
        };
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut point = Point {
            at_s: stand.began.elapsed().as_secs_f64(),
            unix_s: unix.as_secs_f64(),
            rate: matches!(self.plan.load, Load::Rate { .. }).then_some(level),
            generator_cpu_percent: stand.generator.cpu_percent,
            ..Point::default()
        };
        if let Some(needs) = &self.needs {
            needs.fill(&mut point);
        }
        totals.add(&second.seen, second.took, point);
    }

    fn report(&self, ready: &Report, totals: &Totals, stand: &Stand) -> Report {
        let elapsed = stand.began.elapsed();
        let (total, tasks) = totals.reports(stand.counts_from.elapsed());
        let mut report = Report {
            elapsed_s: elapsed.as_secs_f64(),
            remaining_s: stand.remaining.map(|left| left.as_secs_f64()),
            state: stand.state,
            invalid: self.invalid(totals, &stand.generator),
            total,
            tasks,
            failures: totals.failures(),
            history: totals.history().to_vec(),
            instances: self.instances(totals),
            generator: stand.generator.usage,
            late: totals.all().late,
            workers: stand.generator.workers.clone(),
            ..ready.clone()
        };
        report.promises = self.promises.iter().map(|promise| promise.judge(&report)).collect();
        report
    }

    /// What instances say of themselves, and of those that are asked directly how often they were.
    fn instances(&self, totals: &Totals) -> Vec<InstanceReport> {
        let mut instances = self.needs.as_ref().map(|needs| needs.instances()).unwrap_or_default();
        let places = Arc::clone(&self.target.endpoints.borrow());
        for (address, requests) in &totals.all().endpoints {
            let text = address.to_string();
            if let Some(known) = instances.iter_mut().find(|known| known.address == text) {
                known.requests = *requests;
            } else if places.len() > 1 || places.iter().any(|place| place.instance.is_some()) {
                let place = places.iter().find(|place| place.address == *address);
                let id =
                    place.and_then(|place| place.instance.as_ref()).map_or_else(|| text.clone(), ToString::to_string);
                instances.push(InstanceReport {
                    id,
                    address: text,
                    requests: *requests,
                    cpu_limit_cores: None,
                    memory_limit_bytes: None,
                    cpu_percent: None,
                    ram_percent: None,
                });
            }
        }
        instances
    }

    /// Says why the figures must not be believed.
    fn invalid(&self, totals: &Totals, generator: &Standing) -> Vec<String> {
        let all = totals.all();
        let is_much = |n: u64| is_much(n, all.sent);
        let mut why = Vec::new();
        if is_much(all.late) {
            let (late, sent, Usage { waited_ms, stolen_ms, .. }) = (all.late, all.sent, generator.usage);
            why.push(format!(
                "{late} of {sent} requests were sent more than 10 ms after they were due, because the generator was not ready: give it more cores, or use less load. In the worst second its threads waited {waited_ms:.0} ms for cores that others had, and a hypervisor took {stolen_ms:.0} ms"
            ));
        }
        if let Load::Rate { connections, .. } = self.plan.load
            && (is_much(all.waited) || all.unsent > 0)
        {
            let (waited, unsent) = (all.waited, all.unsent);
            why.push(format!(
                "{waited} requests waited for one of {connections} connections, and {unsent} were never sent: give --connections more, or the target is slower than the rate"
            ));
        }
        why.extend(generator.invalid.iter().cloned());
        why
    }
}

/// Whether so many of `sent` requests were late that the figures are not to be believed.
pub(crate) fn is_much(late: u64, sent: u64) -> bool {
    late as f64 * 100.0 > sent as f64 * LATE_PERCENT
}

/// Waits for the wish to end it before it has begun.
async fn stop(control: &mut mpsc::Receiver<Control>) {
    while next(control).await != Control::Stop {}
}

/// Waits for a wish; for ever if nobody can have one.
async fn next(control: &mut mpsc::Receiver<Control>) -> Control {
    match control.recv().await {
        Some(wish) => wish,
        None => std::future::pending().await,
    }
}
