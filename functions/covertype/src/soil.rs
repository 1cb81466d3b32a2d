//! The soil types that the model knows, as the data names them.

use schemars::JsonSchema;
use serde::Deserialize;

/// A soil type of the United States Forest Service's ELU code; its number is its place here.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum Soil {
    C2702,
    C2703,
    C2704,
    C2705,
    C2706,
    C2717,
    C3501,
    C3502,
    C4201,
    C4703,
    C4704,
    C4744,
    C4758,
    C5101,
    C5151,
    C6101,
    C6102,
    C6731,
    C7101,
    C7102,
    C7103,
    C7201,
    C7202,
    C7700,
    C7701,
    C7702,
    C7709,
    C7710,
    C7745,
    C7746,
    C7755,
    C7756,
    C7757,
    C7790,
    C8703,
    C8707,
    C8708,
    C8771,
    C8772,
    C8776,
}
