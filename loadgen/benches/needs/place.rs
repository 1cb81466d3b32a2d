//! `drover up` with one function, as a user starts it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drover_testkit::bench::{Result, build, end};
use drover_testkit::checkout;
use drover_testkit::process::{Process, free_ports};

use crate::Folders;
use crate::parts::{FASTAPI, Question};

/// How long the first instance may take.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// It ends, with its instances, when this is dropped.
pub(crate) struct Place {
    /// Where its gateway answers.
    pub(crate) gateway: String,
    process: Process,
}

/// Returns the target directory of this bench.
pub(crate) fn target() -> Result<PathBuf> {
    // target/release/deps/needs-0123456789abcdef
    let own = std::env::current_exe()?;
    Ok(own.ancestors().nth(3).ok_or("the bench is in no target directory")?.into())
}

impl Place {
    /// Builds and starts what `question` is about, and waits until it is ready.
    pub(crate) async fn start(question: &Question, vars: &[String], folders: &Folders) -> Result<Self> {
        let drover = build("drover-cli").await?.join("drover");
        let mut up = Command::new(drover);
        up.current_dir(checkout()).args(["up", "--no-build", "--quiet", "--feedback", "off"]);
        if question.function == FASTAPI {
            up.arg("loadgen/examples/fastapi/fastapi.nomad");
        } else {
            let binaries = build(question.function).await?;
            let mut fetch = tokio::process::Command::new(binaries.join(question.function));
            end(fetch.arg("--fetch-runtime").stdout(Stdio::null())).await?;
            up.arg("jobs/predict.nomad").args(["--var", &format!("binary_dir={}", binaries.display())]);
        }
        vars.iter().for_each(|var| _ = up.args(["--var", var]));
        let [port] = free_ports();
        up.args(["--port", &port.to_string(), "--state-dir"]).arg(folders.state.join("up"));
        let log = folders.state.join("drover.log");
        let gateway = format!("http://127.0.0.1:{port}");
        let mut place = Self { process: Process::start(up, &log), gateway };
        place.ready(question).await?;
        Ok(place)
    }

    async fn ready(&mut self, question: &Question) -> Result<()> {
        let (client, url) = (drover_testkit::client(), format!("{}/api/instances", self.gateway));
        let began = Instant::now();
        loop {
            if let Ok(answer) = client.get(&url).send().await
                && answer.text().await.is_ok_and(|text| text.contains(r#""ready""#))
            {
                return Ok(());
            }
            if !self.process.runs() || began.elapsed() > READY_LIMIT {
                let said = self.process.last_lines();
                return Err(format!("{} does not become ready:\n{said}", question.function).into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
