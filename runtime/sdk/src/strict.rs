//! JSON read into a loose value, noting every name that is given twice in one object.

use std::cell::RefCell;
use std::fmt;

use drover_core::FieldError;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::decode::escaped;

/// A loose value, and the names that its objects give more than once.
#[derive(Debug)]
pub(crate) struct Strict {
    pub(crate) value: Value,
    pub(crate) wrong: Vec<FieldError>,
}

/// Reads JSON, to its end; nesting is bounded by `serde_json` (128 levels).
pub(crate) fn parse(text: &[u8]) -> Result<Strict, serde_json::Error> {
    let wrong = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = At { pointer: "", wrong: &wrong }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Strict { value, wrong: wrong.into_inner() })
}

/// The place of a value in its document.
struct At<'a> {
    pointer: &'a str,
    wrong: &'a RefCell<Vec<FieldError>>,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let pointer = format!("{}/{}", self.pointer, list.len());
            match seq.next_element_seed(At { pointer: &pointer, wrong: self.wrong })? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let pointer = format!("{}/{}", self.pointer, escaped(&name));
            let value = map.next_value_seed(At { pointer: &pointer, wrong: self.wrong })?;
            if object.insert(name, value).is_some() {
                self.wrong.borrow_mut().push(FieldError::new(pointer, "is given more than once"));
            }
        }
        Ok(Value::Object(object))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
