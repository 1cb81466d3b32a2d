//! The console as a person uses it: a real Chromium before a real `drover up` with the functions of this checkout.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees the functions that tests share as production code"
)]

mod dashboards;
mod house;
mod judge;
mod keys;
mod load;
mod looks;
mod steer;
mod try_it;
