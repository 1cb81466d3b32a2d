//! The console's pages and what they follow. How they look and work is tested in a browser: `runtime/console/tests`.

use std::time::Duration;

use drover_engine::InstanceState::Ready;
use drover_gateway::Settings;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::house::{Backend, House, eventually};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Asks as a browser does; the body is looked at only for its size.
async fn ask(house: &House, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, usize) {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    let (parts, body) = house.open(request.header("host", "localhost"), Vec::new()).await.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().len())
}

#[tokio::test]
async fn a_browser_gets_pages_that_may_do_little() {
    let house = House::start(Settings::default()).await;
    house.script.show(&[]);
    for path in ["/", "/penguins", "/no-such-function"] {
        let (status, headers, _) = ask(&house, path, &[("accept", BROWSER)]).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"), "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    // Whoever is no browser reads JSON, as before.
    assert_eq!(house.get("/").await.1["content-type"], "application/json");
    assert_eq!(house.get("/penguins").await.0, 404);
    assert_eq!(ask(&house, "/no/such/page", &[("accept", BROWSER)]).await.0, 404);
}

#[tokio::test]
async fn files_are_compressed_and_kept_as_long_as_they_are_the_same() {
    let house = House::start(Settings::default()).await;
    let (status, headers, plain) = ask(&house, "/console/app.js", &[]).await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, "no-cache"));
    let etag = headers["etag"].to_str().unwrap();
    let versioned = format!("/console/app.js?v={}", etag.trim_matches('"'));
    let (_, headers, packed) = ask(&house, &versioned, &[("accept-encoding", "br, gzip;q=0.9")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    assert!(packed < plain / 2, "{packed} of {plain} bytes");
    let (status, _, size) = ask(&house, "/console/app.js", &[("if-none-match", etag)]).await;
    assert_eq!((status, size), (304, 0));
    assert_eq!(house.get("/console/app.ts").await.0, 404);
    assert_eq!(house.post("/console/app.js", "{}").await.0, 405);
}

/// Begins to follow what runs.
async fn follow(house: &House) -> Incoming {
    let response = house.open(Request::get("/api/live").header("host", "localhost"), Vec::new()).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body()
}

async fn next(body: &mut Incoming) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap().unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

/// Returns the next picture, past events.
async fn picture(body: &mut Incoming) -> String {
    loop {
        let text = next(body).await;
        if text.starts_with("event: live\n") {
            return text;
        }
    }
}

#[tokio::test]
async fn all_who_look_see_the_same_picture() {
    let (house, backend) = (House::start(Settings::default()).await, Backend::start().await);
    house.script.show(&[(backend.address, Ready)]);
    eventually("it serves", || async { (house.get("/functions/penguins/x").await.0 == 200).then_some(()) }).await;
    let (mut one, mut other) = (follow(&house).await, follow(&house).await);
    let (mut seen, mut also_seen) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        seen.push(picture(&mut one).await);
        also_seen.push(picture(&mut other).await);
    }
    let shared = seen.iter().filter(|picture| also_seen.contains(picture)).count();
    assert!(shared >= 2, "byte by byte the same, but for who comes between two: {seen:#?} {also_seen:#?}");
    let last: Value = serde_json::from_str(seen[2].trim().strip_prefix("event: live\ndata: ").unwrap()).unwrap();
    let function = &last["functions"][0];
    assert_eq!((&function["name"], &function["counted"]["answers"]["200"]), (&"penguins".into(), &1.0.into()));
    assert_eq!(function["counted"]["first_byte"].as_array().unwrap().last().unwrap()[1], 1.0);
    assert_eq!((&last["instances"][0]["id"], &last["catalog_lost"]), (&"i0".into(), &Value::Null));
    // What happens comes by the same way.
    house.script.set_count(3);
    loop {
        let text = next(&mut one).await;
        if text.starts_with("event: decision\n") {
            assert!(text.contains("set by somebody else"), "{text}");
            break;
        }
    }
    // Those who look do not keep the gateway from stopping.
    house.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), one.collect()).await.unwrap().unwrap();
}
