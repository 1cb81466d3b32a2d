//! `POST /predict`, answered.

use serde_json::json;

use crate::probe::{Probe, row, row_with};

#[tokio::test]
async fn one_row_is_answered_with_an_object() {
    let probe = Probe::start().await;
    let answer = probe.predict(&row()).await;
    let id = answer.header("x-request-id").to_owned();
    assert!(answer.header("server-timing").starts_with("queue;dur="), "{:?}", answer.headers);
    assert_eq!(
        answer.expect_ok(),
        json!({"prediction": "hola", "batch": 1, "size": 4.0, "model_version": "1.2.3", "request_id": id})
    );
}

#[tokio::test]
async fn an_array_is_answered_row_by_row() {
    let probe = Probe::start().await;
    let rows = json!([row(), row_with("text", json!("ñandú")), row_with("text", json!("c"))]);
    let answer = probe.predict(&rows).await.expect_ok();
    let texts: Vec<_> = answer.as_array().unwrap().iter().map(|row| row["prediction"].as_str().unwrap()).collect();
    assert_eq!(texts, ["hola", "ñandú", "c"]);
    assert_eq!(probe.metric("drover_batch_rows_sum").await, 3.0, "the warm-up is not counted");
}

#[tokio::test]
async fn more_rows_than_a_batch_holds_are_run_in_parts() {
    let probe = Probe::start_with(&[("DROVER_BATCH_ROWS", "8")]).await;
    let answer = probe.predict(&json!(vec![row(); 20])).await.expect_ok();
    let batches: Vec<_> = answer.as_array().unwrap().iter().map(|row| row["batch"].as_u64().unwrap()).collect();
    assert_eq!(batches, [vec![8; 16], vec![4; 4]].concat());
}

#[tokio::test]
async fn the_clients_request_id_comes_back() {
    let probe = Probe::start().await;
    let request = probe.client.post(format!("{}/predict", probe.url)).header("x-request-id", "abc-1");
    let answer = probe.send(request.json(&row())).await;
    assert_eq!(answer.header("x-request-id"), "abc-1");
    assert_eq!(answer.json["request_id"], "abc-1");
}

#[tokio::test]
async fn requests_that_wait_for_a_busy_worker_share_its_next_batch() {
    let probe = Probe::start_with(&[("DROVER_INFERENCE", "threads"), ("DROVER_WORKERS", "1")]).await;
    let busy_row = row_with("act", json!("sleep"));
    let busy = probe.predict(&busy_row);
    let waiting = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let row = row();
        let five = (0..5).map(|_| probe.predict(&row));
        futures_util::future::join_all(five).await
    };
    let (busy, waiting) = tokio::join!(busy, waiting);
    assert_eq!(busy.expect_ok()["batch"], 1);
    for answer in waiting {
        assert_eq!(answer.expect_ok()["batch"], 5);
    }
}

#[tokio::test]
async fn h2c_is_spoken_on_the_same_port() {
    let probe = Probe::start().await;
    let client = drover_testkit::client_builder().http2_prior_knowledge().build().unwrap();
    let response = client.post(format!("{}/predict", probe.url)).json(&row()).send().await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
}
