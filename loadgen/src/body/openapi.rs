//! Finds in an OpenAPI document (3.0 or 3.1) what the body of a request may look like.

use serde_json::Value;

use super::shape::Shape;
use super::shape::read::Reader;

/// An OpenAPI document, and where its paths begin.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenApi {
    /// The document.
    pub document: Value,
    /// What comes before its paths on the server, e.g. `/functions/penguins`.
    pub folder: String,
}

/// Why no body can be drawn for a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no body can be drawn for {request}:\n  {}", .wrong.join("\n  "))]
pub struct SchemaError {
    /// Such as `POST /predict`.
    pub request: String,
    /// Every reason, with the field that it is about.
    pub wrong: Vec<String>,
}

impl OpenApi {
    /// Returns the shape of one row of the body of `method` at `path`, which begins after `folder`. Where the
    /// body may be a row or an array of rows, this is a row.
    ///
    /// # Errors
    /// If the document does not describe the request, or describes what cannot be drawn: which fields, and why.
    pub fn request(&self, method: &str, path: &str) -> Result<Shape, SchemaError> {
        let request = format!("{} {path}", method.to_ascii_uppercase());
        let fail = |wrong: Vec<String>| SchemaError { request: request.clone(), wrong };
        let schema = self.schema(method, path).map_err(|why| fail(vec![why]))?;
        let mut reader = Reader::new(&self.document);
        let shape = reader.read(schema, "").row();
        let wrong = reader.wrong();
        if wrong.is_empty() { Ok(shape) } else { Err(fail(wrong)) }
    }

    fn schema(&self, method: &str, path: &str) -> Result<&Value, String> {
        let paths = self.document.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or("the OpenAPI document describes no paths")?;
        let path = path.split('?').next().unwrap_or(path);
        let item =
            paths.get(path).or_else(|| paths.iter().find(|(known, _)| matches(known, path)).map(|(_, item)| item));
        let item = item.ok_or_else(|| {
            let takes_bodies = |item: &Value| ["post", "put", "patch"].iter().any(|method| item.get(method).is_some());
            let known: Vec<_> =
                paths.iter().filter(|(_, item)| takes_bodies(item)).map(|(path, _)| path.as_str()).collect();
            format!("the OpenAPI document has no path `{path}`; bodies are taken by {}", known.join(", "))
        })?;
        let operation = item.get(method.to_ascii_lowercase());
        let operation = operation.ok_or_else(|| format!("the OpenAPI document has no {method} for `{path}`"))?;
        let body = operation.get("requestBody").ok_or("the OpenAPI document says that it takes no body")?;
        let body = match body.get("$ref").and_then(Value::as_str) {
            Some(place) => self
                .document
                .pointer(place.trim_start_matches('#'))
                .ok_or_else(|| format!("`{place}` is not in the OpenAPI document"))?,
            None => body,
        };
        let content = body.get("content").and_then(Value::as_object);
        let json = content.into_iter().flatten().find(|(kind, _)| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind == "application/json" || kind.ends_with("+json")
        });
        let (_, json) = json.ok_or("its body is not JSON: give a body, or rows in a file")?;
        json.get("schema").ok_or_else(|| "its body has no schema".to_owned())
    }
}

/// Returns whether a path such as `/items/{id}` stands for `path`.
fn matches(known: &str, path: &str) -> bool {
    let (mut known, mut path) = (known.split('/'), path.split('/'));
    loop {
        match (known.next(), path.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || (a.starts_with('{') && a.ends_with('}')) => {}
            _ => return false,
        }
    }
}
