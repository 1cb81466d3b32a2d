//! What an instance says of its predictions, and to whom.

use std::net::TcpListener;
use std::time::Duration;

use drover_testkit::{Graylog, eventually};
use serde_json::{Value, json};

use crate::probe::{Probe, row, row_with};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Returns the lines that were written so far and are of predictions.
fn predicted(probe: &Probe) -> Vec<Value> {
    let lines = probe.log.try_iter().map(|line| serde_json::from_str::<Value>(&line).unwrap());
    lines.filter(|line| line["message"] == "predicted").collect()
}

async fn traced(probe: &Probe, id: &str) {
    let request = probe.client.post(format!("{}/predict", probe.url)).json(&row_with("colour", json!("green")));
    let request = request.header("x-request-id", id).header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    assert_eq!(probe.send(request).await.status, 200);
}

#[tokio::test]
async fn a_prediction_is_a_line_with_class_score_latency_and_ids_but_not_its_input() {
    let probe = Probe::start().await;
    traced(&probe, "one").await;
    let line = eventually("the line", Duration::from_secs(30), || async { predicted(&probe).pop() }).await;
    assert_eq!(line["function"], "probe");
    assert_eq!((&line["class"], &line["score"]), (&json!("b"), &json!(0.75)));
    assert_eq!((&line["request_id"], &line["trace_id"]), (&json!("one"), &json!(TRACE)));
    assert!(line["took_us"].as_u64().is_some_and(|us| us > 0), "{line}");
    assert_eq!(line["model_version"], "1.2.3");
    assert_eq!(line.get("input"), None);
}

#[tokio::test]
async fn a_storm_of_predictions_does_not_fill_the_log_but_graylog_gets_each_with_types() {
    let graylog = Graylog::udp();
    let probe = Probe::start_with(&[("DROVER_GELF", &graylog.url)]).await;
    for n in 0..200 {
        traced(&probe, &n.to_string()).await;
    }
    for n in 0..200 {
        let received = graylog.next("predicted");
        assert_eq!((received.n_datagrams, received.is_packed), (1, false));
        let message = received.message;
        assert_eq!(message["_request_id"], n.to_string());
        assert_eq!((&message["version"], &message["level"]), (&json!("1.1"), &json!(6)));
        assert_eq!((&message["_class"], &message["_score"]), (&json!("b"), &json!(0.75)));
        assert_eq!((&message["_function"], &message["_trace_id"]), (&json!("probe"), &json!(TRACE)));
        assert!(message["_took_us"].is_u64() && message["timestamp"].is_f64() && message["host"].is_string());
    }
    // 20 at once and 10 a second.
    let n = predicted(&probe).len();
    assert!((20..=100).contains(&n), "{n} of 200 were written");
    assert_eq!(probe.metric("drover_log_dropped_total").await, 0.0);
}

#[tokio::test]
async fn inputs_are_logged_when_asked_for_and_large_messages_come_in_chunks() {
    let graylog = Graylog::udp();
    let probe = Probe::start_with(&[("DROVER_GELF", &graylog.url), ("DROVER_LOG_INPUTS", "all")]).await;
    assert_eq!(probe.predict(&json!([row_with("text", json!("first")), row()])).await.status, 200);
    for text in ["first", "hola"] {
        let input = graylog.next("predicted").message["_input"].as_str().unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(&input).unwrap()["text"], text);
    }
    // Blanks are part of what came, and what came is cut at 8 KiB.
    let blank = format!("{}{}", row(), " ".repeat(20_000));
    assert_eq!(probe.post("/predict", blank).await.status, 200);
    let received = graylog.next("predicted");
    assert_eq!((received.n_datagrams, received.is_packed), (1, true));
    assert_eq!(received.message["_input"].as_str().unwrap().len(), 8192);
    // The same with blanks that hardly get smaller.
    let mut state = 7_u64;
    let mut blank = row().to_string();
    while blank.len() < 8000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        blank.push([' ', '\n', '\t', '\r'][usize::try_from(state >> 62).unwrap()]);
    }
    assert_eq!(probe.post("/predict", blank.clone()).await.status, 200);
    let received = graylog.next("predicted");
    assert!(received.n_datagrams > 1 && received.is_packed, "{} datagrams", received.n_datagrams);
    assert_eq!(received.message["_input"], blank);
    // Tensors are logged as the rows that they are.
    let tensor = |datatype: &str, value: Value| json!({"datatype": datatype, "shape": [1], "data": [value]});
    let mut inputs = vec![
        tensor("FP32", json!(1.0)),
        tensor("INT64", json!(1)),
        tensor("BYTES", json!("hola")),
        tensor("BYTES", json!("red")),
    ];
    for (input, name) in inputs.iter_mut().zip(["length", "count", "text", "colour"]) {
        input["name"] = json!(name);
    }
    let answer = probe.post("/v2/models/probe/infer", json!({"inputs": inputs}).to_string()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json);
    let input: Value = serde_json::from_str(graylog.next("predicted").message["_input"].as_str().unwrap()).unwrap();
    assert_eq!((&input["text"], &input["count"]), (&json!("hola"), &json!(1)));
}

#[tokio::test]
async fn a_sample_of_inputs_is_one_of_a_hundred() {
    let graylog = Graylog::udp();
    let probe = Probe::start_with(&[("DROVER_GELF", &graylog.url), ("DROVER_LOG_INPUTS", "sample")]).await;
    for _ in 0..201 {
        assert_eq!(probe.predict(&row()).await.status, 200);
    }
    let with_input = (0..201).filter(|_| graylog.next("predicted").message.get("_input").is_some()).count();
    assert_eq!(with_input, 3);
}

#[tokio::test]
async fn on_tcp_failures_come_too_and_a_server_that_was_away_gets_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut probe = Probe::start_with(&[("DROVER_GELF", &format!("tcp://{address}"))]).await;
    assert_eq!(probe.predict(&row_with("act", json!("fail"))).await.status, 500);
    assert_eq!(probe.predict(&row()).await.status, 200);
    let graylog = Graylog::tcp_of(TcpListener::bind(address).unwrap());
    let failed = graylog.next("failed").message;
    assert_eq!((&failed["level"], &failed["_kind"]), (&json!(4), &json!("model_failed")));
    assert_eq!(graylog.next("predicted").message["_class"], "a");
    probe.signal("TERM");
    assert!(probe.ended().await.success());
    // The last words are sent before the end.
    graylog.next("drained");
}

#[tokio::test]
async fn a_server_that_takes_nothing_holds_no_request_back_and_the_loss_is_counted() {
    // It accepts connections by the kernel alone, and never reads.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", deaf.local_addr().unwrap());
    let probe = Probe::start_with(&[("DROVER_GELF", &url), ("DROVER_LOG_INPUTS", "all")]).await;
    let rows = Value::Array(vec![row(); 4000]);
    for _ in 0..8 {
        // Within its deadline, or it were 504.
        assert_eq!(probe.predict(&rows).await.status, 200);
    }
    assert!(probe.metric("drover_log_dropped_total").await > 1000.0);
}
