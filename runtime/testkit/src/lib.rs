//! Real servers for tests, on free ports with temporary state: [`Consul`], [`Nomad`], [`Prometheus`], [`Postgres`], and
//! functions as processes ([`Instance`]); a [`Load`] for them, and a [`Browser`] for pages. What cannot start panics: a
//! test cannot go on then.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on must fail, loudly"
)]

mod alertmanager;
pub mod bench;
mod browser;
mod built;
mod collector;
mod consul;
mod eventually;
mod gateway;
pub mod golden;
mod graylog;
mod instance;
mod leftovers;
mod load;
mod machines;
mod nomad;
mod postgres;
pub mod probe;
pub mod process;
mod prometheus;
mod scrape;

pub use alertmanager::Alertmanager;
pub use browser::{Browser, Tab};
pub use built::{built, built_example, checkout};
pub use collector::{Collector, Span};
pub use consul::{Consul, Registered};
pub use eventually::eventually;
pub use gateway::{Gateway, Ledger};
pub use graylog::Graylog;
pub use instance::Instance;
pub use load::{Counts, Load};
pub use machines::{Machine, Machines};
pub use nomad::Nomad;
pub use postgres::Postgres;
pub use probe::Probe;
pub use prometheus::{Prometheus, Series, promtool};
pub use scrape::Scrape;

/// Returns an HTTP client that knows no proxy and gives up after half a minute.
#[must_use]
pub fn client() -> reqwest::Client {
    let limit = std::time::Duration::from_secs(30);
    client_builder().timeout(limit).build().expect("a client without TLS can be made")
}

/// Begins an HTTP client that knows no proxy.
pub fn client_builder() -> reqwest::ClientBuilder {
    // The crate's features are those of all who use it, and some of them speak TLS.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}
