//! What runs on Nomad tells Graylog and a collector of traces what it does, if its job says where they are.

use std::time::Duration;

use drover_testkit::process::free_ports;
use drover_testkit::{Collector, Graylog, client, eventually};
use serde_json::json;

use crate::cluster::{Cluster, READY};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn logs_and_traces_go_where_the_jobs_say() {
    let Some(cluster) = Cluster::start(&["penguins", "drover-cli"]).await else { return };
    let (graylog, collector, [port]) = (Graylog::udp(), Collector::start().await, free_ports());
    cluster.run("penguins", &[&format!("gelf={}", graylog.url)]);
    cluster.run_gateway(port, &[format!("otlp={}", collector.url)]);

    let row = json!({"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181.0, "body_mass_g": 3750.0});
    let ask = || {
        let request = client().post(format!("http://127.0.0.1:{port}/functions/penguins/predict")).json(&row);
        request.header("x-request-id", "watched").header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
    };
    let answered = async || ask().send().await.ok().filter(|answer| answer.status().is_success());
    eventually("a prediction through the gateway", READY, answered).await;

    let predicted = graylog.next("predicted").message;
    assert_eq!(predicted["_function"], "penguins", "{predicted}");
    assert_eq!((&predicted["_request_id"], &predicted["_trace_id"]), (&json!("watched"), &json!(TRACE)), "{predicted}");
    let forwarded = eventually("the gateway's part of the trace", Duration::from_secs(30), async || {
        collector.spans().into_iter().find(|span| span.trace == TRACE && span.get("request_id").is_some())
    });
    let forwarded = forwarded.await;
    assert_eq!((forwarded.service.as_str(), forwarded.get("function")), ("drover-gateway", Some("penguins")));
}
