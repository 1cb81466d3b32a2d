//! What a JSON value may look like: [`Shape`].

mod check;
pub(crate) mod draw;
pub(super) mod read;
mod scalar;
mod spoil;

use std::sync::Arc;

use serde_json::{Map, Value};

pub(crate) use self::spoil::NOT_JSON;

/// What a JSON value may look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub(crate) kind: Kind,
    /// Whether it may be null too.
    pub(crate) nullable: bool,
}

/// What a value that is not null may look like.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// One of these, and nothing else.
    Choice(Vec<Value>),
    /// Like these, which are examples: what else is possible is not known.
    Like(Vec<Value>),
    Boolean,
    /// A multiple of `step` between `min` and `max`; `bounds` says which of both the schema has.
    Integer {
        min: i128,
        max: i128,
        step: i128,
        bounds: Bounds,
    },
    /// A number between `min` and `max`; `open` says whether these are excluded.
    Number {
        min: f64,
        max: f64,
        open: Bounds,
        step: Option<f64>,
        bounds: Bounds,
    },
    /// A text of `min` to `max` characters, usually of at most `usual`.
    Text {
        min: usize,
        max: usize,
        usual: usize,
        format: Format,
        words: Arc<[String]>,
    },
    /// An array of `min` to `max` items, usually of at most `usual`.
    List {
        item: Box<Shape>,
        min: usize,
        usual: usize,
        max: Option<usize>,
    },
    Record {
        fields: Vec<Field>,
        /// Whether no other field may be there.
        closed: bool,
    },
    Either(Vec<Shape>),
}

/// Which of a lower and an upper bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    pub(crate) lower: bool,
    pub(crate) upper: bool,
}

/// A field of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Uuid,
    Date,
    DateTime,
    Email,
    Ipv4,
    Uri,
}

impl Shape {
    pub(crate) fn of(kind: Kind) -> Self {
        Self { kind, nullable: false }
    }

    /// Returns the shape of a row, where a row or an array of rows may be sent.
    pub(crate) fn row(self) -> Self {
        match self.kind {
            Kind::Either(mut all) => {
                let row = all.iter().position(|one| !matches!(one.kind, Kind::List { .. })).unwrap_or_default();
                if all.is_empty() { Self::of(Kind::Either(all)) } else { all.swap_remove(row).row() }
            }
            Kind::List { item, .. } => item.row(),
            _ => self,
        }
    }

    /// Returns the fields of an object; none of another shape.
    pub(crate) fn fields(&self) -> &[Field] {
        match &self.kind {
            Kind::Record { fields, .. } => fields,
            _ => &[],
        }
    }

    /// Returns the shape in which the fields of `set` have only these values.
    pub(crate) fn with(&self, set: &Map<String, Value>) -> Result<Self, String> {
        let mut shape = self.clone();
        for (name, value) in set {
            let Kind::Record { fields, closed } = &mut shape.kind else {
                return Err(format!("`{name}` cannot be set: the body is not an object"));
            };
            match fields.iter_mut().find(|field| field.name == *name) {
                Some(field) => {
                    let mut wrong = Vec::new();
                    field.shape.check(value, name, &mut wrong);
                    if let Some(why) = wrong.into_iter().next() {
                        return Err(why);
                    }
                    *field = Field {
                        name: name.clone(),
                        shape: Self::of(Kind::Choice(vec![value.clone()])),
                        required: true,
                    };
                }
                None if *closed => {
                    let known = fields.iter().map(|field| field.name.as_str());
                    return Err(format!("the body has no field `{name}`{}", crate::near::hint(name, known)));
                }
                None => fields.push(Field {
                    name: name.clone(),
                    shape: Self::of(Kind::Choice(vec![value.clone()])),
                    required: true,
                }),
            }
        }
        Ok(shape)
    }
}

#[cfg(test)]
mod tests;
