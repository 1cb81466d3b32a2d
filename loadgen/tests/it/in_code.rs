//! The example of a load in code.

#[path = "../../examples/in_code.rs"]
#[expect(dead_code, reason = "its `main` is for a person")]
mod example;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_example_runs() {
    // One label for each penguin, as the function answers.
    let answer = async |request: Request<Bytes>| {
        let rows: Vec<Value> = serde_json::from_slice(request.body()).unwrap();
        assert!(rows.iter().all(|row| row["body_mass_g"].is_number()), "{rows:?}");
        Response::new(Full::from(json!(vec!["MALE"; rows.len()]).to_string()))
    };
    let server = Server::start(answer, None).await;
    let report = example::load(&format!("http://{}", server.address), Duration::from_secs(2)).await.unwrap();
    assert_eq!((report.total.requests, report.total.failures), (server.requests(), 0), "{:?}", report.failures);
    assert!(report.total.requests > 50, "{}", report.total.requests);
}
