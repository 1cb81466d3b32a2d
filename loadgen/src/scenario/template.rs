//! Texts with `{{name}}` in them, taken apart before the run begins.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::Value;

use crate::body::shape::draw::uuid;
use crate::work::Failure;

/// A text with values in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Value(Expression, Form),
}

/// What stands between `{{` and `}}`.
#[derive(Debug, Clone, PartialEq)]
enum Expression {
    /// A value that an answer gave: its place among the user's.
    Kept(usize),
    /// A field of this iteration's row of a file.
    Cell {
        data: usize,
        column: String,
    },
    Uuid,
    Int(i64, i64),
    Iteration,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Text,
    /// In a path or query.
    Url,
    /// Inside a JSON string.
    JsonText,
    /// As JSON.
    Json,
}

/// The names that templates may use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Values that never change.
    pub(super) constants: BTreeMap<String, Value>,
    /// Values that answers give, by their place.
    pub(super) kept: Vec<String>,
    /// Files of rows, by their place, each with its columns.
    pub(super) data: Vec<(String, Vec<String>)>,
}

/// What a user knows when a text is made.
pub(super) trait Scope {
    /// Returns a value that an answer gave.
    fn kept(&self, place: usize) -> Result<&Value, Failure>;
    /// Returns this iteration's row of a file.
    fn row(&mut self, data: usize) -> &Value;
    /// Returns what draws.
    fn rng(&mut self) -> &mut Rng;
    /// Returns the number of this iteration, from 1.
    fn iteration(&self) -> u64;
}

impl Template {
    /// Takes `text` apart.
    pub(super) fn new(text: &str, form: Form, names: &Names) -> Result<Self, String> {
        let mut template = Self { parts: Vec::new() };
        template.add(text, form, names)?;
        Ok(template)
    }

    /// Takes a JSON value apart. A string that is nothing but `{{name}}` becomes the value itself, whatever its type.
    pub(super) fn of_json(value: &Value, names: &Names) -> Result<Self, String> {
        let mut template = Self { parts: Vec::new() };
        template.add_json(value, names)?;
        Ok(template)
    }

    /// Returns the text if nothing in it changes.
    pub(super) fn fixed(&self) -> Option<Bytes> {
        match self.parts.as_slice() {
            [] => Some(Bytes::new()),
            [Part::Text(text)] => Some(text.clone().into()),
            _ => None,
        }
    }

    /// Makes the text.
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<Bytes, Failure> {
        let mut out = Vec::with_capacity(256);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Value(expression, form) => match expression {
                    Expression::Kept(place) => write(scope.kept(*place)?, *form, &mut out),
                    Expression::Cell { data, column } => {
                        write(scope.row(*data).get(column).unwrap_or(&Value::Null), *form, &mut out);
                    }
                    Expression::Uuid => write(&uuid(scope.rng()).into(), *form, &mut out),
                    Expression::Int(least, most) => write(&scope.rng().i64(*least..=*most).into(), *form, &mut out),
                    Expression::Iteration => write(&scope.iteration().into(), *form, &mut out),
                },
            }
        }
        Ok(out.into())
    }

    fn literal(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn add(&mut self, text: &str, form: Form, names: &Names) -> Result<(), String> {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) =
                after.split_once("}}").ok_or_else(|| format!("`{{{{{after}` has no `}}}}` at its end"))?;
            self.add_text(before, form);
            self.value(inside.trim(), form, names)?;
            rest = after;
        }
        self.add_text(rest, form);
        Ok(())
    }

    /// Adds what the author of the scenario wrote: in a path it is as it should be already.
    fn add_text(&mut self, text: &str, form: Form) {
        match form {
            Form::Text | Form::Url | Form::Json => self.literal(text),
            Form::JsonText => {
                let mut out = Vec::new();
                write(&text.into(), form, &mut out);
                self.literal(&String::from_utf8_lossy(&out));
            }
        }
    }

    fn add_json(&mut self, value: &Value, names: &Names) -> Result<(), String> {
        match value {
            Value::String(text) => match text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
                Some(inside) if !inside.contains("{{") => self.value(inside.trim(), Form::Json, names)?,
                _ => {
                    self.literal("\"");
                    self.add(text, Form::JsonText, names)?;
                    self.literal("\"");
                }
            },
            Value::Array(all) => {
                for (i, one) in all.iter().enumerate() {
                    self.literal(if i == 0 { "[" } else { "," });
                    self.add_json(one, names)?;
                }
                self.literal(if all.is_empty() { "[]" } else { "]" });
            }
            Value::Object(all) => {
                for (i, (key, one)) in all.iter().enumerate() {
                    self.literal(if i == 0 { "{\"" } else { ",\"" });
                    self.add(key, Form::JsonText, names)?;
                    self.literal("\":");
                    self.add_json(one, names)?;
                }
                self.literal(if all.is_empty() { "{}" } else { "}" });
            }
            scalar => self.literal(&scalar.to_string()),
        }
        Ok(())
    }

    fn value(&mut self, inside: &str, form: Form, names: &Names) -> Result<(), String> {
        if let Some(constant) = names.constants.get(inside) {
            let mut out = Vec::new();
            write(constant, form, &mut out);
            self.literal(&String::from_utf8_lossy(&out));
            return Ok(());
        }
        let expression = expression(inside, names)?;
        self.parts.push(Part::Value(expression, form));
        Ok(())
    }
}

fn expression(inside: &str, names: &Names) -> Result<Expression, String> {
    if let Some(place) = names.kept.iter().position(|name| name == inside) {
        return Ok(Expression::Kept(place));
    }
    if let Some(function) = inside.strip_prefix('$') {
        return match function.split_once('(') {
            None if function == "uuid" => Ok(Expression::Uuid),
            None if function == "iteration" => Ok(Expression::Iteration),
            Some(("int", range)) => {
                let range = range.strip_suffix(')').and_then(|range| range.split_once(','));
                let range = range.and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
                match range {
                    Some((least, most)) if least <= most => Ok(Expression::Int(least, most)),
                    _ => Err(format!("`{inside}` should be such as $int(1, 100)")),
                }
            }
            _ => Err(format!("`{inside}` is none of $uuid, $int(1, 100), $iteration")),
        };
    }
    if let Some((name, column)) = inside.split_once('.')
        && let Some(place) = names.data.iter().position(|(known, _)| known == name)
    {
        let columns = names.data.get(place).map(|(_, columns)| columns.as_slice()).unwrap_or_default();
        if columns.iter().any(|known| known == column) {
            return Ok(Expression::Cell { data: place, column: column.to_owned() });
        }
        return Err(format!(
            "`{name}` has no column `{column}`{}",
            crate::near::hint(column, columns.iter().map(String::as_str))
        ));
    }
    let data =
        names.data.iter().flat_map(|(name, columns)| columns.iter().map(move |column| format!("{name}.{column}")));
    let known: Vec<String> = names.constants.keys().chain(&names.kept).cloned().chain(data).collect();
    let hint = crate::near::hint(inside, known.iter().map(String::as_str));
    Err(format!("`{{{{{inside}}}}}` is in no vars, data or extract{hint}"))
}

/// Writes a value; a text without its quotes, unless JSON is wanted.
fn write(value: &Value, form: Form, out: &mut Vec<u8>) {
    match (form, value) {
        (Form::Json, value) => out.extend_from_slice(value.to_string().as_bytes()),
        (Form::Text, Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        (Form::Text, value) => out.extend_from_slice(value.to_string().as_bytes()),
        (Form::JsonText, value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let quoted = Value::from(text).to_string();
            let inside = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            out.extend_from_slice(inside.unwrap_or_default().as_bytes());
        }
        (Form::Url, value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                    out.push(byte);
                } else {
                    out.extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct User {
        kept: Vec<Option<Value>>,
        row: Value,
        rng: Rng,
    }

    impl Scope for User {
        fn kept(&self, place: usize) -> Result<&Value, Failure> {
            let missing = || Failure { kind: "extract".into(), detail: "no value yet".into() };
            self.kept[place].as_ref().ok_or_else(missing)
        }

        fn row(&mut self, _: usize) -> &Value {
            &self.row
        }

        fn rng(&mut self) -> &mut Rng {
            &mut self.rng
        }

        fn iteration(&self) -> u64 {
            7
        }
    }

    fn names() -> Names {
        Names {
            constants: [("colour".to_owned(), json!("re\"d"))].into(),
            kept: vec!["id".into(), "none".into()],
            data: vec![("rows".into(), vec!["name".into(), "mass".into()])],
        }
    }

    fn user() -> User {
        let row = json!({"name": "Ñandú 1/2", "mass": 3.5});
        User { kept: vec![Some(json!({"a": [1]})), None], row, rng: Rng::with_seed(1) }
    }

    fn made(text: &str, form: Form) -> String {
        let made = Template::new(text, form, &names()).unwrap().render(&mut user()).unwrap();
        String::from_utf8(made.to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_their_place_needs() {
        assert_eq!(made("/a/{{rows.name}}?m={{ rows.mass }}", Form::Url), "/a/%C3%91and%C3%BA%201%2F2?m=3.5");
        assert_eq!(made("{{colour}} {{rows.name}} {{id}}", Form::Text), "re\"d Ñandú 1/2 {\"a\":[1]}");
        assert_eq!(made("no. {{$iteration}}", Form::Text), "no. 7");
        let n: i64 = made("{{$int(3, 5)}}", Form::Text).parse().unwrap();
        assert!((3..=5).contains(&n));
        assert_eq!(made("{{$uuid}}", Form::Text).len(), 36);
    }

    #[test]
    fn json_keeps_the_types_of_values_and_stays_json() {
        let body =
            json!({"mass": "{{rows.mass}}", "text": "a {{colour}} {{rows.name}}", "id": "{{id}}", "n": [1, [], {}]});
        let made = Template::of_json(&body, &names()).unwrap().render(&mut user()).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        let expected = json!({"mass": 3.5, "text": "a re\"d Ñandú 1/2", "id": {"a": [1]}, "n": [1, [], {}]});
        assert_eq!(made, expected);
    }

    #[test]
    fn what_never_changes_is_made_once() {
        assert_eq!(Template::new("/a/{{colour}}", Form::Url, &names()).unwrap().fixed().unwrap(), "/a/re%22d");
        assert_eq!(Template::new("{{id}}", Form::Url, &names()).unwrap().fixed(), None);
    }

    #[test]
    fn a_name_that_nothing_gives_is_told() {
        let wrong = |text: &str| Template::new(text, Form::Text, &names()).unwrap_err();
        assert_eq!(wrong("{{colur}}"), "`{{colur}}` is in no vars, data or extract; near: `colour`");
        assert_eq!(wrong("{{rows.nmae}}"), "`rows` has no column `nmae`; near: `name`");
        assert_eq!(wrong("{{id"), "`{{id` has no `}}` at its end");
        assert_eq!(wrong("{{$int(5,1)}}"), "`$int(5,1)` should be such as $int(1, 100)");
        assert_eq!(wrong("{{$now}}"), "`$now` is none of $uuid, $int(1, 100), $iteration");
        let missing = Template::new("{{none}}", Form::Text, &names()).unwrap().render(&mut user()).unwrap_err();
        assert_eq!(missing.kind, "extract");
    }
}
