//! Makes a valid row invalid, in one known way.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::draw::whole;
use super::{Field, Kind, Shape};

/// What is wrong with a body that is not JSON.
pub(crate) const NOT_JSON: &str = "the body is not JSON";

/// The longest text that is sent only to be too long, in characters.
const TOO_LONG_MAX: usize = 16 * 1024;
/// The longest list that is sent only to be too long.
const TOO_MANY_MAX: usize = 1024;

/// How a row is spoilt.
#[derive(Clone, Copy)]
enum Way {
    NotJson,
    OutOfRange,
    WrongType,
    Missing,
    Unknown,
}

impl Shape {
    /// Spoils `row`, and says what is wrong with it: a value out of its range or of another type, a field that is
    /// missing or that nobody knows, or [`NOT_JSON`], which is left to the caller. Fields of `set` are left alone.
    /// Returns nothing for a row that is not an object.
    pub(crate) fn spoil(&self, mut row: Value, set: &Map<String, Value>, rng: &mut Rng) -> Option<(Value, String)> {
        let Kind::Record { fields, closed } = &self.kind else { return None };
        let record = row.as_object_mut()?;
        let free: Vec<&Field> = fields.iter().filter(|field| !set.contains_key(&field.name)).collect();
        let bounded: Vec<_> = free.iter().filter(|f| out_of_range(&f.shape, &mut rng.clone()).is_some()).collect();
        let required: Vec<_> = free.iter().filter(|field| field.required).collect();
        let ways = [
            Some(Way::NotJson),
            (!bounded.is_empty()).then_some(Way::OutOfRange),
            (!free.is_empty()).then_some(Way::WrongType),
            (!required.is_empty()).then_some(Way::Missing),
            closed.then_some(Way::Unknown),
        ];
        let ways: Vec<Way> = ways.into_iter().flatten().collect();
        let why = match rng.choice(&ways)? {
            Way::NotJson => NOT_JSON.to_owned(),
            Way::OutOfRange => {
                let field = rng.choice(&bounded)?;
                record.insert(field.name.clone(), out_of_range(&field.shape, rng)?);
                format!("`{}` is out of its range", field.name)
            }
            Way::WrongType => {
                let field = rng.choice(&free)?;
                record.insert(field.name.clone(), of_another_type(&field.shape.kind));
                format!("`{}` is of another type", field.name)
            }
            Way::Missing => {
                let field = rng.choice(&required)?;
                record.shift_remove(&field.name);
                format!("`{}` is missing", field.name)
            }
            Way::Unknown => {
                record.insert("not_a_field".to_owned(), json!(1));
                "it has a field that nobody knows".to_owned()
            }
        };
        Some((row, why))
    }
}

/// Returns a value of the right type that is not allowed, if the schema forbids any.
fn out_of_range(shape: &Shape, rng: &mut Rng) -> Option<Value> {
    match &shape.kind {
        Kind::Integer { min, max, bounds, .. } => {
            let (below, above) = (min - 1 - rng.i128(0..1000), max + 1 + rng.i128(0..1000));
            let fits = |n: &i128| !whole(*n).is_null();
            let all = [bounds.lower.then_some(below).filter(fits), bounds.upper.then_some(above).filter(fits)];
            rng.choice(all.into_iter().flatten().collect::<Vec<_>>()).map(whole)
        }
        Kind::Number { min, max, bounds, .. } => {
            // Far enough that a server with fewer digits sees it too.
            let away = (min.abs().max(max.abs()) * (0.1 + rng.f64())).max(1.0);
            let all = [bounds.lower.then_some(min - away), bounds.upper.then_some(max + away)];
            rng.choice(all.into_iter().flatten().filter(|n| n.is_finite()).collect::<Vec<_>>()).map(Value::from)
        }
        Kind::Text { min, max, .. } => {
            let short = min.checked_sub(1).map(|n| "x".repeat(n));
            let too_long = (*max < TOO_LONG_MAX).then(|| "x".repeat(max + 1));
            rng.choice([short, too_long].into_iter().flatten().collect::<Vec<_>>()).map(Value::from)
        }
        Kind::Choice(all) if all.iter().all(Value::is_string) => {
            (0..).map(|n| Value::from(format!("none_of_them_{n}"))).find(|one| !all.contains(one))
        }
        Kind::List { item, min, max, .. } => {
            let too_many = max.filter(|max| *max < TOO_MANY_MAX);
            let too_many = too_many.map(|max| (0..=max).map(|_| item.draw(rng)).collect::<Vec<_>>());
            (*min > 0).then(Vec::new).or(too_many).map(Value::from)
        }
        _ => None,
    }
}

/// Returns a value that is of no type that `kind` allows.
fn of_another_type(kind: &Kind) -> Value {
    match kind {
        Kind::Text { .. } => json!(42),
        Kind::Choice(all) | Kind::Like(all) if all.iter().all(Value::is_string) => json!(42),
        Kind::Either(_) | Kind::Choice(_) | Kind::Like(_) => json!([{ "wrong": "type" }]),
        _ => json!("not of this type"),
    }
}
