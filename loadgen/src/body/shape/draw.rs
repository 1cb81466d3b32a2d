//! Draws values of a [`Shape`].

use fastrand::Rng;
use serde_json::{Map, Value};

use super::{Bounds, Format, Kind, Shape};

/// Letters of a word where no example has words.
const WORD: std::ops::RangeInclusive<usize> = 2..=9;

impl Shape {
    /// Draws a value: numbers evenly between their bounds, with about four digits; texts of the words of their
    /// examples, up to twice as long as the longest; one of an enumeration; each optional field half of the time,
    /// and null in one of ten where that is allowed.
    pub fn draw(&self, rng: &mut Rng) -> Value {
        if self.nullable && rng.u8(0..10) == 0 {
            return Value::Null;
        }
        match &self.kind {
            Kind::Choice(all) | Kind::Like(all) => rng.choice(all).cloned().unwrap_or_default(),
            Kind::Boolean => rng.bool().into(),
            Kind::Integer { min, max, step, .. } => {
                let first = min.div_euclid(*step) + i128::from(min.rem_euclid(*step) != 0);
                whole(rng.i128(first..=max.div_euclid(*step).max(first)) * step)
            }
            Kind::Number { min, max, open, step, .. } => number(rng, *min, *max, *open, *step).into(),
            Kind::Text { min, usual, format, words, .. } => text(rng, *min, *usual, *format, words).into(),
            Kind::List { item, min, usual, .. } => {
                (0..rng.usize(*min..=*usual.max(min))).map(|_| item.draw(rng)).collect()
            }
            Kind::Record { fields, .. } => {
                let mut record = Map::new();
                for field in fields {
                    if field.required || rng.bool() {
                        record.insert(field.name.clone(), field.shape.draw(rng));
                    }
                }
                Value::Object(record)
            }
            Kind::Either(all) => rng.choice(all).map(|one| one.draw(rng)).unwrap_or_default(),
        }
    }
}

/// Returns a whole number as JSON has it; null if it is beyond 64 bits.
pub(super) fn whole(n: i128) -> Value {
    i64::try_from(n).map(Value::from).or_else(|_| u64::try_from(n).map(Value::from)).unwrap_or_default()
}

fn number(rng: &mut Rng, min: f64, max: f64, open: Bounds, step: Option<f64>) -> f64 {
    if let Some(step) = step {
        let (first, last) = ((min / step).ceil(), (max / step).floor());
        return (first + (rng.f64() * (last - first + 1.0)).floor()).min(last) * step;
    }
    let span = max - min;
    if span <= 0.0 {
        return min;
    }
    // As many digits as a person would write: four that the range leaves open.
    let scale = 10f64.powf((4.0 - span.log10().ceil()).clamp(0.0, 300.0));
    for _ in 0..8 {
        // Not `min + share * span`: the span of the widest range is no number.
        let share = rng.f64();
        let exact = min * (1.0 - share) + max * share;
        let rounded = ((exact * scale).round() / scale).clamp(min, max);
        let n = if rounded.is_finite() { rounded } else { exact };
        if (n > min || !open.lower) && (n < max || !open.upper) {
            return n;
        }
    }
    f64::midpoint(min, max)
}

fn text(rng: &mut Rng, min: usize, usual: usize, format: Format, words: &[String]) -> String {
    match format {
        Format::Plain => plain(rng, min, usual, words),
        Format::Uuid => uuid(rng),
        Format::Date => date(rng),
        Format::DateTime => {
            format!("{}T{:02}:{:02}:{:02}Z", date(rng), rng.u8(0..24), rng.u8(0..60), rng.u8(0..60))
        }
        Format::Email => format!("{}@example.com", word(rng)),
        Format::Ipv4 => format!("192.0.2.{}", rng.u8(1..255)),
        Format::Uri => format!("https://example.com/{}", word(rng)),
    }
}

fn plain(rng: &mut Rng, min: usize, usual: usize, words: &[String]) -> String {
    let n_chars = rng.usize(min.max(1).min(usual)..=usual);
    let (mut text, mut n) = (String::new(), 0);
    while n < n_chars {
        if n > 0 {
            text.push(' ');
            n += 1;
        }
        let next = rng.choice(words).cloned().unwrap_or_else(|| word(rng));
        for letter in next.chars().take(n_chars - n) {
            text.push(letter);
            n += 1;
        }
    }
    // White space at the end may be cut off before the text is counted.
    if text.ends_with(' ') {
        text.pop();
        text.push('a');
    }
    text
}

fn word(rng: &mut Rng) -> String {
    (0..rng.usize(WORD)).map(|_| rng.lowercase()).collect()
}

fn date(rng: &mut Rng) -> String {
    format!("20{:02}-{:02}-{:02}", rng.u8(0..30), rng.u8(1..13), rng.u8(1..29))
}

/// Draws a UUID of version 4.
pub(crate) fn uuid(rng: &mut Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let mut text = format!("{bits:032x}");
    for place in [20, 16, 12, 8] {
        text.insert(place, '-');
    }
    text
}
