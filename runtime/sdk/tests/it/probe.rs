//! One running probe (see `examples/probe.rs`), and what its answers always carry.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use drover_testkit::Instance;
use serde_json::{Value, json};

/// A row that is valid.
pub(crate) fn row() -> Value {
    json!({"length": 12.5, "count": 3, "text": "hola", "colour": "red"})
}

/// [`row`], with one field changed.
pub(crate) fn row_with(field: &str, value: Value) -> Value {
    let mut row = row();
    row[field] = value;
    row
}

/// A running probe.
pub(crate) struct Probe {
    instance: Instance,
    _folder: tempfile::TempDir,
}

impl Deref for Probe {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

impl DerefMut for Probe {
    fn deref_mut(&mut self) -> &mut Instance {
        &mut self.instance
    }
}

/// An answer, checked for what every answer carries.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) json: Value,
}

/// Returns the command that runs the probe with a model card of its own.
pub(crate) fn command(folder: &Path) -> Command {
    drover_testkit::probe::write_model(folder);
    // Cargo builds the examples of a package with its tests, into the folder above theirs.
    let tests = std::env::current_exe().unwrap();
    let binary: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/probe");
    assert!(binary.exists(), "{} is missing: run cargo test -p drover, without --test", binary.display());
    let mut command = Instance::command(&binary);
    command.env("DROVER_MODEL", folder);
    command
}

impl Probe {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a probe with settings, and waits until it is ready.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command.envs(settings.iter().copied());
        Self { instance: Instance::start(command).await, _folder: folder }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.url)).send().await.unwrap()).await
    }

    pub(crate) async fn predict(&self, body: &Value) -> Answer {
        self.post("/predict", body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.client.post(format!("{}{path}", self.url)).header("content-type", "application/json").body(body))
            .await
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    /// Returns the value of one metric line.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.url)).send().await.unwrap().text().await.unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let id = headers.get("x-request-id").expect("every answer has an id").to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let answer = Self { status, headers, json };
        if status >= 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert_eq!(answer.json["status"], status);
            assert_eq!(answer.json["request_id"], id);
        }
        answer
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn expect_ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// Checks a failure: its status and kind, and the text of every wrong field.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, kind: &str, errors: &[(&str, &str)]) {
        assert_eq!((self.status, &self.json["kind"]), (status, &json!(kind)), "{}", self.json);
        let listed = self.json["errors"].as_array().cloned().unwrap_or_default();
        let listed: Vec<_> =
            listed.iter().map(|e| (e["pointer"].as_str().unwrap(), e["detail"].as_str().unwrap())).collect();
        assert_eq!(listed, errors, "{}", self.json);
    }
}
