//! A limit of time for each request that costs no timer for each request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use tokio::time::Sleep;

/// A timer that is set anew only when it goes off and the limit that counts then is a later one.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Waits for `future` until `at`; nothing if that comes first.
    pub(super) async fn within<F: Future>(&mut self, at: Instant, future: F) -> Option<F::Output> {
        let at = at.into();
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if at < sleep.deadline() || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while sleep.as_mut().poll(context).is_ready() {
                if sleep.deadline() >= at {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(at);
            }
            Poll::Pending
        })
        .await
    }
}
