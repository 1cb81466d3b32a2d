//! A Prometheus of the test's own, with the rules of this checkout.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_ports, installed, on_path};
use crate::{checkout, client, eventually};

/// A running Prometheus; its data ends with it.
#[derive(Debug)]
pub struct Prometheus {
    /// Where it answers, e.g. `http://127.0.0.1:40004`.
    pub url: String,
    /// Nothing if somebody else has started it.
    _own: Option<(Process, TempDir)>,
}

/// One series of an answer: its labels, and its values that are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The labels as a JSON object.
    pub labels: Value,
    /// The values, the oldest first.
    pub values: Vec<f64>,
}

impl Prometheus {
    /// Starts it with a configuration of this checkout, such as `grafana/prometheus/prometheus.yml`, in which each
    /// first text of `changes` is replaced by the second. Returns nothing, and says so, where it is not installed.
    ///
    /// # Panics
    /// If it is there, but does not start, or there is nothing to replace.
    pub async fn start(config: &str, changes: &[(&str, &str)]) -> Option<Self> {
        let program = installed("prometheus")?;
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let source = checkout().join(config);
        let mut text = std::fs::read_to_string(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        let rules = checkout().join("grafana/prometheus/rules");
        for (from, to) in [("rules/", &*format!("{}/", rules.display()))].iter().chain(changes) {
            assert!(text.contains(from), "{config} does not hold `{from}`");
            text = text.replace(from, to);
        }
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let [port] = free_ports();
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start(command, &dir.path().join("prometheus.log"));
        let url = format!("http://127.0.0.1:{port}");
        let ready = format!("{url}/-/ready");
        eventually("prometheus is ready", Duration::from_secs(60), || {
            assert!(process.runs(), "prometheus ended:\n{}", process.last_lines());
            async { client().get(&ready).send().await.ok().filter(|answer| answer.status().is_success()) }
        })
        .await;
        Some(Self { url, _own: Some((process, dir)) })
    }

    /// Waits for the one that somebody else starts at `url`.
    ///
    /// # Panics
    /// If it does not come.
    pub async fn at(url: &str) -> Self {
        let ready = format!("{url}/-/ready");
        eventually("prometheus is ready", Duration::from_secs(90), || async {
            client().get(&ready).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        Self { url: url.into(), _own: None }
    }

    /// Returns a Prometheus with Consul's discovery, or nothing, and says so: that on `PATH` if it has it, or what
    /// `.ci/run` has unpacked.
    #[must_use]
    pub fn with_consul() -> Option<PathBuf> {
        let unpacked = checkout().join("target/ci/prometheus/usr/bin/prometheus");
        let config = checkout().join("grafana/prometheus/consul.yml");
        let on_path = on_path("prometheus").filter(|_| {
            let checked = promtool(&["check", "config", "--syntax-only", &config.display().to_string()], None);
            checked.is_some_and(|output| output.status.success())
        });
        let found = on_path.or(Some(unpacked).filter(|file| file.is_file()));
        if found.is_none() {
            eprintln!("skipped: no Prometheus with Consul's discovery is on PATH");
        }
        found
    }

    /// Returns what `expression` is now.
    ///
    /// # Errors
    /// What Prometheus says is wrong with it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Series>, String> {
        self.ask("query", &[("query", expression)]).await
    }

    /// Returns what `expression` was over the last `seconds`, every second.
    ///
    /// # Errors
    /// What Prometheus says is wrong with it.
    pub async fn history(&self, expression: &str, seconds: u64) -> Result<Vec<Series>, String> {
        let now = self.get("query?query=time()").await["data"]["result"][0].as_f64().expect("a time");
        let (start, end) = ((now - seconds as f64).to_string(), now.to_string());
        self.ask("query_range", &[("query", expression), ("start", &start), ("end", &end), ("step", "1")]).await
    }

    /// Waits until `expression` is something, and returns it.
    ///
    /// # Panics
    /// If it stays nothing, or is wrong.
    pub async fn until(&self, expression: &str) -> Vec<Series> {
        eventually(expression, Duration::from_secs(90), || async {
            let found = self.query(expression).await.unwrap_or_else(|e| panic!("{expression}: {e}"));
            Some(found).filter(|found| !found.is_empty())
        })
        .await
    }

    /// Returns what it answers at `/api/v1/PATH`.
    ///
    /// # Panics
    /// If that is not JSON.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = client().get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        answer.json().await.unwrap_or_else(|e| panic!("{url}: {e}"))
    }

    async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Result<Vec<Series>, String> {
        let url = format!("{}/api/v1/{path}", self.url);
        let body = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&");
        let request = client().post(&url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer: Value = request.send().await.map_err(|e| e.to_string())?.json().await.map_err(|e| e.to_string())?;
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        Ok(answer["data"]["result"].as_array().into_iter().flatten().map(series).collect())
    }
}

/// Runs `promtool` in `grafana/prometheus` of this checkout. Returns nothing, and says so, where it is not installed.
///
/// # Panics
/// If it cannot be run.
#[must_use]
pub fn promtool(args: &[&str], input: Option<&str>) -> Option<Output> {
    let program = installed("promtool")?;
    let mut command = Command::new(program);
    command.args(args).current_dir(checkout().join("grafana/prometheus"));
    let Some(input) = input else { return Some(command.output().expect("promtool runs")) };
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), input).expect("a temporary file can be written");
    Some(command.stdin(file.reopen().expect("it can be read")).output().expect("promtool runs"))
}

fn series(found: &Value) -> Series {
    let value = |pair: &Value| pair[1].as_str().and_then(|text| text.parse::<f64>().ok());
    let points = found["values"].as_array().cloned().unwrap_or_else(|| vec![found["value"].clone()]);
    let values = points.iter().filter_map(value).filter(|value| !value.is_nan()).collect();
    Series { labels: found["metric"].clone(), values }
}

/// Returns `text` as a form holds it.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
