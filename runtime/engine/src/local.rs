//! The engine for one machine without Nomad: a job's instances as processes with ports, limits,
//! health checks, restarts and logs.

mod backoff;
mod board;
pub mod cgroup;
mod check;
mod environment;
mod health;
mod herd;
mod host;
mod instance;
mod launch;
mod output;
mod ports;
mod process;
mod rotate;
pub(crate) mod signal;
mod spawn;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use drover_core::{FunctionName, InstanceId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::board::Board;
use self::cgroup::{Cgroup, Limits, Parent};
use self::environment::{Facts, Words};
use self::herd::Herd;
pub use self::host::Host;
use self::instance::Wish;
pub use self::launch::Launch;
use self::output::Output;
use self::spawn::Spawner;
pub use self::state::{Record, StateDir, StateError};
use crate::job::{Job, Resources};
use crate::{
    Catalog, EngineKind, Function, FunctionStatus, LogLine, LogQuery, Resize, Scheduler, SchedulerError, Size, Snapshot,
};

/// How long an instance of another size may take until it is ready.
const REPLACE_LIMIT: Duration = Duration::from_secs(60);

/// How the local engine is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where state and logs are kept.
    pub state_dir: PathBuf,
    /// The program that becomes a task after its last preparations; see [`Launch`].
    pub launcher: Launcher,
}

/// A program that reads `--parent PID --join FILE... -- COMMAND...` and runs [`Launch::exec`].
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Arguments that come before the others.
    pub args: Vec<String>,
}

/// How far a replacement came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Instances that a new one has replaced.
    pub n_replaced: u32,
    /// Instances that there should be.
    pub n_wanted: u32,
    /// Why it went no further, if it did not go to the end.
    pub stopped: Option<String>,
}

/// Why a job was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Its name is not one for a function.
    #[error(transparent)]
    Name(#[from] drover_core::id::InvalidName),
    /// There is one of that name.
    #[error("two jobs give the function `{0}`")]
    Twice(FunctionName),
    /// It does not allow so many instances.
    #[error(transparent)]
    Count(#[from] SchedulerError),
    /// It uses a word that has no value here.
    #[error("job `{0}`: {1}")]
    Word(String, crate::job::UnknownWord),
}

/// Runs jobs on this machine.
pub struct LocalEngine {
    shared: Arc<Shared>,
    herds: Mutex<BTreeMap<FunctionName, Herd>>,
}

/// What all instances share.
pub(crate) struct Shared {
    settings: Settings,
    host: Host,
    state: StateDir,
    board: Board,
    output: Arc<Output>,
    spawner: Spawner,
    cgroups: Result<Parent, String>,
    limit_failed: OnceLock<String>,
    lives: TaskTracker,
    urgency: watch::Sender<Wish>,
}

impl Shared {
    /// Makes the cgroup of an instance.
    fn cgroup(&self, id: &InstanceId, resources: &Resources) -> Option<Cgroup> {
        let made = self.cgroups.as_ref().ok()?.instance(id.as_str(), self.limits(resources));
        made.map_err(|why| self.limits_fail(&why)).ok()
    }

    /// Gives the cgroup of an instance that runs other limits.
    fn relimit(&self, id: &InstanceId, resources: &Resources) -> Result<(), String> {
        let parent = self.cgroups.as_ref().map_err(|why| format!("limits do not hold on this machine: {why}"))?;
        parent.existing(id.as_str()).relimit(self.limits(resources))
    }

    /// Returns what an instance may use.
    fn limits(&self, resources: &Resources) -> Limits {
        #[expect(clippy::cast_precision_loss, reason = "MHz and cores are small")]
        let cpu_cores = match resources.cores {
            Some(n) => n as f64,
            None => resources.cpu_mhz as f64 / self.host.core_mhz.max(1) as f64,
        };
        Limits { cpu_cores, memory_bytes: resources.memory_limit_bytes() }
    }

    /// Returns what an instance may use, as people say it.
    fn size(&self, resources: &Resources) -> Size {
        let (memory_mib, memory_max_mib) = (resources.memory_mib, resources.memory_max_mib.filter(|max| *max > 0));
        Size { cpu_cores: self.limits(resources).cpu_cores, memory_mib, memory_max_mib }
    }

    /// Remembers a failure as the engine's one warning.
    fn limits_fail(&self, why: &str) {
        if self.limit_failed.set(why.into()).is_ok() {
            tracing::warn!("{why}: limits do not hold");
        }
    }
}

impl Drop for Shared {
    /// An engine that was not shut down, as in a panic, leaves no cgroup either.
    fn drop(&mut self) {
        if let Ok(parent) = &self.cgroups {
            parent.remove();
        }
    }
}

impl LocalEngine {
    /// Takes the state directory, cleans up after an engine that was killed, and is ready for jobs.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StateError`] if the state directory is in use or cannot be written.
    pub fn start(settings: Settings) -> Result<Self, StateError> {
        let state = StateDir::take(&settings.state_dir)?;
        let dir = settings.state_dir.clone();
        let io = |source: io::Error| StateError::Io { dir: dir.clone(), source };
        let spawner = Spawner::start().map_err(io)?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let cgroups = Parent::create(&format!("drover-{}-{number}", std::process::id()));
        let shared = Shared {
            host: Host::read(),
            state,
            board: Board::new(),
            output: Arc::new(Output::new()),
            spawner,
            cgroups,
            limit_failed: OnceLock::new(),
            lives: TaskTracker::new(),
            urgency: watch::Sender::new(Wish::Run),
            settings,
        };
        let engine = Self { shared: Arc::new(shared), herds: Mutex::default() };
        engine.record(None).map_err(io)?;
        Ok(engine)
    }

    /// Writes down where the gateway listens, so that commands find it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn record(&self, gateway: Option<SocketAddr>) -> io::Result<()> {
        let cgroups = self.shared.cgroups.as_ref().map(|parent| parent.dirs().to_vec()).unwrap_or_default();
        self.shared.state.write(&Record { pid: std::process::id(), gateway, cgroups })
    }

    /// Returns why limits do not hold here, if they do not.
    #[must_use]
    pub fn limits_warning(&self) -> Option<String> {
        let why = self.shared.cgroups.as_ref().err().or_else(|| self.shared.limit_failed.get())?;
        Some(format!("limits of CPU and memory do not hold on this machine: {why}"))
    }

    /// Takes a job and starts its instances; `count` wins over the job's own.
    ///
    /// # Errors
    /// [`AddError`].
    pub fn add(&self, job: Job, count: Option<u32>) -> Result<FunctionName, AddError> {
        let (function, shown) = self.function_of(&job)?;
        let mut herds = self.herds();
        if herds.contains_key(&function) {
            return Err(AddError::Twice(function));
        }
        let wanted = count.unwrap_or(job.group.count);
        let mut herd = Herd::new(Arc::clone(&self.shared), function.clone(), job);
        self.shared.board.add(&function, shown);
        herd.scale(wanted)?;
        herds.insert(function.clone(), herd);
        Ok(function)
    }

    /// Returns the function that a job is, as the catalog shows it, having tried all words in it.
    fn function_of(&self, job: &Job) -> Result<(FunctionName, Function), AddError> {
        let ports: Vec<_> = job.group.ports.iter().map(|p| (p.label.clone(), 0)).collect();
        let id = InstanceId::generate();
        let facts = Facts { job, host: &self.shared.host, id: &id, index: 0, ports: &ports, dir: PathBuf::new() };
        let (words, task) = (Words::new(&facts), &job.group.task);
        let word = |e| AddError::Word(job.id.clone(), e);
        words.variables(&task.env).map_err(word)?;
        for text in task.args.iter().chain([&task.command]) {
            words.fill(text).map_err(word)?;
        }
        let service = job.group.services.first();
        let mut shown = Function::default();
        for tag in service.iter().flat_map(|s| &s.tags) {
            shown.tags.push(words.fill(tag).map_err(word)?);
        }
        for (key, value) in service.iter().flat_map(|s| &s.meta) {
            shown.meta.insert(key.clone(), words.fill(value).map_err(word)?);
        }
        let name = service.map_or(&job.name, |service| &service.name);
        Ok((words.fill(name).map_err(word)?.parse()?, shown))
    }

    fn herds(&self) -> std::sync::MutexGuard<'_, BTreeMap<FunctionName, Herd>> {
        self.herds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        function: &FunctionName,
        act: impl FnOnce(&mut Herd) -> Result<T, SchedulerError>,
    ) -> Result<T, SchedulerError> {
        if *self.shared.urgency.borrow() > Wish::Run {
            return Err(SchedulerError::Stopping);
        }
        let mut herds = self.herds();
        act(herds.get_mut(function).ok_or_else(|| SchedulerError::UnknownFunction(function.clone()))?)
    }

    /// Replaces the instances of `function` one by one: a new one is ready before the old one drains.
    /// Stops at the first that ends before it is ready, or is not ready within `limit`.
    ///
    /// # Errors
    /// [`SchedulerError::UnknownFunction`]; [`SchedulerError::Stopping`].
    pub async fn replace(&self, function: &FunctionName, limit: Duration) -> Result<Replaced, SchedulerError> {
        let count = self.with(function, |herd| Ok(herd.count()))?;
        for index in 0..count {
            let (new, old) = self.with(function, |herd| Ok(herd.start_beside(index)))?;
            let ready = herd::until_ready(&self.shared, function, &new, limit).await;
            let gone = if ready.is_ok() { old } else { Some(new) };
            self.with(function, |herd| {
                gone.iter().for_each(|id| herd.drain(id));
                Ok(())
            })?;
            if let Err(why) = ready {
                return Ok(Replaced { n_replaced: index, n_wanted: count, stopped: Some(why) });
            }
        }
        Ok(Replaced { n_replaced: count, n_wanted: count, stopped: None })
    }

    /// Returns every line that instances write from now on.
    #[must_use]
    pub fn follow(&self) -> BoxStream<'static, LogLine> {
        self.shared.output.follow()
    }

    /// Drains every instance at once and waits until nothing is left.
    pub async fn shut_down(&self) {
        self.wish_of_all(Wish::DrainNow);
        self.shared.lives.close();
        self.shared.lives.wait().await;
        if let Ok(parent) = self.shared.cgroups.clone() {
            let _removed = tokio::task::spawn_blocking(move || parent.remove()).await;
        }
        self.shared.state.forget();
    }

    /// Kills every instance; [`LocalEngine::shut_down`] then returns at once.
    pub fn kill(&self) {
        self.wish_of_all(Wish::Kill);
    }

    /// Never takes a more urgent wish back.
    fn wish_of_all(&self, wish: Wish) {
        self.shared.urgency.send_if_modified(|now| {
            let more_urgent = *now < wish;
            *now = wish.max(*now);
            more_urgent
        });
    }
}

impl Catalog for LocalEngine {
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.shared.board.watch()
    }
}

impl Scheduler for LocalEngine {
    fn scale<'a>(&'a self, function: &'a FunctionName, count: u32) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move { self.with(function, |herd| herd.scale(count)) }.boxed()
    }

    fn resize<'a>(
        &'a self,
        function: &'a FunctionName,
        size: Size,
        how: Resize,
    ) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move {
            let size = size.checked()?;
            let version = self.with(function, |herd| herd.resize(size, how))?;
            if how == Resize::Replace
                && let Some(why) = self.replace(function, REPLACE_LIMIT).await?.stopped
            {
                return Err(SchedulerError::Refused(format!("a new instance with {size} did not become ready: {why}")));
            }
            Ok(version)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, function: &'a FunctionName) -> BoxFuture<'a, Result<(), SchedulerError>> {
        async move {
            self.with(function, |herd| {
                herd.stop();
                Ok(())
            })
        }
        .boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<Vec<FunctionStatus>, SchedulerError>> {
        async move {
            let status = |(function, herd): (&FunctionName, &Herd)| {
                let job = herd.job();
                let scaling = &job.group.scaling;
                FunctionStatus {
                    function: function.clone(),
                    engine: EngineKind::Local,
                    size: Some(self.shared.size(&job.group.task.resources)),
                    count: herd.count(),
                    version: herd.version(),
                    min: scaling.min,
                    max: scaling.max,
                    policy: scaling.policy.clone(),
                    scales: herd.scales(),
                    trouble: None,
                }
            };
            Ok(self.herds().iter().map(status).collect())
        }
        .boxed()
    }

    fn logs<'a>(
        &'a self,
        function: &'a FunctionName,
        query: LogQuery,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>, SchedulerError>> {
        async move { self.with(function, |_| Ok(self.shared.output.read(function, query))) }.boxed()
    }
}
