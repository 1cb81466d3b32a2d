//! The life of one instance: start, checks, restarts, drain, end.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use drover_core::{FunctionName, InstanceId};
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::backoff::{Next, Restarts};
use super::cgroup::Cgroup;
use super::health::{Checks, Health};
use super::output::Writer;
use super::process::{Plan, Process};
use super::signal;
use crate::job::Job;
use crate::{Instance, InstanceState, Stream};

/// How long a start may use more CPU than the job says: throttled, it takes many times as long, while
/// requests wait for it.
const START_BOOST: Duration = Duration::from_secs(10);

/// How an instance is asked to end; a later wish wins only if it is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// It should run.
    Run,
    /// It leaves the catalog, waits for the catalog's readers, finishes what it has and ends.
    Drain,
    /// As `Drain`, without the wait: nobody reads the catalog any more.
    DrainNow,
    /// It is killed.
    Kill,
}

/// One instance of a function.
pub(crate) struct Life {
    shared: Arc<Shared>,
    /// As it is now: its size may change.
    job: watch::Receiver<Arc<Job>>,
    shown: Instance,
    wish: watch::Receiver<Wish>,
    cgroup: Option<Cgroup>,
    writer: Writer,
    ready_since: Option<Instant>,
}

/// Why a process is no more.
enum End {
    /// It was asked to.
    Asked,
    /// It ended by itself, or was ended because it did not work.
    Ended(String),
}

impl Life {
    /// Prepares an instance with the number `index`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        job: watch::Receiver<Arc<Job>>,
        function: FunctionName,
        index: u32,
        wish: watch::Receiver<Wish>,
    ) -> Self {
        let id = InstanceId::generate();
        let writer = Writer { function: function.clone(), instance: id.clone(), index, stream: Stream::Engine };
        let shown = Instance {
            id,
            function,
            index,
            address: None,
            state: InstanceState::Starting,
            reason: None,
            restarts: 0,
            node: Some(shared.host.hostname.clone()),
            pid: None,
            meta: std::collections::BTreeMap::new(),
        };
        Self { shared, job, shown, wish, cgroup: None, writer, ready_since: None }
    }

    /// Shows the instance before anything of it runs, so that whoever scaled sees it at once.
    pub(crate) fn announce(&self) -> InstanceId {
        self.shared.board.set(self.shown.clone());
        self.shown.id.clone()
    }

    /// Runs the instance until it is asked to end.
    pub(crate) async fn run(mut self) {
        let job = self.job();
        let (born, mut restarts) = (Instant::now(), Restarts::new(job.group.restart, job.group.reschedule));
        self.cgroup = self.shared.cgroup(&self.shown.id, &job.group.task.resources);
        loop {
            let reason = match self.once().await {
                End::Asked => break,
                End::Ended(reason) => reason,
            };
            restarts.was_ready(self.ready_since.take().map_or(Duration::ZERO, |since| since.elapsed()));
            match restarts.ended(born.elapsed()) {
                Next::After(delay) => {
                    self.say(format!("{reason}; restart in {delay:?}"));
                    self.show(InstanceState::Waiting, Some(reason));
                    if timeout(delay, until(&mut self.wish, Wish::Drain)).await.is_ok() {
                        break;
                    }
                    self.shown.restarts += 1;
                }
                Next::Never => {
                    self.say(format!("{reason}; no restarts are left"));
                    self.show(InstanceState::Failed, Some(reason));
                    until(&mut self.wish, Wish::Drain).await;
                    break;
                }
            }
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _removed = tokio::task::spawn_blocking(move || cgroup.remove()).await;
        }
        self.shared.board.remove(&self.shown.function, &self.shown.id);
    }

    async fn once(&mut self) -> End {
        let n_oom_kills = self.n_oom_kills();
        let plan = Plan::new(&self.shared, &self.job(), &self.shown);
        if let Some(cgroup) = &self.cgroup {
            cgroup.loosen();
        }
        let started = match plan {
            Ok(plan) => Process::start(plan, &self.shared, self.cgroup.as_ref(), &self.writer).await,
            Err(e) => Err(e),
        };
        let mut process = match started {
            Ok(process) => process,
            Err(e) => return End::Ended(format!("cannot start: {e}")),
        };
        (self.shown.pid, self.shown.address) = (Some(process.pid), process.address);
        self.shown.meta.clone_from(&process.meta);
        self.show(InstanceState::Starting, None);
        let end = self.tend(&mut process).await;
        signal::kill_group(process.pid);
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        process.close().await;
        self.shown.pid = None;
        match end {
            End::Ended(_) if self.n_oom_kills() > n_oom_kills => {
                let mib = self.job().group.task.resources.memory_limit_bytes() >> 20;
                End::Ended(format!("killed: out of memory, limit is {mib} MiB"))
            }
            End::Ended(reason) => {
                let complaint = self.shared.output.last_complaint(&self.shown.function, &self.shown.id);
                End::Ended(complaint.map_or(reason.clone(), |complaint| format!("{reason}: {complaint}")))
            }
            End::Asked => End::Asked,
        }
    }

    async fn tend(&mut self, process: &mut Process) -> End {
        let mut checks = Checks::start(&process.checks);
        let started = Instant::now();
        let boost = sleep(START_BOOST);
        tokio::pin!(boost);
        let mut is_loose = true;
        loop {
            let mut wish = self.wish.clone();
            tokio::select! {
                () = &mut boost, if is_loose => {
                    self.tighten();
                    is_loose = false;
                }
                status = process.child.wait() => {
                    return End::Ended(status.map_or_else(|e| e.to_string(), describe));
                }
                () = until(&mut wish, Wish::Drain) => return self.drain(process).await,
                health = checks.next() => match health {
                    Health::Passing => {
                        self.ready_since.get_or_insert_with(Instant::now);
                        if std::mem::take(&mut is_loose) {
                            self.tighten();
                        }
                        self.say(format!("ready after {:?}", started.elapsed().round_to_ms()));
                        self.show(InstanceState::Ready, None);
                    }
                    Health::Failing(why) => self.show(InstanceState::Unhealthy, Some(why)),
                    Health::Restart(why) => {
                        let ended = self.terminate(process).await;
                        return End::Ended(format!("{why}; {ended}"));
                    }
                },
            }
        }
    }

    /// Holds the instance to its limits, after a start that may use more CPU.
    fn tighten(&self) {
        let limits = self.shared.limits(&self.job().group.task.resources);
        if let Some(Err(why)) = self.cgroup.as_ref().map(|cgroup| cgroup.limit(limits)) {
            self.shared.limits_fail(&why);
        }
    }

    /// Leaves the catalog first, so that nothing new comes; then finishes; then ends.
    async fn drain(&mut self, process: &mut Process) -> End {
        self.show(InstanceState::Draining, None);
        let job = self.job();
        let delay = job.group.shutdown_delay + job.group.task.shutdown_delay;
        let mut wish = self.wish.clone();
        tokio::select! {
            () = until(&mut wish, Wish::DrainNow) => {}
            () = sleep(delay) => {}
            _ended = process.child.wait() => return End::Asked,
        }
        let ended = self.terminate(process).await;
        self.say(format!("stopped: {ended}"));
        End::Asked
    }

    /// Sends the kill signal, and SIGKILL when the kill timeout is over or the wish is to kill.
    async fn terminate(&mut self, process: &mut Process) -> String {
        let job = self.job();
        let task = &job.group.task;
        signal::send(process.pid, signal::by_name(&task.kill_signal).unwrap_or(Signal::TERM));
        let mut wish = self.wish.clone();
        tokio::select! {
            status = process.child.wait() => return status.map_or_else(|e| e.to_string(), describe),
            () = until(&mut wish, Wish::Kill) => {}
            () = sleep(task.kill_timeout) => {}
        }
        signal::kill_group(process.pid);
        let _status = process.child.wait().await;
        format!("killed, as it did not end within {:?} of {}", task.kill_timeout, task.kill_signal)
    }

    fn job(&self) -> Arc<Job> {
        Arc::clone(&self.job.borrow())
    }

    fn n_oom_kills(&self) -> u64 {
        self.cgroup.as_ref().map_or(0, Cgroup::n_oom_kills)
    }

    fn show(&mut self, state: InstanceState, reason: Option<String>) {
        (self.shown.state, self.shown.reason) = (state, reason);
        self.shared.board.set(self.shown.clone());
    }

    fn say(&self, text: String) {
        self.shared.output.write(self.writer.line(text));
    }
}

/// Waits until the wish is at least as urgent as `least`; nobody left to wish counts as well.
async fn until(wish: &mut watch::Receiver<Wish>, least: Wish) {
    let _gone = wish.wait_for(|w| *w >= least).await;
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(number)) => format!("killed by {}", signal::name_of(number)),
        (None, None) => "ended".into(),
    }
}

trait RoundToMs {
    fn round_to_ms(self) -> Duration;
}

impl RoundToMs for Duration {
    fn round_to_ms(self) -> Duration {
        Duration::from_millis(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }
}
