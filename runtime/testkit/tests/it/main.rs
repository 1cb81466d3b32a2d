//! The job files on a real Nomad with a real Consul; skipped where there is no `nomad`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail, loudly"
)]

mod acl;
mod artifact;
mod cluster;
mod limits;
mod release;
mod scale;
