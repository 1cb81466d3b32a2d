//! One instance as the gateway knows it: its connections, and whether it is believed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use drover_core::InstanceId;
use drover_engine::Instance;
use tokio_util::sync::CancellationToken;

use crate::feedback::{Keep, KeepCell};
use crate::pool::Pool;
use crate::record::Record;

/// How long an instance is out after its first ejection; twice as long each time, up to the most.
const OUT_FIRST: Duration = Duration::from_millis(100);
const OUT_MAX: Duration = Duration::from_secs(10);

/// Why an instance takes no requests although the catalog lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    /// It is new and has not said yet that it is ready.
    New,
    /// It refused or broke a connection.
    Unreachable,
    /// It holds requests and does not answer whether it lives.
    Hung,
    /// It fails, and the others do not.
    Failing,
    /// The catalog says that its checks fail.
    Unhealthy,
}

impl Out {
    /// Returns the reason as one word, for metrics.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Unreachable => "unreachable",
            Self::Hung => "hung",
            Self::Failing => "failing",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One instance as the gateway knows it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) id: InstanceId,
    pub(crate) index: u32,
    pub(crate) address: SocketAddr,
    pub(crate) pool: Pool,
    /// What of its answers is kept for verdicts.
    pub(crate) keep: KeepCell,
    /// The catalog lists it no more.
    pub(crate) gone: CancellationToken,
    /// It is being asked whether it lives.
    pub(crate) is_suspected: AtomicBool,
    /// What it has in flight is given up; a new one each time.
    lost: Mutex<CancellationToken>,
    born: Instant,
    /// When it last answered anything, in milliseconds since `born`.
    answered_ms: AtomicU64,
    pub(crate) record: Record,
    n_ejections: AtomicU32,
}

impl Backend {
    /// Returns the instance at `address`.
    pub(crate) fn new(instance: &Instance, address: SocketAddr) -> Self {
        Self {
            id: instance.id.clone(),
            index: instance.index,
            address,
            pool: Pool::new(address),
            keep: KeepCell::new(Keep::of(&instance.meta)),
            gone: CancellationToken::new(),
            is_suspected: AtomicBool::new(false),
            lost: Mutex::default(),
            born: Instant::now(),
            answered_ms: AtomicU64::new(0),
            record: Record::default(),
            n_ejections: AtomicU32::new(0),
        }
    }

    /// Returns what is cancelled when requests in flight here are given up.
    pub(crate) fn lost(&self) -> CancellationToken {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives up what is in flight.
    pub(crate) fn give_up(&self) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *lost).cancel();
        self.pool.clear();
    }

    /// Notes that it has answered something.
    pub(crate) fn answered(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.answered_ms.store(ms, Ordering::Relaxed);
    }

    /// Returns how long it has answered nothing.
    pub(crate) fn silent_for(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.answered_ms.load(Ordering::Relaxed)))
    }

    /// Counts an ejection and returns how long to leave it alone before it is asked again.
    pub(crate) fn ejected(&self) -> Duration {
        self.record.forget_row();
        let n = self.n_ejections.fetch_add(1, Ordering::Relaxed).min(16);
        OUT_FIRST.saturating_mul(1 << n).min(OUT_MAX)
    }

    /// Forgets old ejections, after it has worked for a while.
    pub(crate) fn forgive(&self) {
        self.n_ejections.store(0, Ordering::Relaxed);
    }
}
