//! All that the author of a function imports.
//!
//! A function is one binary with one model in it. Its author declares a request, says how the model
//! answers a batch of them, and calls [`main`]:
//!
//! ```no_run
//! use drover::{Classification, Classifier, Failure, Function, Model};
//! use drover::{JsonSchema, Validate};
//! use serde::Deserialize;
//!
//! /// A penguin's measurements.
//! #[derive(Deserialize, JsonSchema, Validate)]
//! #[serde(deny_unknown_fields)]
//! struct Penguin {
//!     /// Length of the bill.
//!     #[garde(range(min = 10.0, max = 100.0))]
//!     #[schemars(extend("x-unit" = "mm"), example = 39.1)]
//!     bill_length_mm: f32,
//! }
//!
//! struct Penguins(Classifier);
//!
//! impl Function for Penguins {
//!     const NAME: &'static str = "penguins";
//!     type Request = Penguin;
//!     type Response = Classification;
//!
//!     fn load(model: &Model) -> Result<Self, Failure> {
//!         Ok(Self(model.classifier()?))
//!     }
//!
//!     fn predict(&mut self, batch: &[Penguin]) -> Vec<Result<Classification, Failure>> {
//!         drover::each(batch, self.0.classify_features(batch.iter().map(|p| [p.bill_length_mm])))
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     drover::main::<Penguins>()
//! }
//! ```
//!
//! That declaration of each field is its validation, its JSON Schema, the OpenAPI page and what load
//! generators send. The server does the rest: batching, limits, deadlines, metrics, drain.

pub mod batch;
mod body;
pub mod classification;
pub mod config;
pub mod cpu;
mod decode;
mod drift;
mod error;
mod function;
#[cfg(feature = "lambda")]
mod lambda;
pub mod library;
mod load;
mod log;
mod memory;
mod metrics;
pub mod model;
pub mod onnx;
mod schema;
mod server;
mod service;
mod slots;
mod start;
mod strict;

pub use classification::{Classification, Label, Probabilities};
pub use drift::FieldProfile;
pub use function::{Class, Failure, Function, Request, Response, each};
pub use garde::{self, Validate};
pub use model::{Card, Model, ModelError, ModelSource};
pub use onnx::{Classifier, Session};
pub use schemars::{self, JsonSchema};
pub use server::{ServeError, run};
pub use start::main;

/// Settings that other parts than [`config::Config`] read.
const READ_ELSEWHERE: [&str; 4] = ["DROVER_CPU", "DROVER_CORE_MHZ", "DROVER_CACHE_DIR", "DROVER_LOG"];

/// The allocator of the whole process. ONNX Runtime allocates through it too, since its symbols are the C library's:
/// a start takes a sixth less CPU than with the C library's own, which is most of what Drover can do about it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
