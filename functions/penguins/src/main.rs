//! The sex of a penguin from four measurements.

use std::process::ExitCode;

use drover::{Classification, Classifier, Failure, Function, Model};
use garde::Validate;
use schemars::JsonSchema;
use serde::Deserialize;

/// A penguin's measurements.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Penguin {
    /// Length of the bill.
    #[garde(range(min = 10.0, max = 100.0))]
    #[schemars(extend("x-unit" = "mm"), example = 39.1)]
    bill_length_mm: f32,
    /// Depth of the bill.
    #[garde(range(min = 5.0, max = 50.0))]
    #[schemars(extend("x-unit" = "mm"), example = 18.7)]
    bill_depth_mm: f32,
    /// Length of a flipper.
    #[garde(range(min = 100.0, max = 300.0))]
    #[schemars(extend("x-unit" = "mm"), example = 181.0)]
    flipper_length_mm: f32,
    /// Body mass.
    #[garde(range(min = 1000.0, max = 10000.0))]
    #[schemars(extend("x-unit" = "g"), example = 3750.0)]
    body_mass_g: f32,
}

struct Penguins(Classifier);

impl Function for Penguins {
    const NAME: &'static str = "penguins";
    type Request = Penguin;
    type Response = Classification;

    fn load(model: &Model) -> Result<Self, Failure> {
        Ok(Self(model.classifier()?))
    }

    fn predict(&mut self, batch: &[Penguin]) -> Vec<Result<Classification, Failure>> {
        let features = |p: &Penguin| [p.bill_length_mm, p.bill_depth_mm, p.flipper_length_mm, p.body_mass_g];
        drover::each(batch, self.0.classify_features(batch.iter().map(features)))
    }
}

fn main() -> ExitCode {
    drover::main::<Penguins>()
}
