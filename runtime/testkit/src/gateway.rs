//! A gateway as its operator sees it, and whether it has counted what a load has counted.

use std::time::Duration;

use crate::{Counts, Load, Scrape, eventually};

/// How long a gateway may take to see what has happened; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function behind a gateway that runs.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where it answers, e.g. `http://127.0.0.1:40003`.
    pub url: String,
    function: String,
}

/// What a gateway had counted when a test began.
#[derive(Debug)]
pub struct Ledger {
    gateway: Gateway,
    before: Scrape,
}

impl Gateway {
    /// Names `function` behind the gateway at `url`.
    #[must_use]
    pub fn new(url: &str, function: &str) -> Self {
        Self { url: url.into(), function: function.into() }
    }

    /// Returns where predictions are asked for.
    #[must_use]
    pub fn predict(&self) -> String {
        format!("{}/functions/{}/predict", self.url, self.function)
    }

    /// Begins a load of so many requests a second.
    #[must_use]
    pub fn load(&self, body: &str, per_second: u32) -> Load {
        Load::start(&self.predict(), body, per_second)
    }

    /// Waits until it knows the function, and has `n` instances of it in service.
    ///
    /// # Panics
    /// If that does not come to be.
    pub async fn serves(&self, n: usize) {
        let what = format!("the gateway has {n} instances in service");
        eventually(&what, PATIENCE, || async {
            let found = Scrape::try_of(&self.url).await?.get("drover_gateway_instances_ready", &[&self.label()])?;
            (found == n as f64).then_some(())
        })
        .await;
    }

    /// Returns the sum of its counters `name` of the function that have all of `labels`.
    pub async fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        Scrape::of(&self.url).await.sum(name, &[&[self.label().as_str()], labels].concat())
    }

    /// Notes what it has counted so far.
    pub async fn ledger(&self) -> Ledger {
        Ledger { gateway: self.clone(), before: Scrape::of(&self.url).await }
    }

    fn label(&self) -> String {
        format!("function=\"{}\"", self.function)
    }
}

impl Ledger {
    /// Says how a load fared, and checks that every request was answered with 200 and that the gateway
    /// has answered as many.
    ///
    /// # Panics
    /// If a request failed or was lost.
    pub async fn close(&self, what: &str, counts: &Counts) {
        let grown = Scrape::of(&self.gateway.url).await.since(&self.before);
        let label = self.gateway.label();
        let retried = grown.sum("drover_gateway_retries_total", &[&label]);
        println!("{what}: {counts}; {retried} retried by the gateway");
        counts.all_answered();
        let all = grown.sum("drover_gateway_requests_total", &[&label]);
        let good = grown.sum("drover_gateway_requests_total", &[&label, "code=\"200\""]);
        assert_eq!((all, good), (counts.sent as f64, counts.sent as f64), "{what}: what the gateway has counted");
    }
}
