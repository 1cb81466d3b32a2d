//! A load in code: users who count up, and check that the function counts with them.
//!
//! `drover up`, then `cargo run -p loadgen --example in_code`; a test of loadgen runs it, too. What a scenario file
//! can say (docs/loadgen-scenario.md) needs no code.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use loadgen::plan::{Load, Plan, Stage, Wait};
use loadgen::report::Report;
use loadgen::run::Run;
use loadgen::target::{TargetSpec, resolve};
use loadgen::work::{Answer, Ask, Failure, Reads, Script, Work};
use tokio::sync::{mpsc, watch};

/// What all users share: the names of their requests, and their headers.
struct Colonies {
    tasks: Vec<String>,
    headers: Arc<HeaderMap>,
}

/// One user, who sends one penguin, then two, up to five, and begins again.
struct Counter {
    headers: Arc<HeaderMap>,
    n: usize,
    has_answer: bool,
}

impl Work for Colonies {
    fn tasks(&self) -> &[String] {
        &self.tasks
    }

    fn user(&self, seed: u64) -> Box<dyn Script> {
        let n = fastrand::Rng::with_seed(seed).usize(0..5);
        Box::new(Counter { headers: Arc::clone(&self.headers), n, has_answer: false })
    }
}

impl Script for Counter {
    fn next(&mut self) -> Result<Option<Ask>, Failure> {
        if std::mem::take(&mut self.has_answer) {
            return Ok(None);
        }
        self.n = self.n % 5 + 1;
        let penguin =
            r#"{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750}"#;
        Ok(Some(Ask {
            task: 0,
            method: Method::POST,
            path: Bytes::from_static(b"/predict"),
            headers: Arc::clone(&self.headers),
            body: format!("[{}]", vec![penguin; self.n].join(",")).into(),
            reads: Reads::Body,
            timeout: None,
        }))
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.has_answer = true;
        let wrong = |kind: String, detail: &str| Err(Failure { kind, detail: detail.to_owned() });
        if !answer.status.is_success() {
            return wrong(format!("http_{}", answer.status.as_u16()), "not answered");
        }
        match serde_json::from_slice::<Vec<serde_json::Value>>(&answer.body) {
            Ok(rows) if rows.len() == self.n => Ok(()),
            _ => wrong("check".to_owned(), "not an answer for each penguin"),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let all = load("penguins", Duration::from_secs(10)).await?.total.clone();
    println!("{} requests, {} failures, p95 {} ms", all.requests, all.failures, all.latency.p95_ms);
    Ok(())
}

/// Loads a function, or what is at a URL.
pub(crate) async fn load(target: &str, time: Duration) -> anyhow::Result<Arc<Report>> {
    let target = resolve(&TargetSpec { target: target.into(), ..TargetSpec::default() }).await?;
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let run = Run {
        target,
        work: Arc::new(Colonies { tasks: vec!["colony".to_owned()], headers: Arc::new(headers) }),
        plan: Plan {
            load: Load::Users(vec![Stage::ramp(0.0, 100.0, 50.0)]),
            run_time: Some(time),
            wait: Wait::Constant(Duration::from_millis(500)),
            ..Plan::default()
        },
        settings: loadgen::drive::Settings::default(),
        promises: Vec::new(),
        abort_on_fail: false,
        described: BTreeMap::new(),
        needs: None,
        fleet: None,
    };
    let reports = watch::Sender::new(Arc::new(run.ready()));
    let (_control, mut wishes) = mpsc::channel(1);
    Ok(run.go(&reports, &mut wishes).await?)
}
