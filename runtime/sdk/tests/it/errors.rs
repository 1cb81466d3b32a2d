//! What is wrong with a request, said exactly.

use serde_json::{Value, json};

use crate::probe::{Probe, row, row_with};

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let probe = Probe::start().await;
    let body = json!({"length": "12.5", "count": 11, "colour": "blue", "size": 1});
    probe.predict(&body).await.expect_problem(
        422,
        "invalid_value",
        &[
            ("/length", "must be a number, is \"12.5\""),
            ("/count", "must be from 0 to 10, is 11"),
            ("/text", "is missing"),
            ("/colour", "must be one of red, green; is \"blue\""),
            ("/size", "is not a field of this function, which has length, count, text, colour, act"),
        ],
    );
}

#[tokio::test]
async fn each_wrong_value_has_its_exact_answer() {
    let probe = Probe::start().await;
    let cases: [(&str, Value, &str); 9] = [
        ("length", json!(-0.5), "must be from 0.0 to 100.0 mm, is -0.5"),
        ("length", json!(1e39), "must be from 0.0 to 100.0 mm, is 1e+39"),
        ("length", json!(null), "must be a number, is null"),
        ("length", json!([1]), "must be a number, is an array"),
        ("count", json!(1.5), "must be a whole number, is 1.5"),
        ("count", json!(true), "must be a whole number, is true"),
        ("text", json!(""), "must have at least 1 character(s), has 0"),
        ("text", json!("ñ".repeat(21)), "must have at most 20 characters, has 21"),
        ("text", json!({"a": 1}), "must be a string, is an object"),
    ];
    for (field, value, expected) in cases {
        let pointer = format!("/{field}");
        probe.predict(&row_with(field, value)).await.expect_problem(422, "invalid_value", &[(&pointer, expected)]);
    }
    // A text at the limit in characters is longer in bytes, and good.
    probe.predict(&row_with("text", json!("ñ".repeat(20)))).await.expect_ok();
}

#[tokio::test]
async fn rows_of_an_array_are_named_by_their_place() {
    let probe = Probe::start().await;
    let body = json!([row(), row_with("length", json!(101)), 7]);
    probe.predict(&body).await.expect_problem(
        422,
        "invalid_value",
        &[
            ("/1/length", "must be from 0.0 to 100.0 mm, is 101"),
            ("/2", "must be an object with the fields of one row, is 7"),
        ],
    );
    probe.post("/predict", "[]").await.expect_problem(
        422,
        "invalid_value",
        &[("", "must hold at least one row, is an empty array")],
    );
    probe.post("/predict", "\"row\"").await.expect_problem(
        422,
        "invalid_value",
        &[("", "must be an object with the fields of one row, is \"row\"")],
    );
}

#[tokio::test]
async fn a_name_given_twice_is_refused() {
    let probe = Probe::start().await;
    let twice = r#"{"length": 1, "count": 3, "text": "a", "colour": "red", "length": 2}"#;
    let wrong = [("/length", "is given more than once")];
    probe.post("/predict", twice).await.expect_problem(422, "invalid_value", &wrong);
}

#[tokio::test]
async fn what_is_not_json_is_a_bad_request() {
    let probe = Probe::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&[u8], &str); 8] = [
        (b"", "the body is empty, send a JSON object or an array of them"),
        (b"{\"length\": NaN}", "the body is not JSON: expected value at line 1 column 12"),
        (b"{\"length\": Infinity}", "the body is not JSON: expected value at line 1 column 12"),
        (b"{\"length\": -Infinity}", "the body is not JSON: invalid number at line 1 column 13"),
        (b"{\"length\": 1e999}", "the body is not JSON: number out of range at line 1 column 16"),
        (b"{\"length\": 1", "the body is not JSON: EOF while parsing an object at line 1 column 12"),
        (b"{\"text\": \"\xff\"}", "the body is not UTF-8 at byte 10"),
        (deep.as_bytes(), "the body is not JSON: recursion limit exceeded at line 1 column 128"),
    ];
    for (body, expected) in cases {
        let answer = probe.post("/predict", body.to_vec()).await;
        answer.expect_problem(400, "bad_request", &[]);
        assert_eq!(answer.json["detail"], expected);
    }
}

#[tokio::test]
async fn the_media_type_must_be_json() {
    let probe = Probe::start().await;
    let url = format!("{}/predict", probe.url);
    let body = row().to_string();
    for (given, detail) in [
        (Some("text/plain"), "content-type is `text/plain`, send application/json"),
        (None, "content-type is missing, send application/json"),
    ] {
        let mut request = probe.client.post(&url).body(body.clone());
        if let Some(given) = given {
            request = request.header("content-type", given);
        }
        let answer = probe.send(request).await;
        answer.expect_problem(415, "unsupported_media_type", &[]);
        assert_eq!(answer.json["detail"], detail);
    }
    for good in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"] {
        probe.send(probe.client.post(&url).header("content-type", good).body(body.clone())).await.expect_ok();
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let probe = Probe::start().await;
    probe.get("/nothing").await.expect_problem(404, "unknown_route", &[]);
    let answer = probe.get("/predict").await;
    answer.expect_problem(405, "method_not_allowed", &[]);
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn a_failing_row_fails_its_request_and_keeps_its_reason_in_the_log() {
    let probe = Probe::start().await;
    let answer = probe.predict(&json!([row(), row_with("act", json!("fail"))])).await;
    answer.expect_problem(500, "model_failed", &[]);
    assert_eq!(answer.json["detail"], "the model could not answer 1 of 2 rows, the first is row 1");
    let logged = std::iter::from_fn(|| probe.log.recv_timeout(std::time::Duration::from_secs(5)).ok())
        .find(|line| line.contains("\"kind\":\"model_failed\""))
        .expect("the failure is logged");
    assert!(logged.contains("failed as asked, secretly"), "{logged}");
    assert!(logged.contains(answer.json["request_id"].as_str().unwrap()), "{logged}");
}

#[tokio::test]
async fn a_panic_fails_only_the_request_that_caused_it() {
    let probe = Probe::start_with(&[("DROVER_INFERENCE", "threads"), ("DROVER_WORKERS", "1")]).await;
    let (busy, good, bad) = (row_with("act", json!("sleep")), row(), row_with("act", json!("panic")));
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        tokio::join!(probe.predict(&good), probe.predict(&bad), probe.predict(&good))
    };
    let (_, (first, bad, second)) = tokio::join!(probe.predict(&busy), later);
    bad.expect_problem(500, "model_failed", &[]);
    assert!(!bad.json.to_string().contains("secretly"), "{}", bad.json);
    // Each was run again alone.
    assert_eq!(first.expect_ok()["batch"], 1);
    assert_eq!(second.expect_ok()["batch"], 1);
    assert_eq!(probe.metric("drover_panics_total").await, 2.0, "once in the batch, once alone");
    probe.predict(&row()).await.expect_ok();
}
