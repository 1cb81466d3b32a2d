//! One trace from a client through a gateway to an instance, as a collector gets it.
#![cfg(feature = "otlp")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail, loudly"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use drover_testkit::process::free_ports;
use drover_testkit::{Collector, Instance, built, client, eventually};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e47";
const PARENT: &str = "00f067aa0ba902b7";

fn row(act: &str) -> Value {
    json!({"length": 12.5, "count": 3, "text": "hola", "colour": "red", "act": act})
}

/// Starts the example `probe`, which cargo has built beside this test.
async fn probe(folder: &Path, settings: &[(&str, &str)]) -> Instance {
    drover_testkit::probe::write_model(folder);
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().unwrap().parent().unwrap().join("examples/probe");
    let mut command = Instance::command(&binary);
    command.env("DROVER_MODEL", folder).env("NOMAD_ALLOC_ID", "one").envs(settings.iter().copied());
    Instance::start(command).await
}

/// A gateway before fixed instances; it ends with the test.
struct Gateway {
    url: String,
    child: std::process::Child,
}

impl Gateway {
    async fn start(folder: &Path, instance: &str, settings: &[(&str, &str)]) -> Self {
        let config = folder.join("gateway.toml");
        std::fs::write(&config, format!("[functions.probe]\ninstances = [\"{instance}\"]\n")).unwrap();
        let listen = format!("127.0.0.1:{}", free_ports::<1>()[0]);
        let mut command = Instance::command(&built(&["drover-cli"]).join("drover"));
        command.args(["gateway", "--listen", &listen, "--config"]).arg(config).envs(settings.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let gateway = Self { url: format!("http://{listen}/functions/probe/predict"), child };
        eventually("the gateway answers", Duration::from_secs(30), || async {
            let sent = client().post(&gateway.url).json(&row("answer")).send().await.ok()?;
            sent.status().is_success().then_some(())
        })
        .await;
        gateway
    }

    /// Asks for a prediction as part of a trace, and returns the status.
    async fn ask(&self, row: &Value, traceparent: &str) -> u16 {
        let request = client().post(&self.url).json(row).header("traceparent", traceparent);
        request.send().await.unwrap().status().as_u16()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_request_is_one_trace_from_client_to_model() {
    let collector = Collector::start().await;
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path(), &settings).await;
    let gateway = Gateway::start(folder.path(), probe.address(), &settings).await;

    // `act` and how the trace's id ends.
    assert_eq!(gateway.ask(&row("sleep"), &format!("00-{TRACE}01-{PARENT}-01")).await, 200);
    let spans = collector.trace(&format!("{TRACE}01"), 7).await;
    let shown: Vec<(&str, &str)> = spans.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect();
    assert_eq!(shown.len(), 7, "{shown:?}");
    let [front, own] = [("drover-gateway", "gateway"), ("probe", "predict")]
        .map(|wanted| &spans[shown.iter().position(|found| *found == wanted).unwrap_or_else(|| panic!("{shown:?}"))]);
    assert_eq!(front.parent, PARENT);
    assert_eq!(own.parent, front.id);
    for (service, name, parent) in [
        ("drover-gateway", "queue", front),
        ("drover-gateway", "forward", front),
        ("probe", "decode", own),
        ("probe", "queue", own),
        ("probe", "inference", own),
    ] {
        let span = spans.iter().find(|span| (span.service.as_str(), span.name.as_str()) == (service, name));
        let span = span.unwrap_or_else(|| panic!("no {name} of {service} in {shown:?}"));
        assert_eq!(span.parent, parent.id, "{name} of {service}");
        assert!(parent.time.0 <= span.time.0 && span.time.0 <= span.time.1 && span.time.1 <= parent.time.1, "{name}");
    }
    let inference = spans.iter().find(|span| span.name == "inference").unwrap();
    assert!(inference.time.1 - inference.time.0 >= 300_000_000, "{inference:?}");
    assert_eq!(front.get("http.response.status_code"), Some("200"));
    assert_eq!((front.get("function"), own.get("function")), (Some("probe"), Some("probe")));
    assert_eq!(front.get("request_id"), own.get("request_id"));

    // A failure says so, and a client that does not sample is not overruled.
    assert_eq!(gateway.ask(&row("fail"), &format!("00-{TRACE}02-{PARENT}-01")).await, 500);
    let failed = collector.trace(&format!("{TRACE}02"), 4).await;
    assert_eq!(failed[0].get("http.response.status_code"), Some("500"));
    assert_eq!(gateway.ask(&row("answer"), &format!("00-{TRACE}03-{PARENT}-00")).await, 200);
    // Another one after it, which is then the last to come.
    assert_eq!(gateway.ask(&row("answer"), &format!("00-{TRACE}04-{PARENT}-01")).await, 200);
    collector.trace(&format!("{TRACE}04"), 7).await;
    assert!(collector.spans().iter().all(|span| span.trace != format!("{TRACE}03")));
}

#[tokio::test]
async fn the_gateway_decides_for_all_whether_a_request_is_sampled_and_the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str());
    let folder = tempfile::tempdir().unwrap();
    // The instance would sample all of its own accord, and sends no batch before its end.
    let late = ("OTEL_BSP_SCHEDULE_DELAY", "600000");
    let mut probe = probe(folder.path(), &[endpoint, late, ("OTEL_SERVICE_NAME", "renamed")]).await;
    let sampler = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let settings = [endpoint, ("OTEL_BSP_SCHEDULE_DELAY", "100"), sampler[0], sampler[1]];
    let gateway = Gateway::start(folder.path(), probe.address(), &settings).await;
    let unsampled = client().post(&gateway.url).json(&row("answer")).send().await.unwrap();
    assert_eq!(unsampled.status(), 200);
    assert_eq!(gateway.ask(&row("answer"), &format!("00-{TRACE}05-{PARENT}-01")).await, 200);
    assert_eq!(collector.trace(&format!("{TRACE}05"), 3).await.len(), 3);
    probe.signal("TERM");
    assert!(probe.ended().await.success());
    let all = collector.trace(&format!("{TRACE}05"), 7).await;
    assert_eq!(all.iter().filter(|span| span.service == "renamed").count(), 4);
    assert_eq!(collector.spans().len(), 7, "nothing else was sampled");
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nothing_up() {
    let [port] = free_ports::<1>();
    let endpoint = format!("http://127.0.0.1:{port}");
    let folder = tempfile::tempdir().unwrap();
    let mut probe = probe(folder.path(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    for _ in 0..100 {
        let request = probe.client.post(format!("{}/predict", probe.url)).json(&row("answer"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    probe.signal("TERM");
    let started = std::time::Instant::now();
    assert!(probe.ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
