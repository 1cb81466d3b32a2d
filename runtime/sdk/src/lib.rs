//! All that the author of a function imports.

pub mod classification;
pub mod cpu;
pub mod library;
pub mod model;
pub mod onnx;

pub use classification::{Classification, Label, Probabilities};
pub use model::{Card, Model, ModelError, ModelSource};
pub use onnx::{Classifier, Session};
