//! A function with one field of every kind, that sleeps, fails or panics when asked to.
//!
//! The tests run it as a process. It needs no ONNX Runtime: any file may be its model.

use std::process::ExitCode;
use std::time::Duration;

use drover::{Class, Failure, Function, Model};
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One row of the probe.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Row {
    /// A length.
    #[garde(range(min = 0.0, max = 100.0))]
    #[schemars(extend("x-unit" = "mm"), example = 12.5)]
    length: f32,
    /// A count.
    #[garde(range(min = 0, max = 10))]
    #[schemars(example = 3)]
    count: i64,
    /// A text.
    #[garde(length(chars, min = 1, max = 20))]
    #[schemars(example = &"hola")]
    text: String,
    /// A colour.
    #[garde(skip)]
    #[schemars(example = &"red")]
    colour: Colour,
    /// What to do: nothing special if it is not given.
    #[garde(skip)]
    #[schemars(example = &"answer")]
    #[serde(default)]
    act: Act,
}

#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
    Green,
}

#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Act {
    #[default]
    Answer,
    Sleep,
    Fail,
    Panic,
}

/// What the probe answers.
#[derive(Serialize, JsonSchema)]
struct Echo {
    #[serde(skip)]
    class: Class,
    /// The text, as it came.
    prediction: String,
    /// Rows in the batch that this row was part of.
    batch: usize,
    /// Characters of the text.
    size: f32,
}

impl drover::Response for Echo {
    fn class(&self) -> Option<Class> {
        Some(self.class)
    }
}

struct Probe;

impl Function for Probe {
    const NAME: &'static str = "probe";
    type Request = Row;
    type Response = Echo;

    fn load(_: &Model) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn predict(&mut self, batch: &[Row]) -> Vec<Result<Echo, Failure>> {
        if batch.iter().any(|row| row.act == Act::Sleep) {
            std::thread::sleep(Duration::from_millis(300));
        }
        let answer = |row: &Row| match row.act {
            #[expect(clippy::panic, reason = "that is what was asked for")]
            Act::Panic => panic!("as asked, secretly"),
            Act::Fail => Err(Failure::new("failed as asked, secretly")),
            Act::Answer | Act::Sleep => {
                let size = row.text.chars().count() as f32 + row.length * 0.0 + row.count as f32 * 0.0;
                // The classes of its card are `a` and `b`.
                let class = Class { index: usize::from(matches!(row.colour, Colour::Green)), confidence: 0.75 };
                Ok(Echo { class, prediction: row.text.clone(), batch: batch.len(), size })
            }
        };
        batch.iter().map(answer).collect()
    }
}

fn main() -> ExitCode {
    drover::main::<Probe>()
}
