//! A run and its report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use http_body_util::Full;
use loadgen::control::Control;
use loadgen::plan::{Plan, Wait};
use loadgen::report::{LoadKind, Report, RunState};
use loadgen::run::Run;
use loadgen::slo;
use tokio::sync::{mpsc, watch};

use crate::drive::{Get, rate, two_threads, users};
use crate::server::Server;

fn run(server: &Server, plan: Plan, promises: &str) -> Run {
    Run {
        target: server.target(),
        work: Get::work("/x"),
        plan,
        settings: two_threads(),
        promises: slo::parse(promises).unwrap(),
        abort_on_fail: false,
        described: BTreeMap::from([("users".to_owned(), "3".to_owned())]),
        needs: None,
        fleet: None,
    }
}

/// Runs to the end, with `wish` after the second report. Returns all reports that were seen.
async fn go(run: &Run, wish: Option<Control>) -> Vec<Arc<Report>> {
    let reports = watch::Sender::new(Arc::new(run.ready()));
    let (control, mut wishes) = mpsc::channel(4);
    let mut seen = reports.subscribe();
    let watcher = tokio::spawn(async move {
        let mut all = Vec::new();
        while seen.changed().await.is_ok() {
            all.push(Arc::clone(&seen.borrow_and_update()));
            if let (2, Some(wish)) = (all.len(), wish) {
                control.send(wish).await.unwrap();
            }
        }
        all
    });
    let last = run.go(&reports, &mut wishes).await.unwrap();
    drop(reports);
    let all = watcher.await.unwrap();
    assert_eq!(all.last(), Some(&last));
    all
}

fn paced() -> Wait {
    Wait::Pacing(Duration::from_millis(100))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_report_each_second_and_the_whole_at_the_end() {
    let server = Server::ok().await;
    let run = run(&server, Plan { wait: paced(), ..users(3.0, 2.55) }, "failures<1%,requests>=70,p95>10s");
    let all = go(&run, None).await;
    assert_eq!(all.len(), 3);
    let last = &all[2];
    assert_eq!((last.state, last.load), (RunState::Finished, LoadKind::Users));
    assert_eq!(last.total.requests, server.requests());
    assert_eq!(last.history.len(), 3);
    assert_eq!(last.history.last().unwrap().requests, last.total.requests);
    assert!((25.0..35.0).contains(&last.total.rps), "{}", last.total.rps);
    assert!((2.5..3.5).contains(&last.elapsed_s), "{}", last.elapsed_s);
    assert_eq!((all[0].state, all[0].history.len(), all[0].history[0].users), (RunState::Holding, 1, 3));
    assert!(all[0].remaining_s.unwrap() > all[1].remaining_s.unwrap());
    assert_eq!(last.tasks[0].method, "POST");
    assert_eq!(last.plan["users"], "3");
    assert!(last.generator.memory_bytes > 1 << 20);
    assert!(last.generator.cpu_percent.max > 0.0);
    let kept: Vec<_> = last.promises.iter().map(|promise| promise.kept).collect();
    assert_eq!(kept, [Some(true), Some(true), Some(false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn stopped_in_the_middle_it_reports_what_ran() {
    let server = Server::ok().await;
    let run = run(&server, Plan { wait: paced(), ..users(2.0, 3600.0) }, "rps>1");
    let all = go(&run, Some(Control::Stop)).await;
    let last = all.last().unwrap();
    assert_eq!(last.state, RunState::Stopped);
    assert!(last.elapsed_s < 5.0);
    assert_eq!(last.total.requests, server.requests());
    assert_eq!(last.promises[0].kept, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_promise_that_is_broken_for_good_ends_the_run() {
    let answer = async |_| {
        let mut answer = Response::new(Full::from("no"));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        answer
    };
    let server = Server::start(answer, None).await;
    let run = Run { abort_on_fail: true, ..run(&server, Plan { wait: paced(), ..users(2.0, 60.0) }, "failures<1%") };
    let all = go(&run, None).await;
    let last = all.last().unwrap();
    assert_eq!((last.state, last.promises[0].kept), (RunState::Stopped, Some(false)));
    assert!(last.elapsed_s < 10.0, "{}", last.elapsed_s);
    assert_eq!(last.failures[0].kind, "http_500");
    assert_eq!(last.failures[0].samples, ["no", "no", "no"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_target_slower_than_the_rate_makes_the_run_invalid() {
    let slow = async |_| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Response::new(Full::from("ok"))
    };
    let server = Server::start(slow, None).await;
    let all = go(&run(&server, rate(100.0, 1.5, 2), "p99<1s"), None).await;
    let last = all.last().unwrap();
    assert_eq!(last.history[0].rate, Some(100.0));
    let why = last.invalid.iter().find(|why| why.contains("--connections")).unwrap();
    assert!(why.contains("waited for one of 2 connections"), "{why}");
}
