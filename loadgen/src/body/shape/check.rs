//! Checks a value against a [`Shape`], and reads a cell of a CSV file as one.

use serde_json::{Number, Value};

use super::{Kind, Shape};

impl Shape {
    /// Adds to `wrong` what of `value`, that of the field `at`, does not fit; `at` is empty for the row itself.
    pub(crate) fn check(&self, value: &Value, at: &str, wrong: &mut Vec<String>) {
        if value.is_null() && self.nullable {
            return;
        }
        if let Err(why) = self.fits(value, at, wrong) {
            let place = if at.is_empty() { "the row".to_owned() } else { format!("`{at}`") };
            wrong.push(format!("{place} is {}, {why}", short(value)));
        }
    }

    fn fits(&self, value: &Value, at: &str, wrong: &mut Vec<String>) -> Result<(), String> {
        let expect = |is: bool, what: &str| if is { Ok(()) } else { Err(format!("not {what}")) };
        match &self.kind {
            Kind::Choice(all) => {
                let known: Vec<_> = all.iter().map(short).collect();
                expect(all.contains(value), &format!("one of {}", known.join(", ")))
            }
            Kind::Like(all) => {
                let same_type = |one: &Value| std::mem::discriminant(one) == std::mem::discriminant(value);
                let first = all.first().map(short).unwrap_or_default();
                expect(all.iter().any(same_type), &format!("of the type of {first}"))
            }
            Kind::Boolean => expect(value.is_boolean(), "true or false"),
            Kind::Integer { min, max, bounds, .. } => {
                // JSON Schema takes 3.0 for an integer, and many a server does not.
                let n = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
                let n = n.ok_or_else(|| "not an integer".to_owned())?;
                expect(!bounds.lower || n >= *min, &format!("at least {min}"))?;
                expect(!bounds.upper || n <= *max, &format!("at most {max}"))
            }
            Kind::Number { min, max, bounds, open, .. } => {
                let n = value.as_f64().ok_or_else(|| "not a number".to_owned())?;
                let (least, most) =
                    (if open.lower { "above" } else { "at least" }, if open.upper { "below" } else { "at most" });
                expect(!bounds.lower || n > *min || (n == *min && !open.lower), &format!("{least} {min}"))?;
                expect(!bounds.upper || n < *max || (n == *max && !open.upper), &format!("{most} {max}"))
            }
            Kind::Text { min, max, .. } => {
                let n = value.as_str().ok_or_else(|| "not a text".to_owned())?.chars().count();
                expect(n >= *min, &format!("a text of at least {min} characters"))?;
                expect(n <= *max, &format!("a text of at most {max} characters"))
            }
            Kind::List { item, min, max, .. } => {
                let all = value.as_array().ok_or_else(|| "not an array".to_owned())?;
                all.iter().enumerate().for_each(|(i, one)| item.check(one, &format!("{at}[{i}]"), wrong));
                expect(all.len() >= *min, &format!("an array of at least {min}"))?;
                expect(
                    max.is_none_or(|max| all.len() <= max),
                    &format!("an array of at most {}", max.unwrap_or_default()),
                )
            }
            Kind::Record { fields, closed } => {
                let all = value.as_object().ok_or_else(|| "not an object".to_owned())?;
                let place = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
                for field in fields {
                    match all.get(&field.name) {
                        Some(value) => field.shape.check(value, &place(&field.name), wrong),
                        None if field.required => wrong.push(format!("`{}` is missing", place(&field.name))),
                        None => {}
                    }
                }
                let unknown = all.keys().filter(|name| *closed && fields.iter().all(|field| field.name != **name));
                wrong.extend(unknown.map(|name| {
                    let known = fields.iter().map(|field| field.name.as_str());
                    format!("`{}` is not a field of the request{}", place(name), crate::near::hint(name, known))
                }));
                Ok(())
            }
            Kind::Either(all) => {
                let fits = |one: &Self| {
                    let mut found = Vec::new();
                    one.check(value, at, &mut found);
                    found.is_empty()
                };
                expect(all.iter().any(fits), "of any shape that the schema knows")
            }
        }
    }

    /// Reads the cell of a CSV file as a value of this shape; what does not fit stays a text.
    pub(crate) fn parse(&self, cell: &str) -> Value {
        let text = || Value::from(cell);
        match &self.kind {
            _ if cell.is_empty() && self.nullable => Value::Null,
            Kind::Text { .. } => text(),
            Kind::Choice(all) | Kind::Like(all) if all.iter().any(Value::is_string) => text(),
            Kind::Number { .. } => cell.trim().parse().ok().and_then(Number::from_f64).map_or_else(text, Value::Number),
            Kind::Boolean => match cell.trim() {
                "true" | "True" | "TRUE" => true.into(),
                "false" | "False" | "FALSE" => false.into(),
                _ => text(),
            },
            _ => serde_json::from_str(cell).unwrap_or_else(|_| text()),
        }
    }
}

/// Returns a value as a message shows it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
