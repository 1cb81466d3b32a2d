//! The service and its stores, for tests.

use std::net::SocketAddr;

use drover_feedback::{Retention, Service, Store, serve};
use drover_testkit::Postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An empty store of one kind.
pub(crate) struct Empty {
    pub(crate) url: String,
    pub(crate) postgres: Option<Postgres>,
    _dir: TempDir,
}

/// Returns an empty store of each kind that is there.
pub(crate) async fn stores() -> Vec<Empty> {
    let dir = || tempfile::tempdir().unwrap();
    let file = dir();
    let url = format!("sqlite:{}", file.path().join("new/feedback.sqlite").display());
    let mut all = vec![Empty { url, postgres: None, _dir: file }];
    if let Some(postgres) = Postgres::start().await {
        all.push(Empty { url: postgres.url.clone(), postgres: Some(postgres), _dir: dir() });
    }
    all
}

/// A service that runs.
pub(crate) struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    client: reqwest::Client,
}

impl Running {
    pub(crate) async fn start(url: &str, retention: Retention, key: Option<&str>) -> Self {
        let store = Store::open(url, retention).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let service = Service { store, key: key.map(str::to_owned) };
        let server = tokio::spawn(serve(listener, service, stop.clone()));
        Self { address, stop, server, client: drover_testkit::client() }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.server.await.unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Returns the ids on a page, and its `next`.
    pub(crate) async fn ids(&self, query: &str) -> (Vec<String>, Option<String>) {
        let (status, text) = self.get(&format!("/api/feedback{query}")).await;
        assert_eq!(status, 200, "{text}");
        let page: Value = serde_json::from_str(&text).unwrap();
        let ids = page["feedback"].as_array().unwrap().iter().map(|one| one["request_id"].as_str().unwrap().into());
        (ids.collect(), page["next"].as_str().map(str::to_owned))
    }

    pub(crate) async fn judge(&self, judgement: &Value) -> (u16, Value) {
        let answer = self.request(Method::POST, "/feedback").json(judgement).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// A verdict on an answer of `sentiment` at `at_ms`.
pub(crate) fn judgement(id: &str, at_ms: u64, verdict: &str, text: &str) -> Value {
    json!({
        "opinion": {"request_id": id, "verdict": verdict},
        "kept": {
            "function": "sentiment",
            "at_ms": at_ms,
            "input": {"text": text},
            "answer": {
                "prediction": "Negativo", "confidence": 0.9,
                "probabilities": {"Negativo": 0.9, "Positivo": 0.1}, "model_version": "1.0.0",
            },
        },
    })
}
