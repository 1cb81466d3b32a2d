//! The same function on AWS Lambda, against a Runtime API that this test serves, and in the emulator of
//! cargo-lambda where that is installed.
#![cfg(feature = "lambda")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail, loudly"
)]

use std::convert::Infallible;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_testkit::process::{free_ports, on_path};
use drover_testkit::{Instance, checkout, client_builder, eventually};
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

const ROW: &str = r#"{"length": 12.5, "count": 3, "text": "hola", "colour": "red"}"#;

/// Lambda's side: events that wait, and answers that came.
#[derive(Default)]
struct RuntimeApi {
    waiting: Mutex<Vec<Value>>,
    answers: Mutex<Vec<Value>>,
}

impl RuntimeApi {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        if path.ends_with("/invocation/next") {
            let event = loop {
                if let Some(event) = self.waiting.lock().unwrap().pop() {
                    break event;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            };
            let response = Response::builder()
                .header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
                .header("lambda-runtime-deadline-ms", "4102444800000")
                .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:probe");
            return Ok(response.body(Full::new(event.to_string().into())).unwrap());
        }
        let answer = serde_json::from_slice(&body).unwrap_or_else(|_| json!({"path": path, "not_json": true}));
        self.answers.lock().unwrap().push(answer);
        Ok(Response::builder().status(202).body(Full::default()).unwrap())
    }
}

/// Starts the Runtime API and the probe on it.
async fn start() -> (Arc<RuntimeApi>, Instance, tempfile::TempDir) {
    let api = Arc::new(RuntimeApi::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Arc::clone(&api);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let api = Arc::clone(&serving);
            let service = service_fn(move |request| Arc::clone(&api).answer(request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = probe::command(folder.path());
    command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
    for (name, value) in [("NAME", "probe"), ("MEMORY_SIZE", "128"), ("VERSION", "1")]
        .map(|(n, v)| (format!("AWS_LAMBDA_FUNCTION_{n}"), v))
    {
        command.env(name, value);
    }
    command.env("AWS_LAMBDA_LOG_STREAM_NAME", "stream").env("AWS_LAMBDA_LOG_GROUP_NAME", "group");
    (api, Instance::spawn(command), folder)
}

/// Sends one event and returns Lambda's answer, its body read as JSON.
async fn invoke(api: &RuntimeApi, event: Value) -> (u64, Value) {
    api.waiting.lock().unwrap().push(event);
    let answer =
        eventually("Lambda is answered", Duration::from_secs(20), || async { api.answers.lock().unwrap().pop() }).await;
    let body = answer["body"].as_str().map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    (answer["statusCode"].as_u64().unwrap_or_else(|| panic!("{answer}")), body.unwrap_or_default())
}

/// An event of API Gateway v2, which a function URL sends too.
fn v2(method: &str, path: &str, stage: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "x.lambda-url.eu-west-1.on.aws"},
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "domainName": "x.lambda-url.eu-west-1.on.aws",
            "domainPrefix": "x", "requestId": "id", "routeKey": "$default", "stage": stage,
            "time": "12/Mar/2026:19:03:58 +0000", "timeEpoch": 1773342238000_u64,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
        },
        "body": body, "isBase64Encoded": false,
    })
}

/// An event of API Gateway v1 (REST), called at the stage `prod`.
fn v1(method: &str, path: &str, body: &str) -> Value {
    json!({
        "resource": "/{proxy+}", "path": path, "httpMethod": method,
        "headers": {"Content-Type": "application/json", "Host": "x.execute-api.eu-west-1.amazonaws.com"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "accountId": "123456789012", "apiId": "x", "httpMethod": method, "path": format!("/prod{path}"),
            "protocol": "HTTP/1.1", "requestId": "id", "resourceId": "r", "resourcePath": "/{proxy+}",
            "stage": "prod", "identity": {"sourceIp": "127.0.0.1"},
        },
        "body": body, "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn events_of_every_gateway_are_answered_as_http_is() {
    let (api, _instance, _folder) = start().await;
    for event in
        [v2("POST", "/predict", "$default", ROW), v2("POST", "/prod/predict", "prod", ROW), v1("POST", "/predict", ROW)]
    {
        let (status, answer) = invoke(&api, event).await;
        assert_eq!((status, answer["prediction"].as_str()), (200, Some("hola")), "{answer}");
        assert_eq!(answer["model_version"], "1.2.3");
    }
    let rows = format!("[{ROW},{ROW}]");
    let (status, answer) = invoke(&api, v1("POST", "/predict", &rows)).await;
    assert_eq!((status, answer[1]["batch"].as_u64()), (200, Some(2)), "{answer}");
}

#[tokio::test]
async fn errors_are_the_same_problems_as_over_http() {
    let (api, _instance, _folder) = start().await;
    let (status, problem) = invoke(&api, v2("POST", "/predict", "$default", "{}")).await;
    assert_eq!((status, problem["kind"].as_str()), (422, Some("invalid_value")), "{problem}");
    assert_eq!(problem["errors"][0]["detail"], "is missing");
    let (status, problem) = invoke(&api, v1("GET", "/nothing", "")).await;
    assert_eq!((status, problem["kind"].as_str()), (404, Some("unknown_route")), "{problem}");
    let panics = ROW.replace('}', r#", "act": "panic"}"#);
    let (status, problem) = invoke(&api, v1("POST", "/predict", &panics)).await;
    assert_eq!((status, problem["kind"].as_str()), (500, Some("model_failed")), "{problem}");
    let (status, _) = invoke(&api, v2("GET", "/health/ready", "$default", "")).await;
    assert_eq!(status, 200, "it lives on after a panic");
}

/// `cargo lambda watch` with a function; all of it ends when this is dropped.
struct Emulator {
    child: Child,
    url: String,
}

impl Emulator {
    /// Starts it as the README says, but on a port of its own and with the build of this test.
    async fn start(package: &str) -> Self {
        let [port] = free_ports();
        let own = std::env::current_exe().unwrap();
        // target/PROFILE/deps/test
        let target = own.ancestors().nth(3).unwrap();
        let mut command = Command::new("cargo");
        command.args(["lambda", "watch", "--package", package, "--features", "drover/lambda"]);
        command.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        // Its own --target-dir it hands on to `cargo metadata`, which knows none.
        command.current_dir(checkout()).env("CARGO_TARGET_DIR", target).stdin(Stdio::null());
        let child = command.spawn().unwrap();
        let mut emulator = Self { child, url: format!("http://127.0.0.1:{port}/lambda-url/{package}") };
        eventually("the emulator listens", Duration::from_secs(60), || {
            assert!(matches!(emulator.child.try_wait(), Ok(None)), "the emulator has ended");
            async move { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
        emulator
    }

    /// Returns the processes that came of it: cargo, then the function, each the leader of a group.
    fn started(&self) -> Vec<u32> {
        let (mut found, mut next) = (Vec::new(), vec![self.child.id()]);
        while let Some(pid) = next.pop() {
            for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                next.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
            found.push(pid);
        }
        found
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let kill = |args: [String; 2]| drop(Command::new("kill").args(args).stderr(Stdio::null()).status());
        let started = self.started();
        kill(["-TERM".into(), self.child.id().to_string()]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while started.iter().any(|&pid| lives(pid)) && Instant::now() < deadline {
            let _ = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(20));
        }
        for pid in started.into_iter().filter(|&pid| lives(pid)) {
            eprintln!("process {pid} had to be killed");
            kill(["-KILL".into(), pid.to_string()]);
        }
        let _ = self.child.wait();
    }
}

/// Returns whether a process runs: one that has ended may stay listed until its parent asks for it.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn the_emulator_of_cargo_lambda_answers() {
    if on_path("cargo-lambda").is_none() {
        eprintln!("skipped: cargo-lambda is not on PATH");
        return;
    }
    let emulator = Emulator::start("penguins").await;
    // It builds the function when the first request comes.
    let client = client_builder().timeout(Duration::from_secs(600)).build().unwrap();
    let post = |body: Value| {
        let request = client.post(format!("{}/predict", emulator.url)).header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    let penguin = json!({"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750});
    let answer = post(penguin).await.unwrap();
    let status = answer.status();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((status.as_u16(), answer["prediction"].as_str()), (200, Some("MALE")), "{answer}");
    assert_eq!(answer["model_version"], "1.0.0");
    let problem = post(json!({"bill_length_mm": 1})).await.unwrap();
    assert_eq!(problem.status(), 422);
    assert_eq!(problem.headers()["content-type"], "application/problem+json");

    let started = emulator.started();
    assert!(started.len() > 1, "the function is no process of the emulator's");
    drop(emulator);
    assert!(!started.into_iter().any(lives), "a process is left");
}

#[path = "it/probe.rs"]
#[expect(dead_code, reason = "only the command is needed here")]
mod probe;
