//! Requests that are passed to instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use drover_engine::InstanceState::{Draining, Ready, Starting};
use drover_gateway::Settings;
use http::Request;
use tokio::net::TcpListener;

use crate::house::{Backend, House, eventually};

#[tokio::test]
async fn a_request_reaches_the_instance_as_it_was_sent() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::post("/functions/penguins/predict?x=1")
        .header("host", "my.own.api")
        .header("traceparent", traceparent)
        .header("x-request-id", "abc")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "secret");
    let (status, headers, seen) = house.send(request, b"{}".to_vec()).await;
    assert_eq!((status, headers["x-request-id"].to_str().unwrap()), (200, "abc"));
    assert_eq!(headers["x-instance"], "yes");
    assert!(seen.starts_with("POST /predict?x=1\n") && seen.ends_with("\n{}"), "{seen}");
    for line in ["host: my.own.api", &format!("traceparent: {traceparent}"), "x-request-id: abc"] {
        assert!(seen.contains(&format!("{line}\n")), "{line} is not in {seen}");
    }
    assert!(
        seen.contains("x-forwarded-for: 127.0.0.1\n") && seen.contains("x-forwarded-prefix: /functions/penguins\n")
    );
    assert!(!seen.contains("x-hop"), "{seen}");
}

#[tokio::test]
async fn many_requests_on_one_http_2_connection_without_tls_are_passed_on_at_once() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    let client = drover_testkit::client_builder().http2_prior_knowledge().build().unwrap();
    let call = |path: &str, body: Vec<u8>| {
        let request = client.post(format!("http://{}{path}", house.address)).body(body);
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            let (version, status) = (answer.version(), answer.status().as_u16());
            (version, status, answer.text().await.unwrap())
        })
    };
    let large = vec![b'x'; 1 << 20];
    let held: Vec<_> = (0..20).map(|_| call("/functions/penguins/hold", large.clone())).collect();
    let all_wait = async || (backend.n_held.load(Ordering::SeqCst) == 20).then_some(());
    eventually("all are with the instance at once", all_wait).await;
    let (version, status, _) = call("/functions/nobody/", Vec::new()).await.unwrap();
    assert_eq!((version, status), (http::Version::HTTP_2, 404));
    backend.release.cancel();
    for answer in held {
        let (version, status, seen) = answer.await.unwrap();
        assert_eq!((version, status), (http::Version::HTTP_2, 200));
        // The instance is asked by HTTP/1.1, by the name that the client used.
        assert!(seen.contains(&format!("host: {}\n", house.address)) && seen.ends_with("xxxx"), "{seen:.300}");
    }
}

#[tokio::test]
async fn connections_to_instances_are_used_again() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    for _ in 0..20 {
        assert_eq!(house.get("/functions/penguins/").await.0, 200);
    }
    assert!(backend.n_connections.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn the_instance_with_the_fewest_in_flight_is_picked() {
    let house = Arc::new(House::start(Settings::default()).await);
    let (busy, free) = (Backend::start().await, Backend::start().await);
    house.script.show(&[(busy.address, Ready)]);
    let held: Vec<_> = (0..3)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.get("/functions/penguins/hold").await.0 })
        })
        .collect();
    eventually("three are held", || async { (busy.n_held.load(Ordering::SeqCst) == 3).then_some(()) }).await;
    house.script.show(&[(busy.address, Ready), (free.address, Ready)]);
    for _ in 0..10 {
        assert_eq!(house.get("/functions/penguins/").await.0, 200);
    }
    assert_eq!(busy.n_connections.load(Ordering::SeqCst), 3, "nothing more went to the busy one");
    let (_, _, instances) = house.get("/api/instances").await;
    assert!(instances.contains(r#""in_flight":3"#), "{instances}");
    busy.release.cancel();
    for answer in held {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next_instance() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    house.script.show(&[(closed, Ready), (backend.address, Ready)]);
    for _ in 0..10 {
        let (status, _, seen) = house.post("/functions/penguins/predict", "{\"a\":1}").await;
        assert_eq!(status, 200);
        assert!(seen.ends_with("{\"a\":1}"), "the body is sent whole: {seen}");
    }
    house.script.show(&[(closed, Ready)]);
    let request = Request::post("/functions/penguins/predict").header("x-deadline-ms", "300");
    let (status, _, problem) = house.send(request, b"{}".to_vec()).await;
    assert_eq!(status, 504, "it waits for one that takes it, until its deadline: {problem}");
}

#[tokio::test]
async fn who_is_not_ready_gets_nothing() {
    let settings = Settings { cold_start_timeout: Duration::from_millis(200), ..Settings::default() };
    let (house, backend) = (House::start(settings).await, Backend::start().await);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    house.script.show(&[(closed, Starting), (backend.address, Draining)]);
    let (status, headers, problem) = house.get("/functions/penguins/").await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (504, "1"));
    assert!(problem.contains("none of the 2 instances of `penguins` was ready within 200ms"), "{problem}");
    house.script.show(&[]);
    assert!(house.get("/functions/penguins/").await.2.contains("no instance of `penguins` came within 200ms"));
    // Nobody would start one.
    house.script.set_count(0);
    eventually("a request is refused at once", || async {
        let (status, _, problem) = house.get("/functions/penguins/").await;
        (status == 503 && problem.contains("none is started for a request")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_unknown_function_is_answered_with_near_names() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    let (status, _, problem) = house.get("/functions/penguin/predict").await;
    assert_eq!(status, 404);
    assert!(problem.contains("no function is called `penguin`; near: `penguins`"), "{problem}");
    assert!(house.get("/functions/xyz/").await.2.contains("see /api/functions"));
    assert_eq!(house.get("/nothing").await.0, 404);
}

#[tokio::test]
async fn bodies_and_times_have_limits() {
    let settings = Settings { max_body_bytes: 1000, answer_timeout: Duration::from_millis(200), ..Settings::default() };
    let (house, backend) = (House::start(settings).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    let (status, _, problem) = house.post("/functions/penguins/predict", &"x".repeat(1001)).await;
    assert_eq!(status, 413);
    assert!(problem.contains("body is 1001 bytes, limit is 1000"), "{problem}");
    let (status, _, problem) = house.get("/functions/penguins/hold").await;
    assert_eq!(status, 504);
    assert!(problem.contains("`penguins` did not answer within 200ms"), "{problem}");
    let request = Request::get("/functions/penguins/hold").header("x-deadline-ms", "20");
    assert!(house.send(request, Vec::new()).await.2.contains("within 20ms"));
}

#[tokio::test]
async fn what_is_in_flight_finishes_when_the_gateway_stops() {
    let (house, backend) = (Arc::new(House::start(Settings::default()).await), Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    let running = Arc::clone(&house);
    let held = tokio::spawn(async move { running.get("/functions/penguins/hold").await.0 });
    eventually("it is held", || async { (backend.n_held.load(Ordering::SeqCst) == 1).then_some(()) }).await;
    house.stop.cancel();
    eventually("nothing new is accepted", || async {
        tokio::net::TcpStream::connect(house.address).await.is_err().then_some(())
    })
    .await;
    assert!(!house.server.is_finished());
    backend.release.cancel();
    assert_eq!(held.await.unwrap(), 200);
    eventually("the server has ended", || async { house.server.is_finished().then_some(()) }).await;
}
