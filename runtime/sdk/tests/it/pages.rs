//! What others parse: the OpenAPI document, the metrics, the documentation page.

use expect_test::expect_file;
use serde_json::{Value, json};

use crate::probe::{Probe, row};

#[tokio::test]
async fn the_openapi_document_says_all_that_is_declared() {
    let probe = Probe::start().await;
    let document = probe.get("/openapi.json").await.expect_ok();
    expect_file!["./snapshots/openapi.json"]
        .assert_eq(&format!("{}\n", serde_json::to_string_pretty(&document).unwrap()));
    // Its own example is a good request.
    let example = &document["components"]["schemas"]["Request"]["examples"][0];
    probe.predict(example).await.expect_ok();
    let example = &document["components"]["schemas"]["InferRequest"]["examples"][0];
    probe.post("/v2/models/probe/infer", example.to_string()).await.expect_ok();
}

#[tokio::test]
async fn the_metrics_are_those_that_dashboards_know() {
    let probe = Probe::start().await;
    probe.predict(&row()).await.expect_ok();
    probe.predict(&json!({})).await;
    let text = probe.client.get(format!("{}/metrics", probe.url)).send().await.unwrap().text().await.unwrap();
    // Values differ from run to run, names, labels, help and buckets do not.
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| if line.starts_with('#') { line.to_owned() } else { line.rsplit_once(' ').unwrap().0.to_owned() })
        .collect();
    lines.sort();
    expect_file!["./snapshots/metrics.txt"].assert_eq(&format!("{}\n", lines.join("\n")));
    assert_eq!(probe.metric("drover_invocations_total{code=\"200\",kind=\"ok\"}").await, 1.0);
    assert_eq!(probe.metric("drover_invocations_total{code=\"422\",kind=\"invalid_value\"}").await, 1.0);
    assert_eq!(probe.metric("drover_invocation_duration_seconds_count").await, 2.0);
    assert_eq!(probe.metric("drover_slots").await, 512.0);
    assert!(probe.metric("process_resident_memory_bytes").await > 1e6);
}

#[tokio::test]
async fn the_documentation_page_needs_nothing_from_outside() {
    let probe = Probe::start().await;
    let page = probe.get("/docs/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let Value::String(html) = page.expect_ok() else { panic!("not a page") };
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    let script = probe.get("/docs/swagger-ui-bundle.js").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    let redirected = probe.get("/docs").await;
    assert_eq!(redirected.status, 200, "reqwest follows the redirect");
    probe.get("/docs/nothing.js").await.expect_problem(404, "unknown_route", &[]);
}
