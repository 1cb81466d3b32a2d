//! Users' verdicts: from an answer that passes to the store and back, with a real feedback service.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drover_engine::InstanceState::Ready;
use drover_engine::{Alone, Party, Peers};
use drover_feedback::{Retention, Service, Store};
use drover_gateway::{FeedbackSettings, Settings};
use http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::house::{Backend, House, eventually};

const ANSWER: &str =
    r#"{"prediction":"MALE","confidence":0.8,"probabilities":{"FEMALE":0.2,"MALE":0.8},"model_version":"1.2.0"}"#;
const PREDICT: &str = "/functions/penguins/predict";

/// A feedback service with a file.
struct Keeper {
    settings: FeedbackSettings,
    address: SocketAddr,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Keeper {
    async fn start(file: &Path, address: SocketAddr) -> Self {
        let store = Store::open(&format!("sqlite:{}", file.display()), Retention::default()).await.unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, key) = (CancellationToken::new(), Some("secret".to_owned()));
        let service = Service { store, key: key.clone() };
        let server = tokio::spawn(drover_feedback::serve(listener, service, stop.clone()));
        let url = Some(format!("http://{address}"));
        Self { settings: FeedbackSettings { url, key, ..FeedbackSettings::default() }, address, stop, server }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.server.await.unwrap();
    }
}

struct Others(watch::Sender<Arc<Party>>);

impl Peers for Others {
    fn watch(&self) -> watch::Receiver<Arc<Party>> {
        self.0.subscribe()
    }
}

async fn house(feedback: FeedbackSettings, peers: Arc<dyn Peers>, backend: &Backend, keep: &str) -> House {
    let house = House::start_with(Settings { feedback, ..Settings::default() }, None, peers).await;
    house.script.show(&[(backend.address, Ready)]);
    house.script.describe("feedback", keep);
    house
}

/// Has the function answer `answer` to the request `id`.
async fn predict(house: &House, id: &str, input: &str, answer: &str) {
    let request = Request::post(PREDICT).header("x-request-id", id).header("x-answer", answer);
    let (status, headers, text) = house.send(request, input.into()).await;
    assert_eq!((status, headers["x-request-id"].to_str().unwrap(), &*text), (200, id, answer));
}

async fn judge(house: &House, opinion: &Value) -> (u16, Value) {
    let (status, _, text) = house.post("/feedback", &opinion.to_string()).await;
    (status, serde_json::from_str(&text).unwrap())
}

async fn list(house: &House, query: &str) -> Vec<Value> {
    let (status, _, text) = house.get(&format!("/api/feedback{query}")).await;
    assert_eq!(status, 200, "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    list["feedback"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_verdict_is_joined_with_its_answer() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let keeper = Keeper::start(&dir.path().join("f.sqlite"), ([127, 0, 0, 1], 0).into()).await;
    let house = house(keeper.settings.clone(), Arc::new(Alone::default()), &backend, "inputs").await;
    predict(&house, "r1", r#"{"text":"=1+1 <b>"}"#, ANSWER).await;
    let down = json!({"request_id": "r1", "verdict": "down", "expected": "FEMALE", "comment": "no"});
    let (status, said) = judge(&house, &down).await;
    let wanted = json!({"request_id": "r1", "function": "penguins", "verdict": "down", "replaced": false});
    assert_eq!((status, said), (201, wanted.clone()));
    assert_eq!(judge(&house, &down).await, (200, wanted));
    let all =
        list(&house, "?function=penguins&verdict=down&class=MALE&expected=FEMALE&version=1.2.0&text=%3Cb%3E").await;
    let [one] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&one["input"]["text"], &one["answer"]["confidence"]), (&json!("=1+1 <b>"), &json!(0.8)));
    let (status, said) = judge(&house, &json!({"request_id": "r1", "verdict": "up"})).await;
    assert_eq!((status, &said["replaced"]), (200, &json!(true)));
    let (_, headers, csv) = house.get("/api/feedback/export?verdict=up").await;
    assert_eq!(headers["content-disposition"], "attachment; filename=\"feedback.csv\"");
    assert!(csv.lines().nth(1).unwrap().contains(",'=1+1 <b>,"), "{csv}");
    let (_, _, summary) = house.get("/api/feedback/summary?function=penguins").await;
    assert!(summary.contains(r#""up":1,"down":0,"agreement":1.0"#), "{summary}");

    let remove =
        || Request::delete("/api/feedback/r1").header("host", "localhost").header("content-type", "application/json");
    assert_eq!(house.send(remove(), Vec::new()).await.0, 204);
    assert_eq!(house.send(remove(), Vec::new()).await.0, 404);
    assert_eq!(judge(&house, &down).await.0, 404);
    assert_eq!(list(&house, "").await.len(), 0);
    keeper.stop().await;
}

#[tokio::test]
async fn what_cannot_be_judged_is_refused() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let keeper = Keeper::start(&dir.path().join("f.sqlite"), ([127, 0, 0, 1], 0).into()).await;
    let mut settings = keeper.settings.clone();
    settings.keep_for = Duration::from_secs(3);
    let house = house(settings, Arc::new(Alone::default()), &backend, "verdicts").await;
    predict(&house, "r1", "{}", ANSWER).await;
    predict(&house, "rows", "[]", &format!("[{ANSWER}]")).await;
    for (opinion, status, words) in [
        (json!({"request_id": "nobody", "verdict": "up"}), 404, "`penguins` do"),
        (json!({"request_id": "rows", "verdict": "up"}), 404, "answers of one row"),
        (json!({"request_id": "r1", "verdict": "down", "expected": "BOTH"}), 422, "must be one of FEMALE, MALE"),
        (json!({"request_id": "r1", "verdict": "down", "expected": "MALE"}), 422, "is what was predicted"),
        (json!({"request_id": "r1", "verdict": "up", "expected": "FEMALE"}), 422, "is not what was predicted"),
        (json!({"request_id": "r1", "verdict": "up", "comment": "x".repeat(2001)}), 422, "at most 2000 characters"),
        (json!({"request_id": "r1", "verdict": "up", "stars": 5}), 422, "unknown field `stars`"),
        (json!({"request_id": "r1", "verdict": "meh"}), 422, "`up` or `down`"),
        (json!({"request_id": "r1"}), 422, "missing field `verdict`"),
    ] {
        let (said, problem) = judge(&house, &opinion).await;
        assert_eq!(said, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{words}: {problem}");
    }
    assert_eq!(house.post("/feedback", "{").await.0, 400);
    let form = Request::post("/feedback").header("host", "localhost").header("content-type", "text/plain");
    assert_eq!(house.send(form, br#"{"request_id":"r1","verdict":"up"}"#.to_vec()).await.0, 415);
    assert_eq!(house.get("/feedback").await.0, 405);
    assert_eq!(list(&house, "").await.len(), 0);
    // In time, and without what was asked; then too late.
    let up = json!({"request_id": "r1", "verdict": "up"});
    assert_eq!(judge(&house, &up).await.0, 201);
    assert_eq!(list(&house, "").await[0]["input"], Value::Null);
    predict(&house, "r2", "{}", ANSWER).await;
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(judge(&house, &json!({"request_id": "r2", "verdict": "up"})).await.0, 404);
    // What is stored can be judged anew: the service has the answer.
    let (status, said) = judge(&house, &json!({"request_id": "r1", "verdict": "down", "expected": "FEMALE"})).await;
    assert_eq!((status, &said["replaced"]), (200, &json!(true)));
    keeper.stop().await;
}

#[tokio::test]
async fn a_function_that_has_not_opted_in_keeps_nothing() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let keeper = Keeper::start(&dir.path().join("f.sqlite"), ([127, 0, 0, 1], 0).into()).await;
    let house = house(keeper.settings.clone(), Arc::new(Alone::default()), &backend, "off").await;
    predict(&house, "r1", "{}", ANSWER).await;
    let (status, problem) = judge(&house, &json!({"request_id": "r1", "verdict": "up"})).await;
    assert_eq!((status, &problem["kind"]), (404, &json!("unknown_request")));
    assert!(problem["detail"].as_str().unwrap().contains("no function does"), "{problem}");
    // From now on.
    house.script.describe("feedback", "verdicts");
    eventually("the gateway has seen it", || async {
        predict(&house, "r2", "{}", ANSWER).await;
        (judge(&house, &json!({"request_id": "r2", "verdict": "up"})).await.0 == 201).then_some(())
    })
    .await;
    keeper.stop().await;
}

#[tokio::test]
async fn while_the_store_is_gone_nothing_is_taken() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let file = dir.path().join("f.sqlite");
    let keeper = Keeper::start(&file, ([127, 0, 0, 1], 0).into()).await;
    let (address, settings) = (keeper.address, keeper.settings.clone());
    let house = house(settings, Arc::new(Alone::default()), &backend, "verdicts").await;
    for n in 0..5 {
        predict(&house, &format!("r{n}"), "{}", ANSWER).await;
    }
    let up = |n: u32| json!({"request_id": format!("r{n}"), "verdict": "up"});
    assert_eq!(judge(&house, &up(0)).await.0, 201);
    keeper.stop().await;
    let (status, problem) = judge(&house, &up(1)).await;
    assert_eq!((status, &problem["kind"]), (503, &json!("store_unavailable")));
    assert_eq!(house.get("/api/feedback").await.0, 503);
    let keeper = Keeper::start(&file, address).await;
    for n in 1..5 {
        assert_eq!(judge(&house, &up(n)).await.0, 201);
    }
    assert_eq!(list(&house, "").await.len(), 5);
    // With another key, it answers nobody.
    keeper.stop().await;
    let wrong = FeedbackSettings { url: Some("http://127.0.0.1:1".into()), ..FeedbackSettings::default() };
    let house = self::house(wrong, Arc::new(Alone::default()), &backend, "off").await;
    assert_eq!(house.get("/api/feedback").await.0, 503);
}

#[tokio::test]
async fn a_verdict_finds_the_gateway_that_has_its_answer() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let keeper = Keeper::start(&dir.path().join("f.sqlite"), ([127, 0, 0, 1], 0).into()).await;
    let first = house(keeper.settings.clone(), Arc::new(Alone::default()), &backend, "inputs").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let party = Party { leads: false, leader: None, others: vec![silent, first.address] };
    let others = Arc::new(Others(watch::Sender::new(Arc::new(party))));
    let second = house(keeper.settings.clone(), others, &backend, "inputs").await;
    predict(&first, "r1", r#"{"text":"secret"}"#, ANSWER).await;
    let (status, said) = judge(&second, &json!({"request_id": "r1", "verdict": "up"})).await;
    assert_eq!((status, &said["function"]), (201, &json!("penguins")));
    assert!(!said.to_string().contains("secret"));
    let (status, problem) = judge(&second, &json!({"request_id": "r1", "verdict": "up", "expected": "X"})).await;
    assert_eq!((status, &problem["kind"]), (422, &json!("invalid_value")));
    assert_eq!(judge(&second, &json!({"request_id": "r2", "verdict": "up"})).await.0, 404);
    assert_eq!(list(&second, "").await[0]["input"]["text"], "secret");
    keeper.stop().await;
}

#[tokio::test]
async fn the_service_is_found_in_the_catalog_and_hidden_from_clients() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::start().await);
    let keeper = Keeper::start(&dir.path().join("f.sqlite"), ([127, 0, 0, 1], 0).into()).await;
    let settings = FeedbackSettings { url: None, service: "penguins".into(), ..keeper.settings.clone() };
    let house = House::start(Settings { feedback: settings, ..Settings::default() }).await;
    house.script.show(&[]);
    assert!(house.get("/api/feedback").await.2.contains("jobs/feedback.nomad"));
    house.script.show(&[(keeper.address, Ready)]);
    assert_eq!(list(&house, "").await.len(), 0);
    assert_eq!(house.get("/functions/penguins/api/feedback").await.0, 404);
    drop(backend);
    keeper.stop().await;
}
