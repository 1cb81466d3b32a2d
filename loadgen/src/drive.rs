//! Puts the load on: threads, each with its own users or arrivals, connections and recorder.
//!
//! Threads share nothing that a request touches. Once a second each hands over what it has seen, and follows
//! the course of the run, which a person may change.

mod alarm;
mod answer;
mod arrivals;
mod client;
mod course;
mod deadline;
mod h1;
mod here;
mod line;
mod schedule;
mod stream;
mod thread;
mod tls;
mod users;
mod wire;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::control::Control;
use crate::plan::Plan;
use crate::stats::Snapshot;
use crate::target::Target;
use crate::work::Work;

pub use self::course::Course;
pub use self::here::{Protocol, Settings};
pub use self::schedule::{Schedule, Share};
pub use self::tls::{Pem, Tls, TlsError};

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// The target's host cannot be said in a request.
    #[error("`{host}` cannot be the host of a request: {reason}")]
    Host {
        /// What was given.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A run that goes on.
#[derive(Debug)]
pub struct Drive {
    plan: Arc<Plan>,
    began: Instant,
    course: watch::Sender<Course>,
    /// Seconds of threads, until every thread has ended.
    seconds: mpsc::UnboundedReceiver<Second>,
    threads: Vec<JoinHandle<()>>,
    n_threads: usize,
}

/// What one thread has seen in one second.
#[derive(Debug)]
pub struct Second {
    /// Which thread, from 0.
    pub thread: usize,
    /// Which second of the run, from 0; nothing if the thread has ended, and this is what it saw after its last whole
    /// second.
    pub number: Option<u64>,
    /// What was seen.
    pub seen: Snapshot,
}

impl Drive {
    /// Begins: `work` is sent to `target` as `plan` and `settings` say, along `course`, whose moments count from
    /// `began`: a little later, so that all threads, and all workers of a fleet, begin at once.
    ///
    /// # Errors
    /// A host that cannot be said, or no thread.
    pub fn start(
        work: &Arc<dyn Work>,
        target: &Target,
        plan: &Plan,
        settings: &Settings,
        began: Instant,
        course: Course,
    ) -> Result<Self, Error> {
        let plan = Arc::new(plan.clone());
        let settings = thread::with_host(settings, target)?;
        let uris = thread::uris(&settings, target)?;
        let course = watch::Sender::new(course);
        let (sender, seconds) = mpsc::unbounded_channel();
        let mut threads = Vec::new();
        for index in 0..settings.threads.max(1) {
            let seed = thread::Seed {
                thread: Share { index, of: settings.threads.max(1) },
                began,
                settings: settings.clone(),
                work: Arc::clone(work),
                plan: Arc::clone(&plan),
                uris: uris.clone(),
                endpoints: target.endpoints.clone(),
                course: course.subscribe(),
                seconds: sender.clone(),
            };
            threads.push(std::thread::Builder::new().name(format!("load-{index}")).spawn(move || thread::run(seed))?);
        }
        Ok(Self { plan, began, course, seconds, n_threads: threads.len(), threads })
    }

    /// Returns how many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.n_threads
    }

    /// Waits for the next second of a thread; nothing once all have ended. Cancel safe.
    pub async fn second(&mut self) -> Option<Second> {
        self.seconds.recv().await
    }

    /// Follows a person's wish.
    pub fn follow(&self, control: Control) {
        let now = self.began.elapsed();
        self.course.send_if_modified(|course| course.follow(control, &self.plan, now));
    }

    /// Follows another course, whose moments count from the same beginning.
    pub fn steer(&self, course: Course) {
        self.course.send_replace(course);
    }

    /// Returns the users or requests a second that are aimed at now, whether they are on their way to others,
    /// and what is left of the run.
    #[must_use]
    pub fn stands(&self) -> (f64, bool, Option<Duration>) {
        let (course, now) = (self.course.borrow(), self.began.elapsed());
        let (level, is_changing) = course.level(now);
        (level, is_changing, course.remaining(now))
    }

    /// Waits for the threads, and says how many of them were lost. To be called once all seconds have come.
    #[must_use]
    pub fn join(mut self) -> usize {
        self.threads.drain(..).filter_map(|thread| thread.join().err()).count()
    }
}
