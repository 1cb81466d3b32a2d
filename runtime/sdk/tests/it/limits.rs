//! Slots, deadlines, sizes and slow clients: one client's trouble is never another's.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::probe::{Probe, row, row_with};

#[tokio::test]
async fn beyond_the_slots_the_answer_is_429_at_once() {
    let probe = Probe::start_with(&[("DROVER_SLOTS", "2"), ("DROVER_INFERENCE", "threads")]).await;
    let sleep = row_with("act", json!("sleep"));
    let third = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answer = probe.predict(&row()).await;
        answer.expect_problem(429, "overloaded", &[]);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(probe.metric("drover_in_flight").await, 2.0, "it did not wait for a slot");
    };
    let (a, b, ()) = tokio::join!(probe.predict(&sleep), probe.predict(&sleep), third);
    a.expect_ok();
    b.expect_ok();
    probe.predict(&row()).await.expect_ok();
    assert_eq!(probe.metric("drover_invocations_total{code=\"429\",kind=\"overloaded\"}").await, 1.0);
}

#[tokio::test]
async fn an_expired_request_is_never_run() {
    let probe = Probe::start_with(&[("DROVER_INFERENCE", "threads"), ("DROVER_WORKERS", "1")]).await;
    let before = probe.metric("drover_batch_rows_sum").await;
    let sleep = row_with("act", json!("sleep"));
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let request = probe.client.post(format!("{}/predict", probe.url)).header("x-deadline-ms", "50");
        let answer = probe.send(request.json(&row())).await;
        answer.expect_problem(504, "timeout", &[]);
    };
    let (busy, ()) = tokio::join!(probe.predict(&sleep), late);
    busy.expect_ok();
    probe.predict(&row()).await.expect_ok();
    assert_eq!(probe.metric("drover_batch_rows_sum").await, before + 2.0, "the late row was run");
    assert_eq!(probe.metric("drover_dropped_total").await, 1.0);
    let request = probe.client.post(format!("{}/predict", probe.url)).header("x-deadline-ms", "soon");
    probe.send(request.json(&row())).await.expect_problem(400, "bad_request", &[]);
}

#[tokio::test]
async fn the_work_of_a_client_that_has_gone_is_dropped() {
    let probe = Probe::start_with(&[("DROVER_INFERENCE", "threads"), ("DROVER_WORKERS", "1")]).await;
    let sleep = row_with("act", json!("sleep"));
    let gone = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let body = row().to_string();
        let mut stream = TcpStream::connect(probe.address()).await.unwrap();
        let head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length";
        stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
    };
    let (busy, ()) = tokio::join!(probe.predict(&sleep), gone);
    busy.expect_ok();
    probe.predict(&row()).await.expect_ok();
    assert_eq!(probe.metric("drover_dropped_total").await, 1.0);
    assert_eq!(probe.metric("drover_in_flight").await, 0.0);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let probe = Probe::start().await;
    let huge = vec![b' '; 10 << 20];
    let answer = probe.post("/predict", huge.clone()).await;
    answer.expect_problem(413, "too_large", &[]);
    assert_eq!(answer.json["detail"], "the body is 10485760 bytes, limit is 1048576 bytes: send it in parts");
    let pieces = futures_util::stream::iter(
        huge.chunks(1 << 16).map(|p| Ok::<_, std::io::Error>(p.to_vec())).collect::<Vec<_>>(),
    );
    let chunked = probe.client.post(format!("{}/predict", probe.url)).header("content-type", "application/json");
    probe.send(chunked.body(reqwest::Body::wrap_stream(pieces))).await.expect_problem(413, "too_large", &[]);
    probe.predict(&row()).await.expect_ok();
    let rows = json!(vec![row(); 4097]);
    let answer = probe.predict(&rows).await;
    answer.expect_problem(413, "too_large", &[]);
    assert_eq!(answer.json["detail"], "the body has 4097 rows, limit is 4096: send it in parts");
}

#[tokio::test]
async fn a_body_in_pieces_is_read_whole() {
    let probe = Probe::start().await;
    let rows = json!(vec![row(); 2000]).to_string().into_bytes();
    let pieces: Vec<_> = rows.chunks(777).map(|p| Ok::<_, std::io::Error>(p.to_vec())).collect();
    let request = probe.client.post(format!("{}/predict", probe.url)).header("content-type", "application/json");
    let request = request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)));
    assert_eq!(probe.send(request).await.expect_ok().as_array().unwrap().len(), 2000);
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut_off() {
    let probe = Probe::start_with(&[("DROVER_HEADER_TIMEOUT", "200ms"), ("DROVER_DEADLINE", "300ms")]).await;
    let mut slow_head = TcpStream::connect(probe.address()).await.unwrap();
    slow_head.write_all(b"POST /predict HTTP/1.1\r\nhost:").await.unwrap();
    let mut slow_body = TcpStream::connect(probe.address()).await.unwrap();
    let head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    slow_body.write_all(head.as_bytes()).await.unwrap();
    let mut read = String::new();
    let cut = tokio::time::timeout(Duration::from_secs(5), slow_head.read_to_string(&mut read)).await;
    assert!(cut.is_ok(), "a head that never ends is still waited for");
    let mut answer = vec![0; 4096];
    let n = tokio::time::timeout(Duration::from_secs(5), slow_body.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("the body did not arrive"), "{answer}");
}

/// Sends a request on a socket and returns the status line and body.
async fn ask(stream: &mut TcpStream, path: &str, body: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "closed after {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&answer);
        let length =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        if let (Some((_, body)), Some(length)) = (text.split_once("\r\n\r\n"), length)
            && body.len() >= length
        {
            return text.into_owned();
        }
    }
}

#[tokio::test]
async fn a_parked_connection_goes_on_where_it_was() {
    let probe = Probe::start().await;
    let mut stream = TcpStream::connect(probe.address()).await.unwrap();
    for _ in 0..4 {
        assert!(ask(&mut stream, "/predict", &row().to_string()).await.starts_with("HTTP/1.1 200"));
        // Longer than a connection keeps its buffers.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // A request whose body was not read, then silence, then another: the body is no request.
    let refused = ask(&mut stream, "/nothing", &row().to_string()).await;
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(ask(&mut stream, "/predict", &row().to_string()).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_across_a_pause() {
    let probe = Probe::start().await;
    let mut stream = TcpStream::connect(probe.address()).await.unwrap();
    let request = |text: &str| {
        let body = row_with("text", json!(text)).to_string();
        let head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length";
        format!("{head}: {}\r\n\r\n{body}", body.len())
    };
    let all = request("uno") + &request("dos") + &request("tres");
    // The third is cut in its head, so that it is half there when the first two are answered.
    let cut = all.len() - request("tres").len() + 20;
    stream.write_all(&all.as_bytes()[..cut]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(&all.as_bytes()[cut..]).await.unwrap();
    let mut answers = String::new();
    let mut piece = [0; 4096];
    while answers.matches("\"prediction\"").count() < 3 {
        let n = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(n > 0, "closed after {answers}");
        answers.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
    let at = |text: &str| answers.find(&format!("\"{text}\"")).unwrap();
    assert!(at("uno") < at("dos") && at("dos") < at("tres"), "{answers}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let probe = Probe::start_with(&[("DROVER_CONNECTIONS", "2"), ("DROVER_IDLE_TIMEOUT", "300ms")]).await;
    let held = [TcpStream::connect(probe.address()).await.unwrap(), TcpStream::connect(probe.address()).await.unwrap()];
    let client = drover_testkit::client_builder().pool_max_idle_per_host(0).build().unwrap();
    let response = client.get(format!("{}/health", probe.url)).timeout(Duration::from_secs(10)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    drop(held);
}
