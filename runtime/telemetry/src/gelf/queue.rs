//! What waits to be sent: bounded, emptied by a thread of its own, so that no request ever waits for a log server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::wire::{Server, Wire};

/// Messages that wait at most.
const MESSAGES_MAX: usize = 8192;
/// Bytes that they hold at most.
const BYTES_MAX: usize = 4 << 20;
/// How long the end of a process waits for the last ones.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Messages of this process that were not sent.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// The queue of this process, for [`flush`].
static OWN: OnceLock<Arc<Queue>> = OnceLock::new();

/// Messages on their way.
pub(super) struct Queue {
    items: SyncSender<Item>,
    n_bytes: AtomicUsize,
}

enum Item {
    Message(Vec<u8>),
    /// All before it were sent or dropped.
    Mark(SyncSender<()>),
}

impl Queue {
    pub(super) fn start(server: Server) -> std::io::Result<Arc<Self>> {
        let (items, waiting) = sync_channel(MESSAGES_MAX);
        let queue = Arc::new(Self { items, n_bytes: AtomicUsize::new(0) });
        let own = Arc::clone(&queue);
        std::thread::Builder::new().name("gelf".into()).spawn(move || own.empty(&waiting, server))?;
        let _only_the_first_is_flushed = OWN.set(Arc::clone(&queue));
        Ok(queue)
    }

    /// Adds a message; drops it if too much waits already.
    pub(super) fn put(&self, message: Vec<u8>) {
        let n_bytes = message.len();
        let room = self.n_bytes.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes <= BYTES_MAX;
        if !(room && self.items.try_send(Item::Message(message)).is_ok()) {
            self.n_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn empty(&self, waiting: &Receiver<Item>, server: Server) {
        let mut wire = Wire::new(server);
        for item in waiting {
            match item {
                Item::Message(message) => {
                    // Nothing may be logged here: it would come back.
                    if wire.send(&message).is_err() {
                        DROPPED.fetch_add(1, Ordering::Relaxed);
                    }
                    self.n_bytes.fetch_sub(message.len(), Ordering::Relaxed);
                }
                Item::Mark(done) => drop(done.try_send(())),
            }
        }
    }
}

/// Returns how many messages of this process were not sent.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits, at the end of a process, until the last messages are sent; at most a second.
pub fn flush() {
    let Some(queue) = OWN.get() else { return };
    let (done, all_sent) = sync_channel(1);
    if queue.items.try_send(Item::Mark(done)).is_ok() {
        let _late = all_sent.recv_timeout(FLUSH_LIMIT);
    }
}
