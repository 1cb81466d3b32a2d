//! A scenario of one request, as the flags of the command line say it.

use std::path::{Path, PathBuf};

use http::Method;
use http::header::HeaderName;
use serde_json::{Map, Value};

use super::definition::{Body, Data, Definition, Step, Task};
use super::document::Findings;
use super::judge::Checks;
use super::{Scenario, Settings};
use crate::body::{Broken, Order};

/// What the rows of a file are called in the body of a [`Single`]: `{{row.NAME}}`.
const ROW: &str = "row";

/// One request, again and again.
#[derive(Debug, Clone, Default)]
pub struct Single {
    /// Under which name it is counted.
    pub name: String,
    /// GET without a body and POST with one by default.
    pub method: Option<Method>,
    /// Its path below the target's own.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(HeaderName, String)>,
    /// Its body, with `{{row.NAME}}` for the fields of `rows`.
    pub body: Option<String>,
    /// Rows of a file: bodies, unless there is a `body`.
    pub rows_of: Option<RowsOf>,
    /// Whether bodies are drawn from the request's schema, if neither `body` nor `rows_of` says what they are.
    pub generate: bool,
    /// Rows in a body, as an array; a single row that is no array by default.
    pub rows: Option<usize>,
    /// The share of bodies that are wrong on purpose, 0 to 1.
    pub invalid: f64,
    /// Fields that have one value in every row.
    pub set: Map<String, Value>,
}

/// Rows of a file.
#[derive(Debug, Clone, Default)]
pub struct RowsOf {
    /// CSV or JSONL.
    pub file: PathBuf,
    /// In which order they are sent.
    pub order: Order,
    /// The columns that are sent; all that the request has by default.
    pub columns: Vec<String>,
    /// What is done with broken ones.
    pub broken: Broken,
}

impl Scenario {
    /// Makes a scenario of one request.
    #[must_use]
    pub fn single(single: Single) -> Self {
        let body = match (single.body, &single.rows_of) {
            (Some(text), _) => Body::Text(text, 0),
            (None, Some(_)) => Body::Data(ROW.to_owned(), 0),
            (None, None) if single.generate => Body::Generate(0),
            (None, None) => Body::None,
        };
        let method = if matches!(body, Body::None) { Method::GET } else { Method::POST };
        let step = Step {
            name: single.name,
            method: single.method.unwrap_or(method),
            path: (single.path, 0),
            headers: single.headers.into_iter().map(|(name, value)| (name, value, 0)).collect(),
            body,
            rows: single.rows,
            invalid: single.invalid,
            set: single.set,
            timeout: None,
            checks: Checks::default(),
            extract: Vec::new(),
        };
        let data = single.rows_of.map(|rows| Data {
            name: ROW.to_owned(),
            at: 0,
            file: rows.file,
            order: rows.order,
            columns: rows.columns,
            broken: rows.broken,
        });
        let task = Task { weight: 1.0, tags: Vec::new(), steps: vec![step] };
        Self {
            settings: Settings::default(),
            definition: Definition { tasks: vec![task], data: data.into_iter().collect(), ..Definition::default() },
            findings: Findings::new(Path::new("the request"), String::new()),
        }
    }
}
