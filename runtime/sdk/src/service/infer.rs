//! `POST /v2/models/{model}/infer`: the Open Inference Protocol, version 2 (REST).
//!
//! Every field of the request type is one input tensor of that name, of shape `[n]` or `[n, 1]`.
//! Every field of the response type is one output tensor; a map of numbers is a row of one.

use std::collections::BTreeMap;
use std::time::Instant;

use drover_core::{ErrorKind, FieldError, Problem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Answer, Service, check_name};
use crate::Model;
use crate::batch::Answered;
use crate::error::Error;
use crate::function::Function;
use crate::log::Call;
use crate::schema::{self, Field, Kind};

#[derive(Deserialize)]
struct InferRequest {
    id: Option<String>,
    inputs: Vec<Tensor>,
    outputs: Option<Vec<Wanted>>,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct Tensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    data: Vec<Value>,
}

/// Describes the server.
pub(super) fn server_metadata(name: &str) -> Value {
    json!({"name": name, "version": env!("CARGO_PKG_VERSION"), "extensions": []})
}

/// Writes a problem for a client of the protocol, which looks for `error`.
pub(super) fn problem_json(problem: &Problem) -> Vec<u8> {
    let mut value = serde_json::to_value(problem).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.insert("error".into(), problem.detail.clone().into());
    }
    serde_json::to_vec(&value).unwrap_or_default()
}

impl<F: Function> Service<F> {
    /// Describes the model's inputs and outputs.
    pub(super) fn describe_model(&self, name: &str) -> Result<Answer, Error> {
        let model = self.model()?;
        check_name(model, name)?;
        let input = |f: &Field| json!({"name": f.name, "datatype": datatype(f.kind), "shape": [-1]});
        let inputs: Vec<Value> = self.decoder.schema().fields.iter().map(input).collect();
        let outputs = schema::of::<F::Response>();
        let outputs = outputs.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let outputs: Vec<Value> = outputs.iter().map(|(name, schema)| output_metadata(name, schema, model)).collect();
        Answer::json(&json!({
            "name": model.name(),
            "versions": [model.version()],
            "platform": "onnxruntime_onnx",
            "inputs": inputs,
            "outputs": outputs,
        }))
    }

    /// Answers the rows of one inference request.
    pub(super) async fn infer(
        &self,
        model: &Model,
        body: &[u8],
        deadline: Instant,
        call: &Call<'_>,
    ) -> Result<Answer, Error> {
        let request: InferRequest = serde_json::from_slice(body).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => {
                Error::invalid(vec![FieldError::new("", format!("is not an inference request: {e}"))])
            }
            _ => Error::new(ErrorKind::BadRequest, format!("the body is not JSON: {e}")),
        })?;
        let fields = &self.decoder.schema().fields;
        let rows = rows(fields, &request.inputs)?;
        let inputs = self.log.inputs(|| rows.iter().map(Value::to_string).collect());
        let rows = self.decoder.decode_values::<F::Request>(rows).map_err(|e| relocate(e, &request.inputs))?;
        let Answered { rows, queued_at, queued, inference } = self.queue.run(rows, deadline).await?;
        call.stages(queued_at, queued, inference);
        self.note(model, call, &rows, &inputs);
        let mut outputs = outputs(&rows)?;
        if let Some(wanted) = &request.outputs {
            outputs = choose(outputs, wanted)?;
        }
        let answer = json!({
            "model_name": model.name(),
            "model_version": model.version(),
            "id": request.id.as_deref().unwrap_or(call.id.as_str()),
            "outputs": outputs,
        });
        Answer::json(&answer).map(|answer| answer.with_timing(queued, inference))
    }
}

pub(super) fn datatype(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "FP32",
        Kind::Integer => "INT64",
        Kind::Text => "BYTES",
        Kind::Boolean => "BOOL",
    }
}

/// Whether values of `datatype` can be read into a field of `kind`.
fn fits(kind: Kind, datatype: &str) -> bool {
    let integer = matches!(datatype, "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64");
    match kind {
        Kind::Number => integer || matches!(datatype, "FP16" | "FP32" | "FP64"),
        Kind::Integer => integer,
        Kind::Text => datatype == "BYTES",
        Kind::Boolean => datatype == "BOOL",
    }
}

fn output_metadata(name: &str, schema: &Value, model: &Model) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => json!({"name": name, "datatype": "FP32", "shape": [-1, model.labels().len()]}),
        Some("integer") => json!({"name": name, "datatype": "INT64", "shape": [-1]}),
        Some("number") => json!({"name": name, "datatype": "FP32", "shape": [-1]}),
        Some("boolean") => json!({"name": name, "datatype": "BOOL", "shape": [-1]}),
        _ => json!({"name": name, "datatype": "BYTES", "shape": [-1]}),
    }
}

/// Turns the columns of the request into rows, or names every tensor that does not fit.
fn rows(fields: &[Field], inputs: &[Tensor]) -> Result<Vec<Value>, Error> {
    let mut wrong = Vec::new();
    let mut n_rows = None;
    let mut columns: Vec<(&Field, Vec<&Value>)> = Vec::new();
    for (index, tensor) in inputs.iter().enumerate() {
        let at = format!("/inputs/{index}");
        let Some(field) = fields.iter().find(|f| f.name == tensor.name) else {
            let known = fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
            let detail = format!("is `{}`, which is not an input: known are {known}", tensor.name);
            wrong.push(FieldError::new(format!("{at}/name"), detail));
            continue;
        };
        if columns.iter().any(|(f, _)| f.name == field.name) {
            wrong.push(FieldError::new(format!("{at}/name"), format!("is `{}` once more", field.name)));
            continue;
        }
        if !fits(field.kind, &tensor.datatype) {
            let detail = format!("is {}, must be {}", tensor.datatype, datatype(field.kind));
            wrong.push(FieldError::new(format!("{at}/datatype"), detail));
        }
        let values: Vec<&Value> = tensor.data.iter().flat_map(flat).collect();
        let n = match tensor.shape.as_slice() {
            [n] | [n, 1] => *n,
            other => {
                wrong.push(FieldError::new(format!("{at}/shape"), format!("is {other:?}, must be [n] or [n, 1]")));
                continue;
            }
        };
        if values.len() != n {
            let detail = format!("has {} values, the shape says {n}", values.len());
            wrong.push(FieldError::new(format!("{at}/data"), detail));
        } else if *n_rows.get_or_insert(n) != n {
            let detail = format!("says {n} rows, another input says {}", n_rows.unwrap_or_default());
            wrong.push(FieldError::new(format!("{at}/shape"), detail));
        }
        columns.push((field, values));
    }
    let given = |f: &&Field| inputs.iter().any(|tensor| tensor.name == f.name);
    for field in fields.iter().filter(|f| f.required && !given(f)) {
        wrong.push(FieldError::new("/inputs", format!("lacks the input `{}`", field.name)));
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    let mut rows = vec![Map::new(); n_rows.unwrap_or_default()];
    for (field, values) in columns {
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(field.name.clone(), value.clone());
        }
    }
    Ok(rows.into_iter().map(Value::Object).collect())
}

/// Data may be nested as its shape is, or flat.
fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(inner) => inner.iter().flat_map(flat).collect(),
        one => vec![one],
    }
}

/// Turns `/row/field` into the place of that value in the request's tensors.
fn relocate(mut error: Error, inputs: &[Tensor]) -> Error {
    for wrong in &mut error.fields {
        let mut parts = wrong.pointer.trim_start_matches('/').splitn(2, '/');
        if let (Some(row), Some(field)) = (parts.next(), parts.next())
            && let Some(index) = inputs.iter().position(|tensor| tensor.name == field)
        {
            wrong.pointer = format!("/inputs/{index}/data/{row}");
        }
    }
    Error { kind: error.kind, ..Error::invalid(error.fields) }
}

/// Turns the answers into one tensor per field.
fn outputs<R: Serialize>(rows: &[R]) -> Result<Vec<Tensor>, Error> {
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for row in rows {
        let row = serde_json::to_value(row)
            .map_err(|e| Error::new(ErrorKind::Internal, "the answer could not be written").because(e))?;
        for (name, value) in row.as_object().cloned().unwrap_or_default() {
            match columns.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => values.push(value),
                None => columns.push((name, vec![value])),
            }
        }
    }
    Ok(columns.into_iter().map(|(name, values)| tensor(name, values)).collect())
}

fn tensor(name: String, values: Vec<Value>) -> Tensor {
    let n = values.len();
    match values.first() {
        Some(Value::Object(first)) => {
            let labels: Vec<&String> = first.keys().collect();
            let parameters = Some(json!({"labels": labels}));
            let shape = vec![n, first.len()];
            let data = values.iter().filter_map(Value::as_object).flat_map(|row| row.values().cloned()).collect();
            Tensor { name, shape, datatype: "FP32".into(), parameters, data }
        }
        first => {
            let datatype = match first {
                Some(Value::Bool(_)) => "BOOL",
                Some(Value::Number(number)) if number.is_f64() => "FP32",
                Some(Value::Number(_)) => "INT64",
                _ => "BYTES",
            };
            Tensor { name, shape: vec![n], datatype: datatype.into(), parameters: None, data: values }
        }
    }
}

/// Keeps the outputs that the client asked for.
fn choose(outputs: Vec<Tensor>, wanted: &[Wanted]) -> Result<Vec<Tensor>, Error> {
    let mut by_name: BTreeMap<String, Tensor> = outputs.into_iter().map(|t| (t.name.clone(), t)).collect();
    let mut wrong = Vec::new();
    let mut chosen = Vec::new();
    for (index, Wanted { name }) in wanted.iter().enumerate() {
        match by_name.remove(name) {
            Some(tensor) => chosen.push(tensor),
            None => {
                let detail = format!("is `{name}`, which is not an output or was named before");
                wrong.push(FieldError::new(format!("/outputs/{index}/name"), detail));
            }
        }
    }
    if wrong.is_empty() { Ok(chosen) } else { Err(Error::invalid(wrong)) }
}
