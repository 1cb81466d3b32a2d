//! Open Inference Protocol, version 2.

use serde_json::{Value, json};

use crate::probe::Probe;

fn tensors() -> Value {
    json!({"id": "42", "inputs": [
        {"name": "length", "shape": [2], "datatype": "FP32", "data": [1.5, 2.5]},
        {"name": "count", "shape": [2, 1], "datatype": "INT64", "data": [[1], [2]]},
        {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["uno", "dos!"]},
        {"name": "colour", "shape": [2], "datatype": "BYTES", "data": ["red", "green"]},
    ]})
}

#[tokio::test]
async fn rows_come_and_go_as_tensors() {
    let probe = Probe::start().await;
    let answer = probe.post("/v2/models/probe/infer", tensors().to_string()).await.expect_ok();
    assert_eq!(
        answer,
        json!({"model_name": "probe", "model_version": "1.2.3", "id": "42", "outputs": [
            {"name": "prediction", "shape": [2], "datatype": "BYTES", "data": ["uno", "dos!"]},
            {"name": "batch", "shape": [2], "datatype": "INT64", "data": [2, 2]},
            {"name": "size", "shape": [2], "datatype": "FP32", "data": [3.0, 4.0]},
        ]})
    );
}

#[tokio::test]
async fn only_the_wanted_outputs_are_sent() {
    let probe = Probe::start().await;
    let mut body = tensors();
    body["outputs"] = json!([{"name": "size"}]);
    let answer = probe.post("/v2/models/probe/infer", body.to_string()).await.expect_ok();
    assert_eq!(answer["outputs"].as_array().unwrap().len(), 1);
    body["outputs"] = json!([{"name": "weight"}]);
    let wrong = [("/outputs/0/name", "is `weight`, which is not an output or was named before")];
    let answer = probe.post("/v2/models/probe/infer", body.to_string()).await;
    answer.expect_problem(422, "invalid_value", &wrong);
    assert_eq!(answer.json["error"], answer.json["detail"], "clients of the protocol look for `error`");
}

#[tokio::test]
async fn every_wrong_tensor_is_named() {
    let probe = Probe::start().await;
    let body = json!({"inputs": [
        {"name": "length", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
        {"name": "count", "shape": [3], "datatype": "INT64", "data": [1, 2, 3]},
        {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["uno"]},
        {"name": "size", "shape": [2], "datatype": "FP32", "data": [1, 2]},
    ]});
    probe.post("/v2/models/probe/infer", body.to_string()).await.expect_problem(
        422,
        "invalid_value",
        &[
            ("/inputs/0/datatype", "is BYTES, must be FP32"),
            ("/inputs/1/shape", "says 3 rows, another input says 2"),
            ("/inputs/2/data", "has 1 values, the shape says 2"),
            ("/inputs/3/name", "is `size`, which is not an input: known are length, count, text, colour, act"),
            ("/inputs", "lacks the input `colour`"),
        ],
    );
}

#[tokio::test]
async fn a_wrong_value_is_named_by_its_tensor_and_row() {
    let probe = Probe::start().await;
    let mut body = tensors();
    body["inputs"][1]["data"] = json!([1, 99]);
    let wrong = [("/inputs/1/data/1", "must be from 0 to 10, is 99")];
    probe.post("/v2/models/probe/infer", body.to_string()).await.expect_problem(422, "invalid_value", &wrong);
}

#[tokio::test]
async fn the_model_describes_itself() {
    let probe = Probe::start().await;
    let model = probe.get("/v2/models/probe").await.expect_ok();
    assert_eq!(model["versions"], json!(["1.2.3"]));
    assert_eq!(model["inputs"][0], json!({"name": "length", "datatype": "FP32", "shape": [-1]}));
    assert_eq!(model["inputs"][2], json!({"name": "text", "datatype": "BYTES", "shape": [-1]}));
    assert_eq!(probe.get("/v2").await.expect_ok()["name"], "probe");
    assert_eq!(probe.get("/v2/models/probe/ready").await.expect_ok()["ready"], true);
    assert_eq!(probe.get("/v2/health/live").await.expect_ok()["live"], true);
    probe.get("/v2/models/other").await.expect_problem(404, "unknown_function", &[]);
}
