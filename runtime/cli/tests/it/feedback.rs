//! `drover feedback` and that of `drover up`, as processes that are killed.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_testkit::process::free_ports;
use drover_testkit::{Postgres, built, checkout, client};
use serde_json::{Value, json};

use crate::running::{Place, eventually};

/// A `drover feedback` that runs; killed when dropped.
struct Service {
    child: Child,
    url: String,
}

impl Service {
    fn start(store: &str) -> Self {
        let [port] = free_ports();
        let mut command = Command::new(env!("CARGO_BIN_EXE_drover"));
        command.args(["feedback", "--listen", &format!("127.0.0.1:{port}")]).env("DROVER_FEEDBACK_STORE", store);
        let child = command.env_remove("DROVER_FEEDBACK_KEY").stderr(Stdio::null()).spawn().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    async fn ready(&self) {
        let path = format!("{}/health/ready", self.url);
        drover_testkit::eventually("the service is ready", Duration::from_secs(30), || async {
            client().get(&path).send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
        })
        .await;
    }

    async fn stored(&self) -> HashSet<String> {
        let path = format!("{}/api/feedback/export?format=jsonl&verdict=up", self.url);
        let text = client().get(path).send().await.unwrap().text().await.unwrap();
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["request_id"].as_str().unwrap().to_owned();
        text.lines().map(id).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Sends verdicts until the service is gone; notes those that it has answered.
async fn judge_on(url: String, name: &'static str, answered: Arc<Mutex<HashSet<String>>>) {
    let client = client();
    for n in 0.. {
        let id = format!("{name}{n}");
        let judgement = json!({
            "opinion": {"request_id": id, "verdict": "up"},
            "kept": {"function": "f", "at_ms": 4_000_000_000_000_u64, "input": null, "answer": {"prediction": "x"}},
        });
        match client.post(format!("{url}/feedback")).json(&judgement).send().await {
            Ok(answer) if answer.status().as_u16() == 201 => drop(answered.lock().unwrap().insert(id)),
            Ok(answer) => panic!("{}", answer.status()),
            Err(_) => return,
        }
    }
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().await;
    let sqlite = format!("sqlite:{}", dir.path().join("f.sqlite").display());
    for store in [Some(sqlite), postgres.as_ref().map(|postgres| postgres.url.clone())].into_iter().flatten() {
        let answered = Arc::new(Mutex::new(HashSet::new()));
        for (names, enough) in [(["a", "b", "c"], 10), (["d", "e", "f"], 20)] {
            let mut service = Service::start(&store);
            service.ready().await;
            let sending = names.map(|name| tokio::spawn(judge_on(service.url.clone(), name, Arc::clone(&answered))));
            let many = || async { (answered.lock().unwrap().len() >= enough).then_some(()) };
            drover_testkit::eventually("some are answered", Duration::from_secs(60), many).await;
            service.child.kill().unwrap();
            for sender in sending {
                sender.await.unwrap();
            }
        }
        let service = Service::start(&store);
        service.ready().await;
        let stored = service.stored().await;
        let answered = answered.lock().unwrap().clone();
        let lost: Vec<_> = answered.difference(&stored).collect();
        println!("{}: {} answered, {} stored", store.split(':').next().unwrap(), answered.len(), stored.len());
        assert!(lost.is_empty(), "{lost:?}");
        // What was being stored when it was killed may be there.
        assert!(stored.len() <= answered.len() + 6, "{} {}", stored.len(), answered.len());
    }
}

#[test]
fn beyond_this_machine_it_asks_for_a_key() {
    let place = Place::new();
    let output = place.drover(&["feedback", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no key is set"));
}

/// Sends `body` as JSON, and returns status, request id and answer.
async fn call(method: &str, url: &str, body: Option<&Value>) -> (u16, String, Value) {
    let mut request = client().request(method.parse().unwrap(), url).header("content-type", "application/json");
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), id, answer.json().await.unwrap_or_default())
}

fn gateway(place: &Place) -> String {
    eventually("the gateway is there", || {
        let record: Value = serde_json::from_str(&place.text("state/up.json")).ok()?;
        Some(format!("http://{}", record["gateway"].as_str()?))
    })
}

#[tokio::test]
async fn drover_up_keeps_verdicts_on_a_real_function() {
    let (place, binaries) = (Place::new(), built(&["penguins"]));
    let job = checkout().join("jobs/predict.nomad").display().to_string();
    let vars = [
        format!("binary_dir={}", binaries.display()),
        format!("model_dir={}", checkout().join("functions").display()),
        "feedback=inputs".to_owned(),
    ];
    let args: Vec<_> = ["--no-build", &job].into_iter().chain(vars.iter().flat_map(|v| ["--var", v])).collect();
    let penguin = json!({"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750});
    {
        let mut up = place.start(&args, &[]);
        let url = gateway(&place);
        let (status, id, answer) = call("POST", &format!("{url}/functions/penguins/predict"), Some(&penguin)).await;
        assert_eq!((status, &answer["prediction"]), (200, &json!("MALE")), "{answer}");
        let opinion = json!({"request_id": id, "verdict": "down", "expected": "FEMALE"});
        assert_eq!(call("POST", &format!("{url}/feedback"), Some(&opinion)).await.0, 201);
        let rows = json!(vec![penguin.clone(); 400]);
        for _ in 0..16 {
            assert_eq!(call("POST", &format!("{url}/functions/penguins/predict"), Some(&rows)).await.0, 200);
            tokio::time::sleep(Duration::from_millis(12)).await;
        }
        let (_, _, summary) = call("GET", &format!("{url}/api/feedback/summary?function=penguins"), None).await;
        let drift = summary["drift"].as_object().unwrap();
        assert!(drift["input bill_length_mm"].as_f64().unwrap() > 0.25, "{summary}");
        assert!(drift["prediction"].as_f64().unwrap() > 0.25, "{summary}");
        up.signal("TERM");
        assert_eq!(up.end(), Some(0));
    }
    assert!(Path::new(&place.dir.path().join("state/feedback.sqlite")).is_file());
    let _up = place.start(&args, &[]);
    let url = gateway(&place);
    let (status, _, list) = call("GET", &format!("{url}/api/feedback?function=penguins"), None).await;
    let one = &list["feedback"][0];
    assert_eq!((status, &one["input"], &one["confidence"]), (200, &penguin, &one["answer"]["confidence"]), "{list}");
    let removed = format!("{url}/api/feedback/{}", one["request_id"].as_str().unwrap());
    assert_eq!(call("DELETE", &removed, None).await.0, 204);
    assert_eq!(call("DELETE", &removed, None).await.0, 404);
}
