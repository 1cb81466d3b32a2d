//! A request that works, from a function's own OpenAPI description.

use serde_json::{Map, Value};

/// Returns an example of the body of `POST /predict`.
pub(super) fn of(openapi: &Value) -> Option<Value> {
    let content = openapi.pointer("/paths/~1predict/post/requestBody/content/application~1json")?;
    let first = |examples: &Value| match examples {
        Value::Object(all) => all.values().next().map(|e| e.get("value").unwrap_or(e).clone()),
        Value::Array(all) => all.first().cloned(),
        _ => None,
    };
    content
        .get("example")
        .cloned()
        .or_else(|| content.get("examples").and_then(first))
        .or_else(|| of_schema(openapi, content.get("schema")?, 0))
}

fn of_schema(openapi: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > 8 {
        return None;
    }
    let deeper = |inner: &Value| of_schema(openapi, inner, depth + 1);
    if let Some(example) = schema.get("example").or_else(|| schema.get("examples")?.as_array()?.first()) {
        return Some(example.clone());
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return deeper(openapi.pointer(reference.strip_prefix('#')?)?);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(found) = schema.get(choice).and_then(Value::as_array).and_then(|all| all.iter().find_map(deeper)) {
            return Some(found);
        }
    }
    let fields = schema.get("properties")?.as_object()?;
    let filled = fields.iter().map(|(name, field)| Some((name.clone(), deeper(field)?)));
    filled.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// Returns the shell line that sends `body` to `url`.
pub(super) fn curl(url: &str, body: &Value) -> String {
    let quoted = body.to_string().replace('\'', r"'\''");
    format!("curl -s {url} -H 'content-type: application/json' -d '{quoted}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_example_is_found_wherever_it_is_declared() {
        let with = |content: Value| {
            json!({
                "paths": { "/predict": { "post": { "requestBody": { "content": { "application/json": content } } } } },
                "components": { "schemas": { "Row": { "properties": {
                    "a": { "examples": [1.5] },
                    "b": { "$ref": "#/components/schemas/Name" },
                } }, "Name": { "example": "it's" } } },
            })
        };
        let wanted = json!({ "a": 1.5, "b": "it's" });
        for content in [
            json!({ "example": wanted }),
            json!({ "examples": { "one": { "value": wanted } } }),
            json!({ "schema": { "$ref": "#/components/schemas/Row" } }),
            json!({ "schema": { "oneOf": [{ "$ref": "#/components/schemas/Row" }, { "type": "array" }] } }),
        ] {
            assert_eq!(of(&with(content.clone())), Some(wanted.clone()), "{content}");
        }
        assert_eq!(of(&with(json!({ "schema": { "properties": { "a": {} } } }))), None);
        assert_eq!(of(&json!({})), None);
        assert_eq!(
            curl("http://h/predict", &wanted),
            r#"curl -s http://h/predict -H 'content-type: application/json' -d '{"a":1.5,"b":"it'\''s"}'"#
        );
    }
}
