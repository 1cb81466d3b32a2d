//! The clients of the connections measure: each holds one connection and asks once a second, at its
//! own moment of the second, whether or not others have been answered.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Result;
use crate::wire::{Wire, predict};

/// Over how long the connections are opened.
const RAMP: Duration = Duration::from_secs(4);
/// Requests of each client that do not count.
const N_WARM_UP: u32 = 2;
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What the clients saw.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) per_second: f64,
    pub(crate) n_answers: usize,
    /// What came instead of an answer, and how often.
    pub(crate) failures: BTreeMap<String, usize>,
    /// From the moment at which a request was sent.
    pub(crate) sent_ms: Quantiles,
    /// From the moment at which it should have been; timers here are late by up to a millisecond.
    pub(crate) due_ms: Quantiles,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    sent: Vec<Duration>,
    due: Vec<Duration>,
    failures: Vec<String>,
}

/// Holds `n` connections to `address` for `hold_s` seconds and prints a [`Held`].
pub(crate) async fn run(address: &str, n: &str, hold_s: &str, row: &str) -> Result<ExitCode> {
    let (n, hold_s): (u32, u32) = (n.parse()?, hold_s.parse()?);
    let (address, request): (Arc<str>, Arc<[u8]>) = (address.into(), predict(row).into());
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for i in 0..n {
        let connect_at = start + RAMP * i / n;
        let first_at = start + RAMP + Duration::from_secs(1) * i / n;
        clients.spawn(client(Arc::clone(&address), Arc::clone(&request), connect_at, first_at, hold_s));
    }
    let mut all = Seen::default();
    while let Some(seen) = clients.join_next().await {
        let seen = seen?;
        all.sent.extend(seen.sent);
        all.due.extend(seen.due);
        all.failures.extend(seen.failures);
    }
    let mut failures = BTreeMap::new();
    for failure in all.failures {
        *failures.entry(failure).or_insert(0) += 1;
    }
    let held = Held {
        per_second: all.sent.len() as f64 / f64::from(hold_s),
        n_answers: all.sent.len(),
        failures,
        sent_ms: quantiles(all.sent),
        due_ms: quantiles(all.due),
    };
    println!("{}", serde_json::to_string(&held)?);
    Ok(ExitCode::SUCCESS)
}

async fn client(address: Arc<str>, request: Arc<[u8]>, connect_at: Instant, first_at: Instant, hold_s: u32) -> Seen {
    let mut seen = Seen::default();
    sleep_until(connect_at).await;
    let mut wire = Wire::connect(&address).await.ok();
    for second in 0..N_WARM_UP + hold_s {
        let due = first_at + Duration::from_secs(1) * second;
        sleep_until(due).await;
        if wire.is_none() {
            wire = Wire::connect(&address).await.ok();
        }
        let sent = Instant::now();
        let answer = match &mut wire {
            Some(wire) => timeout(ANSWER_LIMIT, wire.call(&request)).await,
            None => Ok(Err(io::ErrorKind::NotConnected.into())),
        };
        match answer {
            Ok(Ok((200, _))) if second < N_WARM_UP => {}
            Ok(Ok((200, _))) => {
                seen.sent.push(sent.elapsed());
                seen.due.push(due.elapsed());
            }
            // The connection is as good as before.
            Ok(Ok((status, _))) => seen.failures.push(status.to_string()),
            Ok(Err(why)) => {
                seen.failures.push(why.kind().to_string());
                wire = None;
            }
            Err(_) => {
                seen.failures.push("no answer in time".to_owned());
                wire = None;
            }
        }
    }
    seen
}

fn quantiles(mut times: Vec<Duration>) -> Quantiles {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Quantiles { p50: at(50), p95: at(95), p99: at(99) }
}
