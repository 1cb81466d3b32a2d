//! `GET /openapi.json`: OpenAPI 3.1, made from the types.

use drover_core::{ErrorKind, Problem};
use serde_json::{Map, Value, json};

use crate::Model;
use crate::config::Config;
use crate::function::Function;
use crate::schema::{self, RequestSchema};

/// Makes the document of one function.
pub(crate) fn document<F: Function>(request: &RequestSchema, model: Option<&Model>, config: &Config) -> Value {
    let description = model.map(|m| m.card().description.clone()).unwrap_or_default();
    let version = model.map_or("", Model::version);
    json!({
        "openapi": "3.1.0",
        "info": {"title": F::NAME, "description": description, "version": version},
        // Relative to this document, so that it also holds below a gateway's path.
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {"post": predict(request, config)},
            format!("/v2/models/{}/infer", F::NAME): {"post": infer()},
            format!("/v2/models/{}", F::NAME): {"get": get("Describes the model's inputs and outputs", "v2")},
            format!("/v2/models/{}/ready", F::NAME): {"get": get("Says whether the model is ready", "v2")},
            "/v2": {"get": get("Describes the server", "v2")},
            "/v2/health/live": {"get": get("Says that the process answers", "v2")},
            "/v2/health/ready": {"get": get("Says whether the model is loaded and not about to stop", "v2")},
            "/health/live": {"get": get("Says that the process answers", "health")},
            "/health/ready": {"get": get("Says whether the model is loaded and not about to stop", "health")},
            "/metrics": {"get": get("Prometheus metrics", "health")},
        },
        "components": {"schemas": {
            "Request": request.json,
            "Response": response::<F>(model),
            "Problem": schema::of::<Problem>(),
            "InferRequest": infer_request(request),
        }},
    })
}

/// The response type, with what the server adds to every row.
fn response<F: Function>(model: Option<&Model>) -> Value {
    let mut schema = schema::of::<F::Response>();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let version = json!({"type": "string", "description": "Version of the model that answered."});
        let id = json!({"type": "string", "description": "Id of the request, as in X-Request-Id and in the logs."});
        properties.insert("model_version".into(), version);
        properties.insert("request_id".into(), id);
        let labelled = properties.get_mut("prediction").and_then(Value::as_object_mut);
        if let (Some(model), Some(prediction)) = (model, labelled)
            && prediction.get("type").and_then(Value::as_str) == Some("string")
        {
            prediction.insert("enum".into(), json!(model.labels()));
        }
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.extend(["model_version".into(), "request_id".into()]);
    }
    schema
}

fn predict(request: &RequestSchema, config: &Config) -> Value {
    let row = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let rows =
        |name: &str| json!({"type": "array", "items": row(name), "minItems": 1, "maxItems": config.request_rows});
    let either = |name: &str| json!({"oneOf": [row(name), rows(name)]});
    let one = &request.example;
    json!({
        "summary": "Predicts one row, or each row of an array",
        "operationId": "predict",
        "tags": ["predict"],
        "parameters": [
            {"name": "X-Request-Id", "in": "header", "schema": {"type": "string", "maxLength": 128}},
            {"name": "X-Deadline-Ms", "in": "header", "schema": {"type": "integer", "minimum": 0},
             "description": format!("Milliseconds after which the answer is of no use; at most {}.", config.deadline.as_millis())},
        ],
        "requestBody": {"required": true, "content": {"application/json": {
            "schema": either("Request"),
            "examples": {"one row": {"value": one}, "two rows": {"value": [one, one]}},
        }}},
        "responses": responses(&either("Response")),
    })
}

fn infer() -> Value {
    json!({
        "summary": "Predicts rows given as one tensor per field (Open Inference Protocol, version 2)",
        "operationId": "infer",
        "tags": ["v2"],
        "requestBody": {"required": true, "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/InferRequest"},
        }}},
        "responses": responses(&json!({"type": "object"})),
    })
}

/// The shape of an inference request, with an example of one row.
fn infer_request(request: &RequestSchema) -> Value {
    let example = request.fields.iter().map(|field| {
        let value = request.example.get(&field.name).cloned().unwrap_or_default();
        json!({"name": field.name, "shape": [1], "datatype": super::infer::datatype(field.kind), "data": [value]})
    });
    let inputs = example.collect::<Vec<_>>();
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string", "enum": request.fields.iter().map(|f| &f.name).collect::<Vec<_>>()},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string"},
                    "data": {"type": "array"},
                },
            }},
            "outputs": {"type": "array", "items": {
                "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}},
            }},
        },
        "examples": [{"inputs": inputs}],
    })
}

fn get(summary: &str, tag: &str) -> Value {
    json!({"summary": summary, "tags": [tag], "responses": {"200": {"description": "OK"}}})
}

/// The good answer, and every failure that an invocation can meet.
fn responses(good: &Value) -> Value {
    let kinds = [
        ErrorKind::BadRequest,
        ErrorKind::TooLarge,
        ErrorKind::UnsupportedMediaType,
        ErrorKind::InvalidValue,
        ErrorKind::Overloaded,
        ErrorKind::ModelFailed,
        ErrorKind::NotReady,
        ErrorKind::Timeout,
    ];
    let mut responses = Map::new();
    responses
        .insert("200".into(), json!({"description": "The answer", "content": {"application/json": {"schema": good}}}));
    for kind in kinds {
        let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
        let description = format!("{}: {}", kind.label(), kind.title());
        responses.insert(kind.status().to_string(), json!({"description": description, "content": content}));
    }
    Value::Object(responses)
}
