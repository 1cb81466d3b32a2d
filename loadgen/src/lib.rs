//! Loads functions as their users would and says honestly what they held.
//!
//! - [`work`]: what users send: the traits [`work::Work`] and [`work::Script`].
//! - [`report`]: what a run has shown, the one thing that every output is made of.

pub mod report;
pub mod work;
