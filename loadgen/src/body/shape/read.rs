//! Reads a [`Shape`] from a JSON Schema, or says all that stands in the way.

use serde_json::{Map, Value};

use super::scalar;
use super::{Field, Kind, Shape};

/// Items of a list that the schema leaves open.
const OPEN_ITEMS: usize = 3;
/// The deepest nesting that is followed.
const DEPTH_MAX: usize = 32;
/// Schemas that are read for one body: one that contains itself twice doubles with each nesting.
const SCHEMAS_MAX: usize = 10_000;

/// What says something of values, and is not understood here.
const NOT_UNDERSTOOD: [&str; 9] = [
    "not",
    "if",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "contains",
    "prefixItems",
    "unevaluatedItems",
];

/// Reads the schemas of one document, and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    document: &'a Value,
    wrong: Vec<String>,
    depth: usize,
    n_read: usize,
}

impl<'a> Reader<'a> {
    /// References are looked up in `document`.
    pub(crate) fn new(document: &'a Value) -> Self {
        Self { document, wrong: Vec::new(), depth: 0, n_read: 0 }
    }

    /// Returns every reason why the schemas cannot be drawn from.
    pub(crate) fn wrong(self) -> Vec<String> {
        self.wrong
    }

    /// Reads `schema`, that of the field `at`; empty for the body itself. What it returns is of no use if there is
    /// anything [`wrong`](Self::wrong).
    pub(crate) fn read(&mut self, schema: &Value, at: &str) -> Shape {
        self.n_read += 1;
        self.depth += 1;
        let shape = if self.depth > DEPTH_MAX {
            Err("it contains itself without an end".to_owned())
        } else if self.n_read > SCHEMAS_MAX {
            Err(format!("it is one of more than {SCHEMAS_MAX} schemas, or contains itself"))
        } else {
            self.kinds(schema, at)
        };
        self.depth -= 1;
        shape.unwrap_or_else(|why| {
            let place = if at.is_empty() { "the body".to_owned() } else { format!("field `{at}`") };
            self.wrong.push(format!("{place}: {why}"));
            Shape::of(Kind::Choice(vec![Value::Null]))
        })
    }

    fn kinds(&mut self, schema: &Value, at: &str) -> Result<Shape, String> {
        let schema = self.whole(schema)?;
        if let Some(word) = NOT_UNDERSTOOD.iter().find(|word| schema.contains_key(**word)) {
            return Err(format!("its schema says `{word}`, which cannot be drawn from: give rows in a file"));
        }
        let mut nullable = schema.get("nullable") == Some(&Value::Bool(true));
        let choice = schema.get("enum").and_then(Value::as_array).cloned();
        if let Some(mut all) = schema.get("const").map(|one| vec![one.clone()]).or(choice) {
            nullable |= all.iter().any(Value::is_null);
            all.retain(|one| !one.is_null());
            return match (all.is_empty(), nullable) {
                (true, false) => Err("its enumeration has no values".to_owned()),
                (true, true) => Ok(Shape::of(Kind::Choice(vec![Value::Null]))),
                (false, _) => Ok(Shape { kind: Kind::Choice(all), nullable }),
            };
        }
        let either = ["oneOf", "anyOf"].iter().find_map(|word| schema.get(*word).and_then(Value::as_array));
        if let Some(all) = either {
            let is_null = |one: &Value| one.get("type").and_then(Value::as_str) == Some("null");
            nullable |= all.iter().any(is_null);
            let kinds = all.iter().filter(|one| !is_null(one)).map(|one| self.read(one, at)).collect();
            return Ok(Shape { kind: Kind::Either(kinds), nullable }.simple());
        }
        let mut types = strings(schema.get("type"));
        nullable |= types.iter().any(|t| t == "null");
        types.retain(|t| t != "null");
        if types.is_empty() {
            let examples = scalar::examples(&schema);
            match () {
                () if schema.contains_key("properties") => types.push("object".into()),
                () if schema.contains_key("items") => types.push("array".into()),
                () if !examples.is_empty() => return Ok(Shape { kind: Kind::Like(examples), nullable }),
                () if nullable => return Ok(Shape::of(Kind::Choice(vec![Value::Null]))),
                () => return Err("its schema says neither type nor example".to_owned()),
            }
        }
        let mut kinds = Vec::new();
        for name in types {
            let kind = match name.as_str() {
                "boolean" => Kind::Boolean,
                "integer" => scalar::integer(&schema)?,
                "number" => scalar::number(&schema)?,
                "string" => scalar::text(&schema)?,
                "array" => self.list(&schema, at)?,
                "object" => self.record(&schema, at)?,
                other => return Err(format!("its type is `{other}`, which JSON does not have")),
            };
            kinds.push(Shape::of(kind));
        }
        Ok(Shape { kind: Kind::Either(kinds), nullable }.simple())
    }

    fn list(&mut self, schema: &Map<String, Value>, at: &str) -> Result<Kind, String> {
        let min = scalar::count(schema, "minItems")?.unwrap_or(0);
        let max = scalar::count(schema, "maxItems")?;
        if let Some(max) = max.filter(|max| *max < min) {
            return Err(format!("minItems {min} is above maxItems {max}"));
        }
        let Some(items) = schema.get("items") else {
            return match scalar::examples(schema) {
                all if !all.is_empty() => Ok(Kind::Like(all)),
                _ if min == 0 => Ok(Kind::Choice(vec![Value::Array(Vec::new())])),
                _ => Err("its schema does not say what is in the array".to_owned()),
            };
        };
        let item = Box::new(self.read(items, &format!("{at}[]")));
        Ok(Kind::List { item, min, usual: max.unwrap_or(usize::MAX).min(min + OPEN_ITEMS), max })
    }

    fn record(&mut self, schema: &Map<String, Value>, at: &str) -> Result<Kind, String> {
        let required = strings(schema.get("required"));
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        let mut fields = Vec::new();
        for (name, property) in properties {
            let required = required.contains(name);
            let n_before = self.wrong.len();
            let place = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            let shape = self.read(property, &place);
            if self.wrong.len() > n_before && !required {
                // It need not be sent.
                self.wrong.truncate(n_before);
                continue;
            }
            fields.push(Field { name: name.clone(), shape, required });
        }
        let unknown: Vec<_> = required.iter().filter(|name| !properties.contains_key(*name)).cloned().collect();
        if !unknown.is_empty() {
            return Err(format!("requires `{}`, which it does not describe", unknown.join("`, `")));
        }
        Ok(Kind::Record { fields, closed: schema.get("additionalProperties") == Some(&Value::Bool(false)) })
    }

    /// Returns a schema with what `$ref` and `allOf` stand for in it.
    fn whole(&mut self, schema: &Value) -> Result<Map<String, Value>, String> {
        let mut schema = match schema {
            Value::Object(map) => map.clone(),
            Value::Bool(false) => return Err("its schema lets nothing through".to_owned()),
            _ => Map::new(),
        };
        for _ in 0..DEPTH_MAX {
            let mut parts = Vec::new();
            if let Some(place) = schema.remove("$ref") {
                let place = place.as_str().unwrap_or_default().to_owned();
                let found = place.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer));
                parts.push(found.ok_or_else(|| format!("`{place}` is not in the document"))?.clone());
            }
            if let Some(Value::Array(all)) = schema.remove("allOf") {
                parts.extend(all);
            }
            if parts.is_empty() {
                return Ok(schema);
            }
            for part in parts {
                merge(&mut schema, part)?;
            }
        }
        Err("it contains itself without an end".to_owned())
    }
}

impl Shape {
    /// Returns the only alternative as it is.
    fn simple(self) -> Self {
        match self.kind {
            Kind::Either(mut all) if all.len() == 1 => match all.pop() {
                Some(one) => Self { nullable: one.nullable || self.nullable, ..one },
                None => Self::of(Kind::Either(all)),
            },
            _ => self,
        }
    }
}

/// Adds what `part` demands to `schema`.
fn merge(schema: &mut Map<String, Value>, part: Value) -> Result<(), String> {
    let part = match part {
        Value::Object(part) => part,
        Value::Bool(false) => return Err("its schema lets nothing through".to_owned()),
        _ => return Ok(()),
    };
    for (key, value) in part {
        match (key.as_str(), schema.get_mut(&key), value) {
            ("properties", Some(Value::Object(all)), Value::Object(more)) => all.extend(more),
            ("required" | "allOf", Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            ("minimum" | "minLength" | "minItems", Some(old), new) => {
                if new.as_f64() > old.as_f64() {
                    *old = new;
                }
            }
            ("maximum" | "maxLength" | "maxItems", Some(old), new) => {
                if new.as_f64() < old.as_f64() {
                    *old = new;
                }
            }
            // What stands beside a reference is more exact than what it refers to.
            (_, Some(_), _) => {}
            (_, None, value) => {
                schema.insert(key, value);
            }
        }
    }
    Ok(())
}

/// Returns the strings of a string or of a list of strings.
fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
