//! Load at a constant rate: clients of which each holds one connection and asks at its own moments,
//! whether or not others have been answered.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Result;
use super::machine::{Busy, CpuClock, LOAD_CORE, may_open};
use super::rounds::Measured;
use super::server::{Server, on_core};
use super::wire::Wire;

/// From the opening of one connection to the next.
const CONNECT_EVERY: Duration = Duration::from_micros(400);
/// How long requests do not count.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Descriptors that a process needs beside its connections.
const DESCRIPTORS: u32 = 200;

/// How many clients there are, and how much they ask.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    /// Clients, each with its own connection.
    pub n: u32,
    /// Requests a second of all of them together.
    pub per_second: u32,
}

/// A server under the load of clients.
#[derive(Debug, Serialize)]
pub struct Steady {
    /// What the clients saw.
    pub held: Held,
    /// How busy the cores were, from the first connection on.
    pub busy: Busy,
}

/// What the clients saw.
#[derive(Debug, Serialize, Deserialize)]
pub struct Held {
    /// Answers a second.
    pub per_second: f64,
    /// Answers with status 200.
    pub n_answers: usize,
    /// What came instead of an answer, and how often.
    pub failures: BTreeMap<String, usize>,
    /// From the moment at which a request was sent.
    pub sent_ms: Quantiles,
    /// From the moment at which it should have been; timers here are late by up to a millisecond.
    pub due_ms: Quantiles,
}

/// Of times in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of the answers took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    sent: Vec<Duration>,
    due: Vec<Duration>,
    failures: Vec<String>,
}

/// Has `clients` send `request` to `server`, for `time` after a warm-up.
pub async fn load(server: &Server, clients: Clients, request: &str, time: Duration) -> Result<Steady> {
    // The clients' process has the same limit: both are raised the same way.
    may_open(server.id, u64::from(clients.n + DESCRIPTORS))?;
    let (clock, started) = (CpuClock::start(server.id)?, Instant::now());
    let mut command = on_core(LOAD_CORE, std::env::current_exe()?);
    command.args(["--hold", &server.address, &clients.n.to_string(), &clients.per_second.to_string()]);
    let output = command.arg(time.as_secs().to_string()).arg(request).output().await?;
    if !output.status.success() {
        return Err(format!("the clients failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let busy = clock.stop(started.elapsed())?;
    Ok(Steady { held: serde_json::from_slice(&output.stdout)?, busy })
}

impl Measured for Steady {
    fn busy(&self) -> Busy {
        self.busy
    }

    fn shown(&self) -> String {
        let Held { per_second, sent_ms, .. } = &self.held;
        let mut text = format!("{per_second:>9.0}/s, p50 {:.2}, p99 {:.2} ms", sent_ms.p50, sent_ms.p99);
        self.held.failures.iter().for_each(|(what, n)| text += &format!(", {n} x {what}"));
        text
    }
}

impl Held {
    /// Returns how many requests were not answered with 200.
    #[must_use]
    pub fn n_failures(&self) -> usize {
        self.failures.values().sum()
    }
}

/// Is the clients, in a process of its own, and prints a [`Held`].
pub(super) async fn run(words: &[&str]) -> Result<ExitCode> {
    let [address, n, per_second, time_s, request] = words else {
        return Err("--hold takes an address, clients, requests a second, seconds and a request".into());
    };
    let (n, per_second, time_s): (u32, u32, u32) = (n.parse()?, per_second.parse()?, time_s.parse()?);
    let (address, request): (Arc<str>, Arc<[u8]>) = ((*address).into(), request.as_bytes().into());
    let every = Duration::from_secs(1) * n / per_second;
    let (start, ramp) = (Instant::now(), CONNECT_EVERY * n);
    let counts_from = start + ramp + WARM_UP;
    let end = counts_from + Duration::from_secs(1) * time_s;
    let mut clients = JoinSet::new();
    for i in 0..n {
        let client = Client {
            address: Arc::clone(&address),
            request: Arc::clone(&request),
            connect_at: start + CONNECT_EVERY * i,
            first_at: start + ramp + every * i / n,
            every,
            counts_from,
            end,
        };
        clients.spawn(client.run());
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
        per_second: all.sent.len() as f64 / f64::from(time_s),
        n_answers: all.sent.len(),
        failures,
        sent_ms: quantiles(all.sent),
        due_ms: quantiles(all.due),
    };
    println!("{}", serde_json::to_string(&held)?);
    Ok(ExitCode::SUCCESS)
}

struct Client {
    address: Arc<str>,
    request: Arc<[u8]>,
    connect_at: Instant,
    first_at: Instant,
    every: Duration,
    counts_from: Instant,
    end: Instant,
}

impl Client {
    async fn run(self) -> Seen {
        let mut seen = Seen::default();
        sleep_until(self.connect_at).await;
        let mut wire = Wire::connect(&self.address).await.ok();
        let mut due = self.first_at;
        while due < self.end {
            sleep_until(due).await;
            if wire.is_none() {
                wire = Wire::connect(&self.address).await.ok();
            }
            let sent = Instant::now();
            let answer = match &mut wire {
                Some(wire) => timeout(ANSWER_LIMIT, wire.call(&self.request)).await,
                None => Ok(Err(io::ErrorKind::NotConnected.into())),
            };
            match answer {
                Ok(Ok((200, _))) if due < self.counts_from => {}
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
            due += self.every;
        }
        seen
    }
}

fn quantiles(mut times: Vec<Duration>) -> Quantiles {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Quantiles { p50: at(50), p95: at(95), p99: at(99) }
}
