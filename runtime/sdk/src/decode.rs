//! A body becomes valid rows, or an error that names every wrong value.
//!
//! The fast path reads straight into the author's type and checks its ranges. Only when that fails
//! is the body read again, as loose JSON against the published schema, to say all that is wrong.

use std::borrow::Cow;

use drover_core::{ErrorKind, FieldError};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::error::Error;
use crate::function::Request;
use crate::schema::{Field, RequestSchema};
use crate::strict::{self, Strict};

/// At most this many wrong values are listed.
const ERRORS_MAX: usize = 100;

/// The rows of one request, and whether they came as an array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rows<T> {
    One(T),
    Many(Vec<T>),
}

/// Reads bodies into rows of one type.
pub(crate) struct Decoder {
    schema: RequestSchema,
    validator: Validator,
    rows_max: usize,
}

impl Decoder {
    /// Makes a decoder for rows of `schema`, at most `rows_max` in one body.
    pub(crate) fn new(schema: RequestSchema, rows_max: usize) -> Result<Self, Box<ValidationError<'static>>> {
        let validator = jsonschema::draft202012::new(&schema.json).map_err(Box::new)?;
        Ok(Self { schema, validator, rows_max })
    }

    pub(crate) fn schema(&self) -> &RequestSchema {
        &self.schema
    }

    /// Reads a body: one row, or an array of rows.
    pub(crate) fn decode<T: Request>(&self, body: &[u8]) -> Result<Rows<T>, Error> {
        match body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'[') => match serde_json::from_slice::<Vec<T>>(body) {
                Ok(rows) if !rows.is_empty() && rows.len() <= self.rows_max && rows.iter().all(|r| r.validate().is_ok()) => {
                    Ok(Rows::Many(rows))
                }
                typed => Err(self.explain(body, typed.err())),
            },
            Some(_) => match serde_json::from_slice::<T>(body) {
                Ok(row) if row.validate().is_ok() => Ok(Rows::One(row)),
                typed => Err(self.explain(body, typed.err())),
            },
            None => Err(Error::new(ErrorKind::BadRequest, "the body is empty, send a JSON object or an array of them")),
        }
    }

    /// Reads rows that are JSON values already.
    pub(crate) fn decode_values<T: Request>(&self, rows: Vec<Value>) -> Result<Vec<T>, Error> {
        self.check_count(rows.len())?;
        let mut typed = Vec::with_capacity(rows.len());
        let mut wrong = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            match T::deserialize(&row) {
                Ok(value) if value.validate().is_ok() => typed.push(value),
                read => self.explain_row(&row, &format!("/{index}"), read.err(), &mut wrong),
            }
            if wrong.len() >= ERRORS_MAX {
                break;
            }
        }
        if wrong.is_empty() { Ok(typed) } else { Err(Error::invalid(wrong)) }
    }

    fn check_count(&self, n_rows: usize) -> Result<(), Error> {
        match n_rows {
            0 => Err(Error::invalid(vec![FieldError::new("", "must hold at least one row, is an empty array")])),
            n if n > self.rows_max => {
                let detail = format!("the body has {n} rows, limit is {}: send it in parts", self.rows_max);
                Err(Error::new(ErrorKind::TooLarge, detail))
            }
            _ => Ok(()),
        }
    }

    /// Says all that is wrong with a body that could not be read into the type.
    fn explain(&self, body: &[u8], typed: Option<serde_json::Error>) -> Error {
        if let Err(e) = std::str::from_utf8(body) {
            let detail = format!("the body is not UTF-8 at byte {}", e.valid_up_to());
            return Error::new(ErrorKind::BadRequest, detail);
        }
        let Strict { value, mut wrong } = match strict::parse(body) {
            Ok(strict) => strict,
            Err(e) => return Error::new(ErrorKind::BadRequest, format!("the body is not JSON: {e}")),
        };
        match &value {
            Value::Array(rows) => {
                if let Err(e) = self.check_count(rows.len()) {
                    return e;
                }
                for (index, row) in rows.iter().enumerate() {
                    self.explain_row(row, &format!("/{index}"), None, &mut wrong);
                }
            }
            row => self.explain_row(row, "", None, &mut wrong),
        }
        if wrong.is_empty() {
            let why = typed.map_or_else(|| "is not valid".to_owned(), |e| format!("is not valid: {e}"));
            wrong.push(FieldError::new("", why));
        }
        wrong.truncate(ERRORS_MAX);
        Error::invalid(wrong)
    }

    /// Adds all that is wrong with one row.
    fn explain_row(&self, row: &Value, at: &str, typed: Option<serde_json::Error>, wrong: &mut Vec<FieldError>) {
        let before = wrong.len();
        for error in self.validator.iter_errors(row).take(ERRORS_MAX) {
            self.explain_error(&error, at, wrong);
        }
        if let (true, Some(e)) = (wrong.len() == before, typed) {
            wrong.push(FieldError::new(at, format!("is not valid: {e}")));
        }
    }

    /// Turns one violation of the schema into words.
    fn explain_error(&self, error: &ValidationError<'_>, at: &str, wrong: &mut Vec<FieldError>) {
        let pointer = format!("{at}{}", error.instance_path().as_str());
        let field = pointer.rsplit('/').next().and_then(|name| self.schema.fields.iter().find(|f| f.name == name));
        let is = shown(error.instance());
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                wrong.push(FieldError::new(format!("{pointer}/{}", escaped(name)), "is missing"));
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.schema.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
                let at_field = |name: &String| format!("{pointer}/{}", escaped(name));
                let unknown = format!("is not a field of this function, which has {known}");
                wrong.extend(unexpected.iter().map(|name| FieldError::new(at_field(name), unknown.clone())));
            }
            ValidationErrorKind::Type { .. } => {
                let kind = field.map_or("an object with the fields of one row", |f| f.kind.words());
                wrong.push(FieldError::new(pointer, format!("must be {kind}, is {is}")));
            }
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
                let range = field.map_or_else(|| error.to_string(), Field::range_words);
                wrong.push(FieldError::new(pointer, format!("must be {range}, is {is}")));
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
                let known = options.iter().map(|o| o.as_str().map_or_else(|| Cow::Owned(o.to_string()), Cow::Borrowed));
                let known = known.collect::<Vec<_>>().join(", ");
                wrong.push(FieldError::new(pointer, format!("must be one of {known}; is {is}")));
            }
            ValidationErrorKind::MaxLength { limit } => {
                let n = error.instance().as_str().map_or(0, |s| s.chars().count());
                wrong.push(FieldError::new(pointer, format!("must have at most {limit} characters, has {n}")));
            }
            ValidationErrorKind::MinLength { limit } => {
                let n = error.instance().as_str().map_or(0, |s| s.chars().count());
                wrong.push(FieldError::new(pointer, format!("must have at least {limit} character(s), has {n}")));
            }
            _ => wrong.push(FieldError::new(pointer, error.to_string())),
        }
    }
}

impl crate::schema::Kind {
    fn words(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Integer => "a whole number",
            Self::Text => "a string",
            Self::Boolean => "true or false",
        }
    }
}

impl Field {
    fn range_words(&self) -> String {
        let unit = self.unit.as_deref().map(|u| format!(" {u}")).unwrap_or_default();
        match &self.range {
            Some((min, max)) => format!("from {min} to {max}{unit}"),
            None => "within its range".to_owned(),
        }
    }
}

/// Shows a value of the client's in few characters.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > 40 => {
            format!("\"{}…\"", text.chars().take(40).collect::<String>())
        }
        other => other.to_string(),
    }
}

/// Escapes a name for a JSON pointer (RFC 6901).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
