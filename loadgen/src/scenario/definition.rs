//! A scenario as its author wrote it, before anything of it is made.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use serde_json::{Map, Value};

use super::document::At;
use super::judge::{Checks, From};
use crate::body::{Broken, Order};

/// What users do.
#[derive(Debug, Clone, Default)]
pub(super) struct Definition {
    pub(super) tasks: Vec<Task>,
    /// What each user does first, once.
    pub(super) on_start: Vec<Step>,
    pub(super) vars: Map<String, Value>,
    pub(super) data: Vec<Data>,
}

/// Steps in a row, chosen by weight.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) weight: f64,
    pub(super) tags: Vec<String>,
    pub(super) steps: Vec<Step>,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Under which it is counted.
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) path: (String, At),
    pub(super) headers: Vec<(HeaderName, String, At)>,
    pub(super) body: Body,
    /// Rows in a body, as an array.
    pub(super) rows: Option<usize>,
    /// The share of bodies that are wrong on purpose.
    pub(super) invalid: f64,
    /// Fields that have one value in every row.
    pub(super) set: Map<String, Value>,
    pub(super) timeout: Option<Duration>,
    pub(super) checks: Checks,
    pub(super) extract: Vec<(String, From, At)>,
}

/// Where a body comes from.
#[derive(Debug, Clone)]
pub(super) enum Body {
    None,
    Json(Value, At),
    Text(String, At),
    /// The row of a file, by the name of its data.
    Data(String, At),
    /// The request's schema.
    Generate(At),
}

/// A file of rows.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) name: String,
    pub(super) at: At,
    pub(super) file: PathBuf,
    pub(super) order: Order,
    pub(super) columns: Vec<String>,
    pub(super) broken: Broken,
}
