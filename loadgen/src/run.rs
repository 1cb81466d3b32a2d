//! A run from its beginning to its end: drives the load, renews the [`Report`] each second, judges promises.

mod second;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use self::second::Seconds;
use crate::control::Control;
use crate::drive::{Drive, Error, Settings};
use crate::plan::{Load, Plan};
use crate::report::{InstanceReport, LoadKind, Point, Report, RunState};
use crate::slo::Promise;
use crate::stats::{Meter, Totals};
use crate::target::Target;
use crate::work::Work;

/// So long after the call the run begins, so that all threads begin at once.
const BEGINS_AFTER: Duration = Duration::from_millis(20);
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

/// What is known beside what the threads have seen.
struct Course {
    began: Instant,
    state: RunState,
    meter: Meter,
    /// Threads that were lost.
    n_lost: usize,
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
        let mut drive = Drive::start(&self.work, &self.target, &self.plan, &self.settings, BEGINS_AFTER)?;
        let began = Instant::now() + BEGINS_AFTER;
        let ready = Report { began: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(), ..self.ready() };
        if let Some(needs) = &self.needs {
            needs.reset();
        }
        let mut totals = Totals::new(self.work.tasks().to_vec());
        let mut seconds = Seconds::new(drive.threads());
        let mut course = Course { began, state: RunState::Ramping, meter: Meter::new(drive.threads()), n_lost: 0 };
        let mut was_stopped = false;
        loop {
            tokio::select! {
                second = drive.second() => {
                    let Some(second) = second else { break };
                    let Some(whole) = seconds.add(second) else { continue };
                    self.count(&mut totals, &whole, Duration::from_secs(1), &mut course, &drive);
                }
                wish = next(control) => {
                    was_stopped |= wish == Control::Stop;
                    drive.follow(wish);
                    continue;
                }
            }
            let report = self.report(&ready, &totals, &course, &drive);
            let may_abort = self.abort_on_fail && report.history.len() as u64 >= ABORT_AFTER;
            if may_abort && !was_stopped && self.promises.iter().any(|promise| promise.is_broken_for_good(&report)) {
                was_stopped = true;
                drive.follow(Control::Stop);
            }
            reports.send_replace(Arc::new(report));
        }
        if let Some(rest) = seconds.rest() {
            let so_far = Duration::from_secs(seconds.n_whole());
            let took = began.elapsed().saturating_sub(so_far);
            self.count(&mut totals, &rest, took, &mut course, &drive);
        }
        course.state = if was_stopped { RunState::Stopped } else { RunState::Finished };
        let mut report = self.report(&ready, &totals, &course, &drive);
        course.n_lost = drive.join();
        report.invalid = self.invalid(&totals, &course);
        report.remaining_s = Some(0.0);
        let report = Arc::new(report);
        reports.send_replace(Arc::clone(&report));
        Ok(report)
    }

    fn count(
        &self,
        totals: &mut Totals,
        seen: &crate::stats::Snapshot,
        took: Duration,
        course: &mut Course,
        drive: &Drive,
    ) {
        let (level, is_changing, left) = drive.stands();
        course.state = match left {
            Some(left) if left.is_zero() => RunState::Stopping,
            _ if is_changing => RunState::Ramping,
            _ => RunState::Holding,
        };
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut point = Point {
            at_s: course.began.elapsed().as_secs_f64(),
            unix_s: unix.as_secs_f64(),
            rate: matches!(self.plan.load, Load::Rate { .. }).then_some(level),
            generator_cpu_percent: course.meter.lap(),
            ..Point::default()
        };
        if let Some(needs) = &self.needs {
            needs.fill(&mut point);
        }
        totals.add(seen, took, point);
    }

    fn report(&self, ready: &Report, totals: &Totals, course: &Course, drive: &Drive) -> Report {
        let elapsed = course.began.elapsed();
        let (total, tasks) = totals.reports(elapsed);
        let mut report = Report {
            elapsed_s: elapsed.as_secs_f64(),
            remaining_s: drive.stands().2.map(|left| left.as_secs_f64()),
            state: course.state,
            invalid: self.invalid(totals, course),
            total,
            tasks,
            failures: totals.failures(),
            history: totals.history().to_vec(),
            instances: self.instances(totals),
            generator: course.meter.usage(),
            late: totals.all().late,
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
    fn invalid(&self, totals: &Totals, course: &Course) -> Vec<String> {
        let all = totals.all();
        let is_much = |n: u64| n as f64 * 100.0 > all.sent as f64 * LATE_PERCENT;
        let mut why = Vec::new();
        if is_much(all.late) {
            let (late, sent) = (all.late, all.sent);
            why.push(format!(
                "{late} of {sent} requests were sent more than 10 ms after they were due, because the generator was not ready: give it more cores, or use less load"
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
        why.extend(course.meter.invalid());
        if course.n_lost > 0 {
            why.push(format!("{} threads of the generator were lost: see its errors above", course.n_lost));
        }
        why
    }
}

/// Waits for a wish; for ever if nobody can have one.
async fn next(control: &mut mpsc::Receiver<Control>) -> Control {
    match control.recv().await {
        Some(wish) => wish,
        None => std::future::pending().await,
    }
}
