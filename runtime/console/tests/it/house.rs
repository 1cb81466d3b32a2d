//! A `drover up` with functions of this checkout.

use std::process::Command;
use std::time::Duration;

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Browser, Tab, built, checkout, client, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// How long functions may take to start; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `drover up` with functions of this checkout, and a browser; both end when this is dropped.
pub(crate) struct House {
    pub(crate) url: String,
    pub(crate) browser: Browser,
    _up: Process,
    _dir: TempDir,
}

impl House {
    /// Starts `functions`, one instance each, at most three. Returns nothing where there is no Chromium.
    pub(crate) async fn start(functions: &[&str]) -> Option<Self> {
        Self::start_with(functions, &[]).await
    }

    /// The same, with more arguments for `drover up`.
    pub(crate) async fn start_with(functions: &[&str], more: &[&str]) -> Option<Self> {
        let browser = Browser::start().await?;
        let binaries = built(&[&["drover-cli", "loadgen"], functions].concat());
        let (dir, [port]) = (tempfile::tempdir().unwrap(), free_ports());
        let mut command = Command::new(binaries.join("drover"));
        command.current_dir(checkout()).args(["up", "--no-build", "--port", &port.to_string(), "--state-dir"]);
        command.arg(dir.path().join("state")).arg("--var").arg(format!("binary_dir={}", binaries.display()));
        command.args(["--var", "max=3", "--var", "memory_max=512", "--var", "feedback=inputs"]).args(more);
        for function in functions {
            // A job file names its function once; each has its own.
            let job = dir.path().join(format!("{function}.nomad"));
            let text = std::fs::read_to_string(checkout().join("jobs/predict.nomad")).unwrap();
            let text = text.replace("default     = \"penguins\"", &format!("default     = \"{function}\""));
            let text =
                text.replace("abspath(\"functions\")", &format!("\"{}\"", checkout().join("functions").display()));
            std::fs::write(&job, text).unwrap();
            command.arg(job);
        }
        let up = Process::start(command, &dir.path().join("up.log"));
        let house = Self { url: format!("http://127.0.0.1:{port}"), browser, _up: up, _dir: dir };
        eventually("all functions are ready", PATIENCE, || async {
            let ready = house.instances().await?.iter().filter(|i| i["state"] == "ready").count();
            (ready == functions.len()).then_some(())
        })
        .await;
        Some(house)
    }

    /// Opens a page of the console, such as `/#/live`.
    pub(crate) async fn open(&self, page: &str) -> Tab<'_> {
        let tab = self.browser.open(&format!("{}{page}", self.url)).await;
        tab.until("document.querySelector('h1')").await;
        tab
    }

    /// Returns the instances as the gateway lists them.
    pub(crate) async fn instances(&self) -> Option<Vec<Value>> {
        let answer = client().get(format!("{}/api/instances", self.url)).send().await.ok()?;
        answer.json().await.ok()
    }
}
