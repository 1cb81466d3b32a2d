//! The instances of one function.

use std::sync::Arc;
use std::time::Duration;

use drover_core::{FunctionName, InstanceId};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Shared;
use super::instance::{Life, Wish};
use crate::job::{Job, Resources};
use crate::{InstanceState, Resize, SchedulerError, Size};

/// The instances of one function, as many as wanted.
pub(crate) struct Herd {
    shared: Arc<Shared>,
    function: FunctionName,
    /// Instances see what it is now.
    job: watch::Sender<Arc<Job>>,
    count: u32,
    version: u64,
    is_stopped: bool,
    members: Vec<Member>,
}

struct Member {
    id: InstanceId,
    index: u32,
    wish: watch::Sender<Wish>,
}

impl Herd {
    /// Begins with no instance.
    pub(crate) fn new(shared: Arc<Shared>, function: FunctionName, job: Job) -> Self {
        Self {
            shared,
            function,
            job: watch::Sender::new(Arc::new(job)),
            count: 0,
            version: 0,
            is_stopped: false,
            members: Vec::new(),
        }
    }

    /// Returns the job.
    pub(crate) fn job(&self) -> Arc<Job> {
        Arc::clone(&self.job.borrow())
    }

    /// Returns how many instances are wanted.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns how often the count or the size was set.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Starts or drains instances until there are `count`, which the job must allow; returns the version.
    pub(crate) fn scale(&mut self, count: u32) -> Result<u64, SchedulerError> {
        let job = self.job();
        let bounds = &job.group.scaling;
        if !(bounds.min..=bounds.max).contains(&count) {
            let (function, min, max) = (self.function.clone(), bounds.min, bounds.max);
            return Err(SchedulerError::OutOfRange { function, count, min, max });
        }
        self.is_stopped = false;
        self.set(count);
        Ok(self.version)
    }

    /// Gives instances to come another size; in place, those that run too. Returns the version.
    pub(crate) fn resize(&mut self, size: Size, how: Resize) -> Result<u64, SchedulerError> {
        let mut job = Job::clone(&self.job.borrow());
        job.group.task.resources = Resources {
            cpu_mhz: size.cpu_mhz(self.shared.host.core_mhz),
            cores: None,
            memory_mib: size.memory_mib,
            memory_max_mib: size.memory_max_mib,
        };
        match how {
            Resize::InPlace => {
                for member in &self.members {
                    let held = self.shared.relimit(&member.id, &job.group.task.resources);
                    held.map_err(|why| SchedulerError::Refused(format!("instance {}: {why}", member.index)))?;
                }
                self.job.send_replace(Arc::new(job));
            }
            // Those that run keep what they were started with.
            Resize::Replace => self.job = watch::Sender::new(Arc::new(job)),
        }
        self.version += 1;
        Ok(self.version)
    }

    /// Drains all instances, until somebody scales again.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.set(0);
    }

    /// Returns whether the count may change by itself.
    pub(crate) fn scales(&self) -> bool {
        self.job.borrow().group.scaling.enabled && !self.is_stopped
    }

    /// Starts or drains instances until there are `count`.
    fn set(&mut self, count: u32) {
        self.count = count;
        self.version += 1;
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        while self.members.len() > wanted {
            self.drop_one();
        }
        for index in 0..count {
            if !self.members.iter().any(|m| m.index == index) && self.members.len() < wanted {
                self.start(index);
            }
        }
    }

    /// Drains the instance that is missed least: one that does not work, else the newest.
    fn drop_one(&mut self) {
        let shown = self.shared.board.watch().borrow().instances(&self.function).map(<[_]>::to_vec).unwrap_or_default();
        let ready = |member: &Member| shown.iter().any(|i| i.id == member.id && i.state.is_ready());
        let least = self.members.iter().enumerate().min_by_key(|(_, m)| (ready(m), u32::MAX - m.index));
        if let Some(position) = least.map(|(position, _)| position) {
            let _ended_already = self.members.swap_remove(position).wish.send(Wish::Drain);
        }
    }

    fn start(&mut self, index: u32) -> InstanceId {
        let (wish, asked) = watch::channel(Wish::Run);
        let life = Life::new(Arc::clone(&self.shared), self.job.subscribe(), self.function.clone(), index, asked);
        let id = life.announce();
        self.members.push(Member { id: id.clone(), index, wish });
        let mut all = self.shared.urgency.subscribe();
        let member = self.members.last().map(|m| m.wish.clone());
        self.shared.lives.spawn(async move {
            let run = life.run();
            tokio::pin!(run);
            loop {
                tokio::select! {
                    () = &mut run => break,
                    changed = all.changed() => {
                        let urgent = *all.borrow();
                        if let Some(wish) = member.as_ref().filter(|w| *w.borrow() < urgent) {
                            let _run_has_ended = wish.send(urgent);
                        }
                        if changed.is_err() {
                            (&mut run).await;
                            break;
                        }
                    }
                }
            }
        });
        id
    }

    /// Starts a second instance with the number `index` and returns its id and the old one's.
    pub(crate) fn start_beside(&mut self, index: u32) -> (InstanceId, Option<InstanceId>) {
        let old = self.members.iter().find(|m| m.index == index).map(|m| m.id.clone());
        (self.start(index), old)
    }

    /// Drains the instance `id`, if it is one of these.
    pub(crate) fn drain(&mut self, id: &InstanceId) {
        if let Some(position) = self.members.iter().position(|m| m.id == *id) {
            let _ended_already = self.members.swap_remove(position).wish.send(Wish::Drain);
        }
    }
}

/// Waits until the instance `id` is ready; says why not if it ends before that, or is not within `limit`.
pub(crate) async fn until_ready(
    shared: &Shared,
    function: &FunctionName,
    id: &InstanceId,
    limit: Duration,
) -> Result<(), String> {
    use InstanceState::{Failed, Ready, Waiting};
    let mut board = shared.board.watch();
    let settled = board.wait_for(|snapshot| {
        let all = snapshot.instances(function).unwrap_or_default();
        all.iter().any(|i| i.id == *id && matches!(i.state, Ready | Waiting | Failed))
    });
    let Ok(Ok(snapshot)) = timeout(limit, settled).await else { return Err(format!("not ready within {limit:?}")) };
    let all = snapshot.instances(function).unwrap_or_default();
    match all.iter().find(|i| i.id == *id) {
        Some(instance) if instance.state.is_ready() => Ok(()),
        Some(instance) => Err(instance.reason.clone().unwrap_or_else(|| instance.state.to_string())),
        None => Err("it is gone".into()),
    }
}
