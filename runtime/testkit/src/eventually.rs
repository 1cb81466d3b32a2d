//! Waiting for what comes to be, instead of sleeping.

use std::future::Future;
use std::time::{Duration, Instant};

/// Asks again and again until `ask` returns something, at most for `limit`.
///
/// # Panics
/// At the limit, saying `what` did not come to be.
#[track_caller]
pub fn eventually<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let what = what.to_owned();
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            assert!(Instant::now() < deadline, "not within {limit:?}: {what} ({caller})");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
