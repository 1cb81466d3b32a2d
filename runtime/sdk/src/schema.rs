//! The schema of a request or response, made from its type; the one declaration of every field.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The kind of value that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Integer,
    Text,
    Boolean,
}

/// One declared field of a request.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) nullable: bool,
    pub(crate) unit: Option<String>,
    /// Least and greatest number.
    pub(crate) range: Option<(Value, Value)>,
    /// Fewest and most characters.
    pub(crate) length: (u64, u64),
    /// The values of an enumeration; empty for other fields.
    pub(crate) options: Vec<String>,
}

/// A request type that cannot be served, and every reason.
#[derive(Debug, thiserror::Error)]
#[error("the request type cannot be served:\n  {}", .0.join("\n  "))]
pub(crate) struct BadSchema(Vec<String>);

/// The schema of a request: the JSON Schema as published, and its fields.
#[derive(Debug, Clone)]
pub(crate) struct RequestSchema {
    pub(crate) json: Value,
    pub(crate) fields: Vec<Field>,
    /// One valid row, from the examples of the fields.
    pub(crate) example: Value,
}

/// Returns the JSON Schema (draft 2020-12) of `T`, with everything inline.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

impl RequestSchema {
    /// Reads the schema of `T` and checks that every field is bounded and explained.
    pub(crate) fn of<T: JsonSchema>() -> Result<Self, BadSchema> {
        let mut json = of::<T>();
        let mut wrong = Vec::new();
        if json.get("additionalProperties") != Some(&Value::Bool(false)) {
            wrong.push("the struct must say #[serde(deny_unknown_fields)]".to_owned());
        }
        let required: Vec<String> = strings(json.get("required"));
        let properties = json.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        if properties.is_empty() {
            wrong.push("the type must be a struct with named fields".to_owned());
        }
        let mut fields = Vec::new();
        let mut example = Map::new();
        for (name, property) in &properties {
            match field(name, property, required.contains(name)) {
                Ok((field, value)) => {
                    example.insert(name.clone(), value);
                    fields.push(field);
                }
                Err(why) => wrong.extend(why.into_iter().map(|why| format!("field `{name}`: {why}"))),
            }
        }
        if !wrong.is_empty() {
            return Err(BadSchema(wrong));
        }
        let example = Value::Object(example);
        if let Some(object) = json.as_object_mut() {
            object.insert("examples".into(), json!([example]));
        }
        Ok(Self { json, fields, example })
    }
}

/// Reads one property, or says all that its declaration lacks.
fn field(name: &str, property: &Value, required: bool) -> Result<(Field, Value), Vec<String>> {
    let mut wrong = Vec::new();
    let types = strings(property.get("type"));
    let kind = match types.iter().map(String::as_str).find(|t| *t != "null") {
        Some("number") => Some(Kind::Number),
        Some("integer") => Some(Kind::Integer),
        Some("string") => Some(Kind::Text),
        Some("boolean") => Some(Kind::Boolean),
        _ => None,
    };
    let has = |key: &str| property.get(key).is_some();
    let range = property.get("minimum").cloned().zip(property.get("maximum").cloned());
    match kind {
        None => wrong.push("must be a number, string, boolean or an enumeration of strings".to_owned()),
        Some(Kind::Number | Kind::Integer) if range.is_none() => {
            wrong.push("has no range: add #[garde(range(min = .., max = ..))]".to_owned());
        }
        Some(Kind::Text) if !has("maxLength") && !has("enum") => {
            wrong.push("has no length: add #[garde(length(chars, max = ..))]".to_owned());
        }
        Some(_) => {}
    }
    if !has("description") {
        wrong.push("has no meaning: add a doc comment".to_owned());
    }
    let example = property.get("examples").and_then(|list| list.get(0)).cloned();
    if example.is_none() {
        wrong.push("has no example: add #[schemars(example = ..)]".to_owned());
    }
    match (kind, example) {
        (Some(kind), Some(example)) if wrong.is_empty() => {
            let number = |key: &str| property.get(key).and_then(Value::as_u64);
            let field = Field {
                name: name.into(),
                kind,
                required,
                nullable: types.iter().any(|t| t == "null"),
                unit: property.get("x-unit").and_then(Value::as_str).map(str::to_owned),
                range,
                length: (number("minLength").unwrap_or(0), number("maxLength").unwrap_or(u64::MAX)),
                options: strings(property.get("enum")),
            };
            Ok((field, example))
        }
        _ => Err(wrong),
    }
}

/// Returns the strings of a string or of a list of strings.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, JsonSchema, garde::Validate)]
    #[expect(dead_code, reason = "only the declarations are read")]
    struct Loose {
        #[garde(skip)]
        mass: f32,
        /// Colour of the hull.
        #[garde(skip)]
        colour: String,
        /// Sizes of the parts.
        #[garde(skip)]
        #[schemars(example = [1])]
        sizes: Vec<u8>,
    }

    #[test]
    fn an_unbounded_or_unexplained_field_is_refused_with_what_to_add() {
        let BadSchema(wrong) = RequestSchema::of::<Loose>().unwrap_err();
        assert_eq!(
            wrong,
            [
                "the struct must say #[serde(deny_unknown_fields)]",
                "field `mass`: has no range: add #[garde(range(min = .., max = ..))]",
                "field `mass`: has no meaning: add a doc comment",
                "field `mass`: has no example: add #[schemars(example = ..)]",
                "field `colour`: has no length: add #[garde(length(chars, max = ..))]",
                "field `colour`: has no example: add #[schemars(example = ..)]",
                "field `sizes`: must be a number, string, boolean or an enumeration of strings",
            ]
        );
    }
}
