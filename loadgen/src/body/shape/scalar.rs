//! Reads numbers and texts from a JSON Schema.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Bounds, Format, Kind};

/// The span of a range that the schema leaves open.
const OPEN_SPAN: i32 = 1000;
/// The largest least length of a text or a list that is drawn.
const LEAST_MAX: usize = 1 << 20;
/// Characters of a text that the schema leaves open.
const OPEN_CHARS: usize = 64;

/// A bound of a number, and whether it is excluded.
type Bound = Option<(f64, bool)>;

fn bounds(schema: &Map<String, Value>) -> (Bound, Bound) {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    // OpenAPI 3.0 says with a boolean that the bound itself is excluded; 3.1 has a bound of its own for that.
    let bound = |inclusive: &str, exclusive: &str, tighter: fn(f64, f64) -> bool| {
        let is_open = schema.get(exclusive) == Some(&Value::Bool(true));
        let one = number(inclusive).map(|n| (n, is_open));
        let other = number(exclusive).map(|n| (n, true));
        match (one, other) {
            (Some(a), Some(b)) => Some(if tighter(a.0, b.0) { a } else { b }),
            (a, b) => a.or(b),
        }
    };
    (bound("minimum", "exclusiveMinimum", |a, b| a > b), bound("maximum", "exclusiveMaximum", |a, b| a < b))
}

fn whole(n: f64) -> i128 {
    #[expect(clippy::cast_possible_truncation, reason = "a bound beyond i128 is as good as its end")]
    let whole = n as i128;
    whole
}

pub(super) fn integer(schema: &Map<String, Value>) -> Result<Kind, String> {
    // A bound of more than 53 bits is not exact as a float.
    let exact = |key: &str| {
        let number = schema.get(key)?;
        number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
    };
    let (lower, upper) = bounds(schema);
    let from = lower.map(|(n, open)| match exact("minimum").filter(|_| !open) {
        Some(exact) => exact,
        None if open => whole(n.floor()) + 1,
        None => whole(n.ceil()),
    });
    let to = upper.map(|(n, open)| match exact("maximum").filter(|_| !open) {
        Some(exact) => exact,
        None if open => whole(n.ceil()) - 1,
        None => whole(n.floor()),
    });
    let span = i128::from(OPEN_SPAN);
    let (min, max) = match (from, to) {
        (Some(min), Some(max)) => (min, max),
        (Some(min), None) => (min, min + span),
        (None, Some(max)) => (max - span, max),
        (None, None) => (0, span),
    };
    let (min, max) = (min.max(i64::MIN.into()), max.min(u64::MAX.into()));
    let step = match schema.get("multipleOf").and_then(Value::as_f64) {
        Some(step) if step >= 1.0 && step.fract() == 0.0 => whole(step),
        Some(step) if step > 0.0 && (1.0 / step).fract() == 0.0 => 1,
        Some(step) => return Err(format!("multipleOf {step} cannot be drawn from for an integer")),
        None => 1,
    };
    if max.div_euclid(step) * step < min {
        return Err(format!("no integer is allowed: {}", said(schema)));
    }
    Ok(Kind::Integer { min, max, step, bounds: Bounds { lower: from.is_some(), upper: to.is_some() } })
}

pub(super) fn number(schema: &Map<String, Value>) -> Result<Kind, String> {
    let (lower, upper) = bounds(schema);
    let step = schema.get("multipleOf").and_then(Value::as_f64).filter(|step| *step > 0.0);
    if lower.is_none() && upper.is_none() && step.is_none() {
        let numbers: Vec<_> = examples(schema).into_iter().filter(Value::is_number).collect();
        if !numbers.is_empty() {
            return Ok(Kind::Like(numbers));
        }
    }
    let span = f64::from(OPEN_SPAN);
    let min = lower.map_or_else(|| upper.map_or(0.0, |(max, _)| max - span), |(min, _)| min);
    let max = upper.map_or(min + span, |(max, _)| max);
    let open = Bounds { lower: lower.is_some_and(|(_, open)| open), upper: upper.is_some_and(|(_, open)| open) };
    let no_multiple = step.is_some_and(|step| (max / step).floor() * step < min);
    if min > max || (min == max && (open.lower || open.upper)) || no_multiple {
        return Err(format!("no number is allowed: {}", said(schema)));
    }
    Ok(Kind::Number { min, max, open, step, bounds: Bounds { lower: lower.is_some(), upper: upper.is_some() } })
}

/// Returns what a schema says of a number, for a message.
fn said(schema: &Map<String, Value>) -> String {
    let words = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"];
    let said = words.iter().filter_map(|word| Some(format!("{word} {}", schema.get(*word)?)));
    said.collect::<Vec<_>>().join(", ")
}

pub(super) fn text(schema: &Map<String, Value>) -> Result<Kind, String> {
    let min = count(schema, "minLength")?.unwrap_or(0);
    let max = count(schema, "maxLength")?.unwrap_or(usize::MAX);
    if max < min {
        return Err(format!("minLength {min} is above maxLength {max}"));
    }
    let examples = examples(schema);
    let texts: Vec<&str> = examples.iter().filter_map(Value::as_str).collect();
    let like = |lacking: String| match texts.is_empty() {
        true => Err(format!("{lacking} cannot be drawn from, and it has no example")),
        false => Ok(Kind::Like(texts.iter().map(|&text| text.into()).collect())),
    };
    if let Some(pattern) = schema.get("pattern") {
        return like(format!("its pattern {pattern}"));
    }
    let format = match schema.get("format").and_then(Value::as_str) {
        None => Format::Plain,
        Some("uuid") => Format::Uuid,
        Some("date") => Format::Date,
        Some("date-time") => Format::DateTime,
        Some("email") => Format::Email,
        Some("ipv4") => Format::Ipv4,
        Some("uri" | "url") => Format::Uri,
        Some(other) => return like(format!("its format `{other}`")),
    };
    let longest = texts.iter().map(|text| text.chars().count()).max();
    let usual = longest.map_or(OPEN_CHARS, |longest| 2 * longest).max(min).max(1).min(max);
    let words: Arc<[String]> = texts.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    Ok(Kind::Text { min, max, usual, format, words })
}

pub(super) fn count(schema: &Map<String, Value>, key: &str) -> Result<Option<usize>, String> {
    let Some(value) = schema.get(key) else { return Ok(None) };
    let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
    match count.ok_or_else(|| format!("{key} is {value}, not a count"))? {
        n if n > LEAST_MAX && key.starts_with("min") => Err(format!("{key} is {value}, which is too large to be sent")),
        n => Ok(Some(n)),
    }
}

pub(super) fn examples(schema: &Map<String, Value>) -> Vec<Value> {
    let one = schema.get("example").cloned();
    let all = schema.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
    one.into_iter().chain(all).collect()
}
