//! The process that tests run as an instance: this test binary itself, started with `PROBE` set.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments with which this test binary becomes the probe.
pub(crate) const ARGS: [&str; 4] = ["probe::probe_process", "--exact", "--ignored", "--nocapture"];

static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

#[test]
#[ignore = "not a test: what the tests run as an instance"]
fn probe_process() {
    let Ok(mode) = std::env::var("PROBE") else { return };
    // The launcher's own arguments name this test too, as those of the program that it becomes.
    if std::env::args().any(|arg| arg == "launch_process") {
        return;
    }
    println!("probe {mode}");
    eprintln!("probe {mode} complains");
    match mode.as_str() {
        "crash" => std::process::exit(3),
        "chatter" => (0..5000).for_each(|n| println!("line {n:04} {}", "x".repeat(500))),
        "hog" => hog(),
        "heavy" => std::mem::forget(vec![1_u8; 64 << 20]),
        "spin" => {
            std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
        }
        "parent" => {
            std::thread::spawn(|| std::process::Command::new("sleep").arg("1000").status().unwrap());
        }
        _ => {}
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve(&mode));
    std::process::exit(0);
}

/// Takes memory until it is killed.
fn hog() {
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; 1 << 20]);
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn serve(mode: &str) {
    let port: u16 = std::env::var("NOMAD_PORT_http").unwrap().parse().unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let mut term = signal(SignalKind::terminate()).unwrap();
    let started = Instant::now();
    let sick = mode == "sick";
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = term.recv() => {
                println!("asked to stop");
                if mode == "stubborn" {
                    continue;
                }
                break;
            }
        };
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, started, sick));
            let _ended =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
    while IN_FLIGHT.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("drained");
}

/// Ready at once; with `PROBE=sick` not any more after half a second.
async fn answer(request: Request<Incoming>, started: Instant, sick: bool) -> Result<Response<Full<Bytes>>, Infallible> {
    IN_FLIGHT.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let mut response = Response::new(Full::from("ok"));
    if path == "/health/ready" && sick && started.elapsed() > Duration::from_millis(500) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    if let Some(ms) = path.strip_prefix("/sleep/") {
        tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
    }
    if let Some(name) = path.strip_prefix("/env/") {
        response = Response::new(Full::from(std::env::var(name).unwrap_or_default()));
    }
    if path == "/openapi.json" {
        let body =
            r#"{"paths":{"/predict":{"post":{"requestBody":{"content":{"application/json":{"example":{"a":1}}}}}}}}"#;
        response = Response::new(Full::from(body));
    }
    IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
    Ok(response)
}
