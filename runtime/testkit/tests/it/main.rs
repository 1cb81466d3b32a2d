//! The job files and the engine for a cluster on a real Nomad with a real Consul; what needs `nomad` is skipped
//! where there is none.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail, loudly"
)]

mod acl;
mod artifact;
mod catalog;
mod cluster;
mod dashboards;
mod faults;
mod feedback;
mod leader;
mod limits;
mod loadgen;
mod machines;
mod observe;
mod provision;
mod release;
mod rightsize;
mod rules;
mod scale;
mod scheduler;
mod stack;
mod tls;
mod watched;
