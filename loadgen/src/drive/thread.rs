//! One thread from its beginning to its end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, Scheme};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::course::Course;
use super::h1::Buffers;
use super::here::{Here, Places, Protocol, Settings, Uris};
use super::schedule::Share;
use super::{Error, Second, arrivals, users};
use crate::plan::{Load, Plan};
use crate::stats::Recorder;
use crate::target::{Endpoint, Target};
use crate::work::Work;

/// How often it is looked whether the last answers have come.
const LOOK: Duration = Duration::from_millis(5);

/// What a thread is made of.
pub(super) struct Seed {
    pub(super) thread: Share,
    pub(super) began: Instant,
    pub(super) settings: Settings,
    pub(super) work: Arc<dyn Work>,
    pub(super) plan: Arc<Plan>,
    pub(super) uris: Uris,
    pub(super) endpoints: watch::Receiver<Arc<Vec<Endpoint>>>,
    pub(super) course: watch::Receiver<Course>,
    pub(super) seconds: mpsc::UnboundedSender<Second>,
}

/// Runs to the end of the course. A thread that cannot is told of by its panic, and the run is invalid.
pub(super) fn run(seed: Seed) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    #[expect(clippy::panic, reason = "ends this thread only, and whoever joins it says so")]
    match runtime.and_then(|runtime| runtime.block_on(load(seed))) {
        Ok(()) => {}
        Err(e) => panic!("a thread of the load has ended: {e}"),
    }
}

async fn load(seed: Seed) -> io::Result<()> {
    let Seed { thread, began, settings, work, plan, uris, mut endpoints, mut course, seconds } = seed;
    let n_tasks = work.tasks().len();
    let here = Rc::new(Here {
        settings,
        thread,
        began,
        work,
        plan,
        uris,
        merged: RefCell::default(),
        buffers: Buffers::default(),
        places: Places::default(),
        recorder: RefCell::new(Recorder::new(n_tasks)),
        users: Cell::new(0),
        in_flight: Cell::new(0),
    });
    here.places.set(Arc::clone(&endpoints.borrow_and_update()));
    let follower = tokio::task::spawn_local(follow(Rc::clone(&here), endpoints));
    tokio::time::sleep_until(began.into()).await;
    // Who comes while the run goes on has seen nothing of what was before.
    let number = Rc::new(Cell::new(began.elapsed().as_secs()));
    let ticker = tokio::task::spawn_local(tell(Rc::clone(&here), began, seconds.clone(), Rc::clone(&number)));
    let tasks = match here.plan.load {
        Load::Users(_) => users::run(&here, &mut course).await,
        Load::Rate { .. } => arrivals::run(&here, &mut course).await?,
    };
    let has_panicked = finish(&here, tasks).await;
    ticker.abort();
    follower.abort();
    // Who listens has gone only if nobody wants to know.
    let _gone = seconds.send(Second { thread: thread.index, number: None, seen: look(&here) });
    if has_panicked { Err(io::Error::other("a script has panicked")) } else { Ok(()) }
}

/// Waits for the last answers, and ends what does not come; whether a user has panicked.
async fn finish(here: &Here, tasks: Vec<JoinHandle<()>>) -> bool {
    let until = Instant::now() + here.plan.stop_timeout;
    while here.in_flight.get() > 0 && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    for task in &tasks {
        task.abort();
    }
    let mut has_panicked = false;
    for task in tasks {
        // What it has not finished is counted when it is dropped, which is before this returns.
        has_panicked |= task.await.is_err_and(|e| e.is_panic());
    }
    has_panicked
}

/// Tells each second what was seen in it.
async fn tell(here: Rc<Here>, began: Instant, seconds: mpsc::UnboundedSender<Second>, number: Rc<Cell<u64>>) {
    loop {
        tokio::time::sleep_until((began + Duration::from_secs(number.get() + 1)).into()).await;
        let second = Second { thread: here.thread.index, number: Some(number.get()), seen: look(&here) };
        number.set(number.get() + 1);
        if seconds.send(second).is_err() {
            return;
        }
    }
}

fn look(here: &Here) -> crate::stats::Snapshot {
    let mut seen = here.recorder.borrow_mut().take();
    seen.users = here.users.get();
    seen.in_flight = here.in_flight.get();
    seen
}

/// Follows the target's places.
async fn follow(here: Rc<Here>, mut endpoints: watch::Receiver<Arc<Vec<Endpoint>>>) {
    while endpoints.changed().await.is_ok() {
        let all = Arc::clone(&endpoints.borrow_and_update());
        here.places.set(all);
    }
}

/// Adds what every request says of its way.
pub(super) fn with_host(settings: &Settings, target: &Target) -> Result<Settings, Error> {
    let mut settings = settings.clone();
    if settings.protocol == Protocol::H1 {
        let host = HeaderValue::from_str(&target.host).map_err(|e| wrong(target, &e))?;
        settings.headers.insert(HOST, host);
        if !settings.keep_alive {
            settings.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    Ok(settings)
}

pub(super) fn uris(settings: &Settings, target: &Target) -> Result<Uris, Error> {
    let scheme = if target.tls { Scheme::HTTPS } else { Scheme::HTTP };
    let authority: Authority = target.host.parse().map_err(|e| wrong(target, &e))?;
    let authority = (settings.protocol == Protocol::H2).then_some((scheme, authority));
    Ok(Uris { base: target.base_path.clone(), authority })
}

fn wrong(target: &Target, reason: &dyn std::fmt::Display) -> Error {
    Error::Host { host: target.host.clone(), reason: reason.to_string() }
}
