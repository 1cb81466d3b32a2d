//! A cluster that runs `jobs/predict.nomad` with the functions of this workspace.

use std::path::PathBuf;
use std::time::Duration;

use drover_testkit::{Nomad, Registered, built, checkout, client, eventually};
use serde_json::{Value, json};

/// How long an instance may take to become ready on a busy machine.
pub(crate) const READY: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) nomad: Nomad,
    binaries: PathBuf,
}

impl Cluster {
    /// Starts a cluster that has `functions`.
    pub(crate) async fn start(functions: &[&str]) -> Option<Self> {
        Some(Self { nomad: Nomad::start().await?, binaries: built(functions) })
    }

    /// Runs the job of `function` with further variables, such as `count=2`.
    #[track_caller]
    pub(crate) fn run(&self, function: &str, variables: &[&str]) {
        let mut given = vec![format!("function={function}"), format!("binary_dir={}", self.binaries.display())];
        given.extend(variables.iter().map(|&v| v.to_owned()));
        let mut args = vec!["job", "run", "-detach", "-preserve-counts"];
        args.extend(given.iter().flat_map(|variable| ["-var", variable]));
        args.push("jobs/predict.nomad");
        self.nomad(&args);
    }

    /// Runs another job of `jobs/` with these variables.
    #[track_caller]
    pub(crate) fn run_job(&self, job: &str, variables: &[String]) {
        let file = format!("jobs/{job}.nomad");
        let mut args = vec!["job", "run", "-detach"];
        args.extend(variables.iter().flat_map(|variable| ["-var", variable]));
        args.push(&file);
        self.nomad(&args);
    }

    /// Runs the gateway's job with further variables, for everybody on this machine; the cluster must have `drover-cli`.
    #[track_caller]
    pub(crate) fn run_gateway(&self, port: u16, variables: &[String]) {
        let own = [
            "open=true".into(),
            format!("port={port}"),
            format!("binary={}", self.binaries.join("drover").display()),
            format!("consul={}", self.nomad.consul.url),
            format!("nomad={}", self.nomad.url),
        ];
        self.run_job("gateway", &[&own, variables].concat());
    }

    /// Runs the command `nomad` in the checkout, and returns what it says.
    #[track_caller]
    pub(crate) fn nomad(&self, args: &[&str]) -> String {
        let output = self.nomad.run(&checkout(), args);
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nomad {args:?}: {text}");
        text.into_owned()
    }

    /// Waits until Consul lists `n` passing instances of `function`.
    pub(crate) async fn passing(&self, function: &str, n: usize) -> Vec<Registered> {
        let what = format!("{n} instances of {function} pass");
        eventually(&what, READY, || async {
            Some(self.nomad.consul.passing(function).await).filter(|found| found.len() == n)
        })
        .await
    }

    /// Returns the running allocations of `function`.
    pub(crate) async fn allocations(&self, function: &str) -> Vec<Value> {
        let all = self.nomad.get(&format!("/v1/job/{function}/allocations")).await;
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|a| a["ClientStatus"] == "running" && a["DesiredStatus"] == "run").collect()
    }
}

/// Shows how the instances fared, if the test fails.
impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = ["job", "status", "penguins"];
            let log = ["alloc", "logs", "-stderr", "-job", "penguins"];
            for args in [&status[..], &log[..]] {
                let output = self.nomad.run(&checkout(), args);
                eprintln!("--- nomad {args:?}:\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }
}

/// A row that is right for each function, and what the field of the answer is called.
pub(crate) fn row(function: &str) -> Value {
    match function {
        "penguins" => json!({
            "bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181.0, "body_mass_g": 3750.0,
        }),
        "covertype" => json!({
            "elevation": 2596, "aspect": 51, "slope": 3, "horizontal_distance_to_hydrology": 258,
            "vertical_distance_to_hydrology": 0, "horizontal_distance_to_roadways": 510, "hillshade_9am": 221,
            "hillshade_noon": 232, "hillshade_3pm": 148, "horizontal_distance_to_fire_points": 6279,
            "wilderness_area": "Rawah", "soil_type": "C7745",
        }),
        other => panic!("no row for {other}"),
    }
}

/// Asks the instance at `address` for a prediction; `Err` says what came instead.
pub(crate) async fn predict(address: &str, function: &str) -> Result<Value, String> {
    let request = client().post(format!("http://{address}/predict")).json(&row(function));
    let answer = request.send().await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|e| e.to_string())?;
    if status.is_success() && !body["prediction"].is_null() { Ok(body) } else { Err(format!("{status}: {body}")) }
}
