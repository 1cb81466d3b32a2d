//! Instances that fail: what is sent again, and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drover_engine::InstanceState::Ready;
use drover_gateway::Settings;
use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{Backend, House, eventually};

/// What an instance does with a request that it has read.
#[derive(Clone, Copy)]
enum Bad {
    /// It closes the connection.
    Breaks,
    /// It never answers, not even whether it lives.
    Hangs,
    /// It begins an answer, and then nothing comes any more; it says that it lives.
    Stalls,
    /// As that, and it does not say that it lives either.
    Freezes,
    /// It says that it is full.
    IsFull,
    /// It answers 500.
    Fails,
    /// It answers 500 to what says so.
    FailsOnBadInput,
    /// After 80 requests, every 25th takes long.
    IsSlowAtTimes,
}

/// An instance that behaves badly, and how many requests it was sent.
async fn bad(how: Bad) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, n) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counter = Arc::clone(&n);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(behave(stream, how, Arc::clone(&counter)));
        }
    });
    (address, n)
}

async fn behave(mut stream: TcpStream, how: Bad, n: Arc<AtomicUsize>) {
    let mut buffer = Vec::with_capacity(4096);
    while let Ok(1..) = stream.read_buf(&mut buffer).await {
        if buffer.starts_with(b"POST") && !buffer.ends_with(b"}") {
            continue;
        }
        let is_predict = !buffer.starts_with(b"GET /health");
        if is_predict {
            n.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match how {
            Bad::IsSlowAtTimes => {
                let so_far = n.load(Ordering::SeqCst);
                if is_predict && so_far > 80 && so_far.is_multiple_of(25) {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
                "200 OK"
            }
            Bad::Breaks => return,
            Bad::Hangs => std::future::pending().await,
            Bad::Stalls | Bad::Freezes if is_predict => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart").await.unwrap();
                std::future::pending().await
            }
            Bad::Freezes if n.load(Ordering::SeqCst) > 0 => std::future::pending().await,
            Bad::Stalls | Bad::Freezes => "200 OK",
            Bad::IsFull => "429 Too Many Requests\r\ncontent-type: application/problem+json",
            Bad::FailsOnBadInput if !buffer.windows(5).any(|part| part == b"wrong") => "200 OK",
            Bad::Fails | Bad::FailsOnBadInput => "500 Internal Server Error\r\ncontent-type: application/problem+json",
        };
        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\n{{}}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        buffer.clear();
    }
}

/// Sends `n` requests one after the other and returns how many were answered with 200.
async fn send(house: &House, n: usize) -> usize {
    let mut n_ok = 0;
    for _ in 0..n {
        n_ok += usize::from(house.post("/functions/penguins/predict", "{\"a\":1}").await.0 == 200);
    }
    n_ok
}

#[tokio::test]
async fn a_pure_function_s_request_is_sent_again_when_an_instance_breaks_off() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    let (address, n) = bad(Bad::Breaks).await;
    house.script.show_pure(&[(address, Ready), (backend.address, Ready)]);
    assert_eq!(send(&house, 20).await, 20);
    assert!(n.load(Ordering::SeqCst) >= 1, "it was never asked");
    let (_, _, metrics) = house.get("/metrics").await;
    assert!(metrics.contains(r#"drover_gateway_retries_total{function="penguins",why="broken"}"#), "{metrics}");
    assert!(metrics.contains(r#"drover_gateway_ejections_total{function="penguins",why="unreachable"}"#));
}

#[tokio::test]
async fn what_may_have_been_acted_on_is_sent_once_unless_the_function_is_pure() {
    let house = House::start(Settings::default()).await;
    let (address, n) = bad(Bad::Breaks).await;
    house.script.show(&[(address, Ready)]);
    let (status, _, problem) = house.post("/functions/penguins/predict", "{}").await;
    assert_eq!((status, n.load(Ordering::SeqCst)), (502, 1));
    assert!(problem.contains("instance 0 of `penguins` broke the connection before it answered"), "{problem}");
}

#[tokio::test]
async fn retries_end() {
    let house = House::start(Settings::default()).await;
    let (a, n_a) = bad(Bad::Breaks).await;
    let (b, n_b) = bad(Bad::Breaks).await;
    house.script.show_pure(&[(a, Ready), (b, Ready)]);
    assert_eq!(house.post("/functions/penguins/predict", "{}").await.0, 502);
    assert_eq!(n_a.load(Ordering::SeqCst) + n_b.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_instance_that_is_full_gives_the_request_back() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    let (address, n) = bad(Bad::IsFull).await;
    // Nothing was run: it goes elsewhere though the function is not pure.
    house.script.show(&[(address, Ready), (backend.address, Ready)]);
    assert_eq!(send(&house, 20).await, 20);
    assert!(n.load(Ordering::SeqCst) >= 1, "it was never asked");
}

#[tokio::test]
async fn an_instance_that_hangs_is_given_up() {
    let settings = Settings { hung_after: Duration::from_millis(100), ..Settings::default() };
    let (house, backend) = (House::start(settings).await, Backend::start().await);
    let (address, n) = bad(Bad::Hangs).await;
    house.script.show_pure(&[(address, Ready), (backend.address, Ready)]);
    assert_eq!(send(&house, 20).await, 20);
    assert!(n.load(Ordering::SeqCst) >= 1, "it was never asked");
    let (_, _, instances) = house.get("/api/instances").await;
    assert!(instances.contains(r#""out":"hung""#), "{instances}");
}

#[tokio::test]
async fn what_an_instance_that_hangs_has_is_sent_once_unless_the_function_is_pure() {
    let house = House::start(Settings { hung_after: Duration::from_millis(100), ..Settings::default() }).await;
    let ((a, n_a), (b, n_b)) = (bad(Bad::Hangs).await, bad(Bad::Hangs).await);
    house.script.show(&[(a, Ready), (b, Ready)]);
    let (status, _, problem) = house.post("/functions/penguins/predict", "{}").await;
    assert_eq!((status, n_a.load(Ordering::SeqCst) + n_b.load(Ordering::SeqCst)), (502, 1));
    assert!(problem.contains("did not answer, and does not say that it lives"), "{problem}");
}

#[tokio::test]
async fn an_answer_that_stops_half_way_is_broken_off() {
    let hung_after = Duration::from_millis(100);
    let patient = Settings { hung_after, ..Settings::default() };
    let impatient = Settings { hung_after, answer_timeout: Duration::from_millis(500), ..Settings::default() };
    for (how, settings) in [(Bad::Freezes, patient), (Bad::Stalls, impatient)] {
        let house = House::start(settings).await;
        let (address, n) = bad(how).await;
        house.script.show_pure(&[(address, Ready)]);
        let request = Request::post("/functions/penguins/predict").header("host", "localhost");
        let (parts, body) = house.open(request, b"{}".into()).await.into_parts();
        assert_eq!(parts.status, 200);
        // It has begun: nobody may send the request again.
        let read = tokio::time::timeout(Duration::from_secs(10), body.collect()).await;
        assert!(read.expect("it hangs for ever").is_err());
        assert_eq!(n.load(Ordering::SeqCst), 1);
        let in_flight = || async {
            let (_, _, instances) = house.get("/api/instances").await;
            instances.contains(r#""in_flight":0"#).then_some(())
        };
        eventually("its slot is free again", in_flight).await;
    }
}

#[tokio::test]
async fn an_instance_that_fails_again_and_again_is_left_out_for_a_while() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    let (address, n) = bad(Bad::Fails).await;
    house.script.show(&[(address, Ready), (backend.address, Ready)]);
    let n_ok = send(&house, 80).await;
    assert_eq!(n_ok + n.load(Ordering::SeqCst), 80, "a failure of the function itself is the answer");
    assert!(n_ejected(&house).await > 0);
}

#[tokio::test]
async fn what_fails_on_every_instance_ejects_none() {
    let house = House::start(Settings::default()).await;
    let ((a, n_a), (b, n_b)) = (bad(Bad::FailsOnBadInput).await, bad(Bad::FailsOnBadInput).await);
    house.script.show(&[(a, Ready), (b, Ready)]);
    // A client alone with requests on which the model fails, and then ten of them for each good one.
    for n in 0..300 {
        let is_good = n > 100 && n % 11 == 0;
        let body = if is_good { "{\"a\":1}" } else { "{\"a\":\"wrong\"}" };
        let (status, ..) = house.post("/functions/penguins/predict", body).await;
        assert_eq!(status, if is_good { 200 } else { 500 });
    }
    assert_eq!(n_a.load(Ordering::SeqCst) + n_b.load(Ordering::SeqCst), 300);
    assert_eq!(n_ejected(&house).await, 0);
}

/// Returns how often an instance was taken out of service because it failed.
async fn n_ejected(house: &House) -> usize {
    let (_, _, metrics) = house.get("/metrics").await;
    let start = r#"drover_gateway_ejections_total{function="penguins",why="failing"} "#;
    metrics.lines().find_map(|line| line.strip_prefix(start)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn with_hedging_a_slow_request_gets_a_second_chance() {
    let house = House::start(Settings { hedge: true, ..Settings::default() }).await;
    // The other never takes long here, or now and then both chances would be slow.
    let ((a, n_a), (b, n_b)) = (bad(Bad::IsSlowAtTimes).await, bad(Bad::FailsOnBadInput).await);
    house.script.show_pure(&[(a, Ready), (b, Ready)]);
    let started = std::time::Instant::now();
    assert_eq!(send(&house, 300).await, 300);
    assert!(n_a.load(Ordering::SeqCst) > 80 && n_b.load(Ordering::SeqCst) > 80);
    assert!(started.elapsed() < Duration::from_secs(5), "slow ones took {:?}", started.elapsed());
    let (_, _, metrics) = house.get("/metrics").await;
    assert!(metrics.contains(r#"drover_gateway_retries_total{function="penguins",why="hedged"}"#), "{metrics}");
}

#[tokio::test]
async fn an_instance_that_comes_back_is_used_again() {
    let house = House::start(Settings::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    house.script.show(&[(address, Ready)]);
    let request = Request::get("/functions/penguins/").header("x-deadline-ms", "100");
    assert_eq!(house.send(request, Vec::new()).await.0, 504);
    let backend = Backend::start_at(address).await;
    eventually("it is used again", || async {
        let request = Request::get("/functions/penguins/").header("x-deadline-ms", "200");
        (house.send(request, Vec::new()).await.0 == 200).then_some(())
    })
    .await;
    drop(backend);
}
