//! The forest cover type of a 30 x 30 m cell from its map.

mod soil;

use std::process::ExitCode;

use drover::{Class, Classification, Classifier, Failure, Function, Label, Model, Probabilities};
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use soil::Soil;

/// What the map says of a cell of 30 x 30 m in the Roosevelt National Forest.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Cell {
    /// Height above the sea.
    #[garde(range(min = 0.0, max = 5000.0))]
    #[schemars(extend("x-unit" = "m"), example = 2798.0)]
    elevation: f32,
    /// Direction of the slope, clockwise from north.
    #[garde(range(min = 0.0, max = 360.0))]
    #[schemars(extend("x-unit" = "°"), example = 118.0)]
    aspect: f32,
    /// Steepness of the slope.
    #[garde(range(min = 0.0, max = 90.0))]
    #[schemars(extend("x-unit" = "°"), example = 14.0)]
    slope: f32,
    /// Distance to the nearest surface water.
    #[garde(range(min = 0.0, max = 10000.0))]
    #[schemars(extend("x-unit" = "m"), example = 268.0)]
    horizontal_distance_to_hydrology: f32,
    /// Height above the nearest surface water.
    #[garde(range(min = -1000.0, max = 1000.0))]
    #[schemars(extend("x-unit" = "m"), example = 49.0)]
    vertical_distance_to_hydrology: f32,
    /// Distance to the nearest road.
    #[garde(range(min = 0.0, max = 10000.0))]
    #[schemars(extend("x-unit" = "m"), example = 3331.0)]
    horizontal_distance_to_roadways: f32,
    /// Shade index at 9 in the morning at the summer solstice.
    #[garde(range(min = 0.0, max = 255.0))]
    #[schemars(example = 243.0)]
    hillshade_9am: f32,
    /// Shade index at noon at the summer solstice.
    #[garde(range(min = 0.0, max = 255.0))]
    #[schemars(example = 227.0)]
    hillshade_noon: f32,
    /// Shade index at 3 in the afternoon at the summer solstice.
    #[garde(range(min = 0.0, max = 255.0))]
    #[schemars(example = 111.0)]
    hillshade_3pm: f32,
    /// Distance to the nearest point where a wildfire began.
    #[garde(range(min = 0.0, max = 10000.0))]
    #[schemars(extend("x-unit" = "m"), example = 5970.0)]
    horizontal_distance_to_fire_points: f32,
    /// Wilderness area.
    #[garde(skip)]
    #[schemars(example = &"Rawah")]
    wilderness_area: Wilderness,
    /// Soil type.
    #[garde(skip)]
    #[schemars(example = &"C4744")]
    soil_type: Soil,
}

/// A wilderness area; its number is its place here.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
enum Wilderness {
    Cache,
    Commanche,
    Neota,
    Rawah,
}

/// What most likely grows there.
#[derive(Serialize, JsonSchema)]
struct CoverType {
    /// The cover type, 0 to 6 (the data counts from 1).
    #[schemars(range(min = 0, max = 6))]
    prediction: usize,
    /// Its name.
    name: Label,
    /// The probability of that cover type, from 0 to 1.
    confidence: f32,
    /// The probability of each cover type.
    probabilities: Probabilities,
}

impl From<Classification> for CoverType {
    fn from(of: Classification) -> Self {
        Self {
            prediction: of.prediction.index(),
            name: of.prediction,
            confidence: of.confidence,
            probabilities: of.probabilities,
        }
    }
}

impl drover::Response for CoverType {
    fn class(&self) -> Option<Class> {
        Some(Class { index: self.prediction, confidence: self.confidence })
    }
}

struct Covertype(Classifier);

impl Function for Covertype {
    const NAME: &'static str = "covertype";
    type Request = Cell;
    type Response = CoverType;

    fn load(model: &Model) -> Result<Self, Failure> {
        Ok(Self(model.classifier()?))
    }

    fn predict(&mut self, batch: &[Cell]) -> Vec<Result<CoverType, Failure>> {
        let answers = self.0.classify_features(batch.iter().map(features));
        drover::each(batch, answers.map(|rows| rows.into_iter().map(CoverType::from).collect()))
    }
}

/// Returns the columns of the model, in its order.
fn features(cell: &Cell) -> [f32; 12] {
    [
        cell.elevation,
        cell.aspect,
        cell.slope,
        cell.horizontal_distance_to_hydrology,
        cell.vertical_distance_to_hydrology,
        cell.horizontal_distance_to_roadways,
        cell.hillshade_9am,
        cell.hillshade_noon,
        cell.hillshade_3pm,
        cell.horizontal_distance_to_fire_points,
        f32::from(cell.wilderness_area as u8),
        f32::from(cell.soil_type as u8),
    ]
}

fn main() -> ExitCode {
    drover::main::<Covertype>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_have_the_numbers_that_the_model_was_trained_with() {
        let text = include_str!("../model/categories.toml");
        let names = |list: &str| {
            let line = text.lines().find(|line| line.starts_with(list)).unwrap();
            line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let (areas, soils) = (names("wilderness_area"), names("soil_type"));
        assert_eq!((areas.len(), soils.len()), (4, 40));
        for (code, name) in areas.iter().enumerate() {
            let area: Wilderness = serde_json::from_value(name.as_str().into()).unwrap();
            assert_eq!(area as usize, code, "{name}");
        }
        for (code, name) in soils.iter().enumerate() {
            let soil: Soil = serde_json::from_value(name.as_str().into()).unwrap();
            assert_eq!(soil as usize, code, "{name}");
        }
    }
}
