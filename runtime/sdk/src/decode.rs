//! A body becomes valid rows, or an error that names every wrong value.
//!
//! The fast path reads straight into the author's type and checks its ranges. Only when that fails
//! is the body read again, as loose JSON against the declared fields, to say all that is wrong.

use drover_core::{ErrorKind, FieldError};
use serde_json::Value;

use crate::error::Error;
use crate::function::Request;
use crate::schema::{Field, Kind, RequestSchema};
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
    rows_max: usize,
}

impl Decoder {
    /// Makes a decoder for rows of `schema`, at most `rows_max` in one body.
    pub(crate) fn new(schema: RequestSchema, rows_max: usize) -> Self {
        Self { schema, rows_max }
    }

    pub(crate) fn schema(&self) -> &RequestSchema {
        &self.schema
    }

    /// Reads a body: one row, or an array of rows.
    pub(crate) fn decode<T: Request>(&self, body: &[u8]) -> Result<Rows<T>, Error> {
        match body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'[') => match serde_json::from_slice::<Vec<T>>(body) {
                Ok(rows)
                    if (1..=self.rows_max).contains(&rows.len()) && rows.iter().all(|row| row.validate().is_ok()) =>
                {
                    Ok(Rows::Many(rows))
                }
                _ => Err(self.explain::<T>(body)),
            },
            Some(_) => match serde_json::from_slice::<T>(body) {
                Ok(row) if row.validate().is_ok() => Ok(Rows::One(row)),
                _ => Err(self.explain::<T>(body)),
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
                _ => self.explain_row::<T>(&row, &format!("/{index}"), &mut wrong),
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
    fn explain<T: Request>(&self, body: &[u8]) -> Error {
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
                    self.explain_row::<T>(row, &format!("/{index}"), &mut wrong);
                }
            }
            row => self.explain_row::<T>(row, "", &mut wrong),
        }
        wrong.truncate(ERRORS_MAX);
        Error::invalid(wrong)
    }

    /// Adds all that is wrong with one row.
    fn explain_row<T: Request>(&self, row: &Value, at: &str, wrong: &mut Vec<FieldError>) {
        let Value::Object(given) = row else {
            wrong.push(FieldError::new(at, format!("must be an object with the fields of one row, is {}", shown(row))));
            return;
        };
        let before = wrong.len();
        let fields = &self.schema.fields;
        for field in fields {
            let why = match given.get(&field.name) {
                Some(value) => field.refuses(value),
                None => field.required.then(|| "is missing".to_owned()),
            };
            wrong.extend(why.map(|why| FieldError::new(format!("{at}/{}", escaped(&field.name)), why)));
        }
        for name in given.keys().filter(|name| fields.iter().all(|f| f.name != **name)) {
            let known = fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
            let why = format!("is not a field of this function, which has {known}");
            wrong.push(FieldError::new(format!("{at}/{}", escaped(name)), why));
        }
        if wrong.len() == before {
            // Rules of the author's own, which the schema does not know.
            match T::deserialize(row).map(|row| row.validate()) {
                Err(e) => wrong.push(FieldError::new(at, format!("is not valid: {e}"))),
                Ok(Err(report)) => {
                    wrong.extend(report.iter().map(|(path, e)| FieldError::new(format!("{at}/{path}"), e.message())));
                }
                Ok(Ok(())) => {}
            }
        }
    }
}

impl Field {
    /// Says what is wrong with a value of this field, if anything is.
    fn refuses(&self, value: &Value) -> Option<String> {
        let is = shown(value);
        let (of_kind, words) = match self.kind {
            Kind::Number => (value.is_number(), "a number"),
            Kind::Integer => (value.is_i64() || value.is_u64(), "a whole number"),
            Kind::Text => (value.is_string(), "a string"),
            Kind::Boolean => (value.is_boolean(), "true or false"),
        };
        if value.is_null() && self.nullable {
            return None;
        }
        if !of_kind {
            return Some(format!("must be {words}, is {is}"));
        }
        if let (Some((min, max)), Some(number)) = (&self.range, value.as_f64())
            && !(min.as_f64()..=max.as_f64()).contains(&Some(number))
        {
            let unit = self.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
            return Some(format!("must be from {min} to {max}{unit}, is {is}"));
        }
        let text = value.as_str()?;
        if !self.options.is_empty() && self.options.iter().all(|option| option != text) {
            return Some(format!("must be one of {}; is {is}", self.options.join(", ")));
        }
        let n = text.chars().count() as u64;
        match self.length {
            (min, _) if n < min => Some(format!("must have at least {min} character(s), has {n}")),
            (_, max) if n > max => Some(format!("must have at most {max} characters, has {n}")),
            _ => None,
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
