//! SIGTERM: not ready, wait for the catalog, finish what runs, exit.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::probe::{Probe, row, row_with};

#[tokio::test]
async fn what_runs_is_finished_and_the_exit_is_clean() {
    let mut probe = Probe::start_with(&[("DROVER_INFERENCE", "threads")]).await;
    let sleep = row_with("act", json!("sleep"));
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        probe.signal("TERM");
    };
    let (answer, ()) = tokio::join!(probe.predict(&sleep), stop);
    answer.expect_ok();
    assert!(probe.ended().await.success());
}

#[tokio::test]
async fn while_the_catalog_forgets_it_the_instance_still_answers_but_is_not_ready() {
    let mut probe = Probe::start_with(&[("DROVER_DRAIN_WAIT", "500ms")]).await;
    let started = Instant::now();
    probe.signal("TERM");
    while probe.get("/health/ready").await.status == 200 {
        assert!(started.elapsed() < Duration::from_secs(5), "still ready after SIGTERM");
    }
    probe.predict(&row()).await.expect_ok();
    assert!(probe.ended().await.success());
    assert!(started.elapsed() >= Duration::from_millis(500), "left after {:?}", started.elapsed());
}

#[tokio::test]
async fn an_idle_keep_alive_connection_does_not_hold_the_drain_up() {
    let mut probe = Probe::start_with(&[("DROVER_DRAIN_TIMEOUT", "20s")]).await;
    probe.predict(&row()).await.expect_ok();
    let started = Instant::now();
    probe.signal("TERM");
    assert!(probe.ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let mut probe = Probe::start_with(&[("DROVER_DRAIN_WAIT", "1m")]).await;
    probe.signal("TERM");
    while probe.get("/health/ready").await.status == 200 {}
    probe.signal("TERM");
    let started = Instant::now();
    probe.ended().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
