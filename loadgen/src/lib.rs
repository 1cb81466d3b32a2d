//! Loads functions as their users would and says honestly what they held.
//!
//! - [`work`]: what users send: the traits [`work::Work`] and [`work::Script`].
//! - [`body`]: what is in it: values drawn from a schema, rows of a file, a share of them spoilt.
//! - [`files`]: where rows, scenarios and certificates are read from.
//! - [`scenario`]: work as a TOML file says it.
//! - [`target`]: where it is sent.
//! - [`plan`]: how many users or requests, when, for how long; [`control`]: what may be changed meanwhile.
//! - [`drive`]: users, arrivals and connections on threads; [`stats`]: what they see.
//! - [`fleet`]: the same load, put on by workers on several machines.
//! - [`report`]: what a run has shown, the one thing that every output is made of.
//! - [`rightsize`]: what a function needs, found by measurement.
//! - [`web`]: the page that shows a run while it goes on.

mod assets;
pub mod body;
pub mod control;
pub mod drive;
pub mod files;
pub mod fleet;
pub mod guard;
mod near;
pub mod plan;
pub mod report;
pub mod rightsize;
pub mod run;
pub mod scenario;
pub mod slo;
pub mod stats;
pub mod target;
pub mod web;
pub mod work;
