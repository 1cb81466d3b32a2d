//! The whole view of a real run: `drover up`, loadgen, Prometheus and Alertmanager on this machine.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Alertmanager, Prometheus, built, checkout, client, eventually, promtool};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{predict, row};
use crate::dashboards;

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A `drover up` with the function `penguins` at zero instances.
struct Up {
    url: String,
    _process: Process,
    _dir: TempDir,
}

impl Up {
    async fn start(binaries: &Path) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(binaries.join("drover"));
        command.args(["up", "--no-build", "--quiet", "--port", "0", "--count", "0"]);
        let binary_dir = format!("binary_dir={}", binaries.display());
        for variable in ["function=penguins", &binary_dir, "cpu=1000", "memory=256", "feedback=verdicts"] {
            command.args(["-var", variable]);
        }
        command.arg("jobs/predict.nomad").current_dir(checkout()).env("DROVER_STATE_DIR", dir.path());
        let process = Process::start(command, &dir.path().join("up.log"));
        let address = eventually("drover up says where it listens", PATIENCE, || async {
            let record: Value = serde_json::from_slice(&std::fs::read(dir.path().join("up.json")).ok()?).ok()?;
            let address = record["gateway"].as_str()?.to_owned();
            client().get(format!("http://{address}/health/ready")).send().await.ok().map(|_| address)
        })
        .await;
        Self { url: format!("http://{address}"), _process: process, _dir: dir }
    }

    fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    fn at(&self, path: &str) -> String {
        format!("{}/functions/penguins/{path}", self.url)
    }
}

/// Starts a loadgen with its live page on `port`.
fn load(binaries: &Path, up: &Up, port: u16) -> Process {
    let mut command = Command::new(binaries.join("loadgen"));
    command.args(["--web", "--autostart", "--web-port", &port.to_string(), "--gateway", &up.url]);
    command.args(["--users", "4", "--wait-time", "0.1s", "--run-time", "5m", "--slo", "p95<10s", "penguins"]);
    Process::start(command, &up._dir.path().join("loadgen.log"))
}

/// What Prometheus' own linter says of the metrics at `url`.
async fn lint(url: &str) -> String {
    let text = client().get(url).send().await.unwrap().text().await.unwrap();
    let output = promtool(&["check", "metrics"], Some(&text)).unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_run_is_seen_and_a_burst_of_bad_requests_calls_the_team() {
    let Some(mut alertmanager) = Alertmanager::start().await else { return };
    let binaries = built(&["drover-cli", "penguins", "loadgen"]);
    let [page] = free_ports();
    let up = Up::start(&binaries).await;
    let page_host = format!("127.0.0.1:{page}");
    let changes = [
        ("127.0.0.1:8080", up.host()),
        ("127.0.0.1:8089", &page_host),
        ("127.0.0.1:9093", &alertmanager.address),
        ("_interval: 5s", "_interval: 1s"),
    ];
    let Some(prometheus) = Prometheus::start("grafana/prometheus/prometheus.yml", &changes).await else { return };
    let started = Instant::now();

    // The gateway is found by its own discovery; the first request wakes the function.
    prometheus.until(r#"drover_gateway_requests_total{job="gateways", function="penguins"} == 0"#).await;
    let woken = client().post(up.at("predict")).json(&row("penguins")).send().await.unwrap();
    assert_eq!(woken.status(), 200);
    let id = woken.headers()["x-request-id"].to_str().unwrap();
    let verdict = serde_json::json!({"request_id": id, "verdict": "up"});
    let judged = client().post(format!("{}/feedback", up.url)).json(&verdict).send().await.unwrap();
    assert_eq!(judged.status(), 201);
    let seen = r#"up{job="functions", function="penguins", version="dev", instance!="", node!=""} == 1"#;
    prometheus.until(seen).await;
    let _loadgen = load(&binaries, &up, page);
    let scale =
        client().post(format!("{}/api/functions/penguins/scale", up.url)).json(&serde_json::json!({"count": 2}));
    assert_eq!(scale.send().await.unwrap().status(), 200);
    prometheus.until("loadgen_rate > 0").await;
    prometheus.until(&format!("count({seen}) == 2")).await;

    let instance = prometheus.get("targets").await["data"]["activeTargets"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["labels"]["job"] == "functions"))
        .and_then(|one| one["scrapeUrl"].as_str().map(str::to_owned))
        .unwrap();
    for url in [&instance, &format!("{}/metrics", up.url), &format!("http://127.0.0.1:{page}/metrics")] {
        assert_eq!(lint(url).await, "", "{url}");
    }

    for _ in 0..20 {
        let refused = client().post(up.at("predict")).json(&serde_json::json!({"no": "penguin"})).send().await.unwrap();
        assert_eq!(refused.status(), 422);
    }
    let call = eventually("the alert reaches its receiver", PATIENCE, {
        let alertmanager = &mut alertmanager;
        let found = std::cell::RefCell::new(alertmanager);
        move || {
            let call = found.borrow_mut().received.try_recv().ok();
            async move { call.filter(|call| call["commonLabels"]["alertname"] == "DroverManyErrors") }
        }
    })
    .await;
    assert_eq!((&call["status"], &call["alerts"][0]["labels"]["function"]), (&"firing".into(), &"penguins".into()));
    let summary = call["alerts"][0]["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("penguins: ") && summary.ends_with(" answers of 400 or more in a minute"), "{summary}");

    // What is computed over days is written once a minute.
    prometheus.until(r#"function:drover_slow:ratio_rate3d{function="penguins"}"#).await;
    let seconds = started.elapsed().as_secs() + 5;
    for dashboard in ["overview", "function", "load"] {
        shown(&prometheus, dashboard, seconds).await;
    }
    predict(up.at("").trim_start_matches("http://").trim_end_matches('/'), "penguins").await.unwrap();
}

/// Every panel of `dashboard` has something to show of the last `seconds`.
pub(crate) async fn shown(prometheus: &Prometheus, dashboard: &str, seconds: u64) {
    let mut wrong = Vec::new();
    for query in dashboards::queries(dashboard, "penguins") {
        match prometheus.history(&query.expression, seconds).await {
            Ok(found) if found.iter().any(|series| !series.values.is_empty()) => {}
            Ok(_) => wrong.push(format!("{}: nothing: {}", query.place, query.expression)),
            Err(e) => wrong.push(format!("{}: {e}: {}", query.place, query.expression)),
        }
    }
    for expression in dashboards::annotations(dashboard, "penguins") {
        if let Err(e) = prometheus.history(&expression, seconds).await {
            wrong.push(format!("{dashboard}: {e}: {expression}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
