//! A model loaded in ONNX Runtime.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use drover_core::config::Env;
use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionOutputs};
use ort::value::{PrimitiveTensorElementType, Tensor, TensorRef};

pub use ort;

use crate::classification::Classification;
use crate::library::{self, LibraryError};
use crate::model::{Model, ModelError};

mod graph;

/// The output that a classifier reads.
const PROBABILITIES: &str = "probabilities";

/// A model loaded in ONNX Runtime, for graphs that are no classifiers. It runs one call at a time.
#[derive(Debug)]
pub struct Session {
    model: Model,
    onnx: ort::session::Session,
}

/// A classifier: a session whose output `probabilities` has a column for each label. It runs one
/// call at a time; a pool of classifiers runs more.
pub struct Classifier {
    session: Session,
    labels: Arc<[String]>,
    only_probabilities: RunOptions<HasSelectedOutputs>,
    one: Option<OneRow>,
    features: Vec<f32>,
    ids: Vec<i64>,
}

/// The tensors of a single row of numbers, made once: that saves an eighth of the time of a small
/// model. For more rows it saves nothing.
struct OneRow {
    input: Tensor<f32>,
    into_output: RunOptions<HasSelectedOutputs>,
}

impl Model {
    /// Loads the model: one thread, no spinning, and a graph that is what the card says. Fetches
    /// ONNX Runtime if this machine has none.
    ///
    /// # Errors
    /// [`ModelError::Library`] without ONNX Runtime, [`ModelError::Onnx`] if the file is not a
    /// model, [`ModelError::Graph`] if it is another one than the card says.
    pub fn session(&self) -> Result<Session, ModelError> {
        let environment = environment()?;
        let onnx = load(self, &environment).map_err(|e| onnx_error(self, "load it", &e))?;
        let differences = graph::differences(self.card(), &onnx);
        if differences.is_empty() {
            Ok(Session { model: self.clone(), onnx })
        } else {
            Err(ModelError::Graph { model: self.name().into(), differences })
        }
    }

    /// Loads the model as a classifier.
    ///
    /// # Errors
    /// As [`Model::session`]; [`ModelError::Graph`] too if the card has no output `probabilities`
    /// with a column for each label, or more than one input.
    pub fn classifier(&self) -> Result<Classifier, ModelError> {
        let lacking = graph::lacks_for_classifier(self.card());
        if !lacking.is_empty() {
            return Err(ModelError::Graph { model: self.name().into(), differences: lacking });
        }
        let session = self.session()?;
        let prepared = || -> ort::Result<_> {
            let only = || OutputSelector::no_default().with(PROBABILITIES);
            let one = match graph::columns(self.card()) {
                Some(columns) => {
                    let output = Tensor::<f32>::new(&Allocator::default(), [1, self.labels().len()])?;
                    let into_output = RunOptions::new()?.with_outputs(only().preallocate(PROBABILITIES, output));
                    Some(OneRow { input: Tensor::new(&Allocator::default(), [1, columns])?, into_output })
                }
                None => None,
            };
            Ok((RunOptions::new()?.with_outputs(only()), one))
        };
        let (only_probabilities, one) = prepared().map_err(|e| onnx_error(self, "prepare it", &e))?;
        let labels = self.labels();
        Ok(Classifier { session, labels, only_probabilities, one, features: Vec::new(), ids: Vec::new() })
    }
}

impl Session {
    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the session of ONNX Runtime, to run a graph of any form.
    pub fn onnx(&mut self) -> &mut ort::session::Session {
        &mut self.onnx
    }
}

impl Classifier {
    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> &Model {
        self.session.model()
    }

    /// Classifies rows of `N` numbers; the answers are in the order of the rows.
    ///
    /// # Errors
    /// [`ModelError::Onnx`] or [`ModelError::Shape`] if the model fails: no row has an answer then.
    pub fn classify_features<const N: usize>(
        &mut self,
        rows: impl ExactSizeIterator<Item = [f32; N]>,
    ) -> Result<Vec<Classification>, ModelError> {
        let n = rows.len();
        let mut features = std::mem::take(&mut self.features);
        features.clear();
        features.extend(rows.flatten());
        let answers = if n == 1 && self.one.is_some() {
            self.classify_one(&features).map(|answer| vec![answer])
        } else {
            self.classify([n, N], &features)
        };
        self.features = features;
        answers
    }

    /// Classifies rows of ids, each from 1; shorter rows are filled up with zeros. The answers are
    /// in the order of the rows.
    ///
    /// # Errors
    /// As [`Classifier::classify_features`].
    pub fn classify_ids(&mut self, rows: &[Vec<i64>]) -> Result<Vec<Classification>, ModelError> {
        // A graph may refuse tensors without columns.
        let width = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        for row in rows {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + width - row.len(), 0);
        }
        let answers = self.classify([rows.len(), width], &ids);
        self.ids = ids;
        answers
    }

    fn classify<T>(&mut self, shape: [usize; 2], data: &[T]) -> Result<Vec<Classification>, ModelError>
    where
        T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static,
    {
        let [n, _] = shape;
        if n == 0 {
            return Ok(Vec::new());
        }
        let Session { model, onnx } = &mut self.session;
        let failed = |e: &ort::Error| onnx_error(model, "run it", e);
        let input = TensorRef::from_array_view((shape, data)).map_err(|e| failed(&e))?;
        let outputs = onnx.run_with_options(ort::inputs![input], &self.only_probabilities).map_err(|e| failed(&e))?;
        read(model, &self.labels, &outputs, n)
    }

    fn classify_one(&mut self, features: &[f32]) -> Result<Classification, ModelError> {
        let Session { model, onnx } = &mut self.session;
        let shape = |why| ModelError::Shape { model: model.name().into(), why };
        let Some(OneRow { input, into_output }) = &mut self.one else {
            return Err(shape("it does not take rows of numbers".into()));
        };
        let (_, into) = input.extract_tensor_mut();
        if into.len() != features.len() {
            return Err(shape(format!("it takes rows of {} numbers, was given {}", into.len(), features.len())));
        }
        into.copy_from_slice(features);
        let outputs =
            onnx.run_with_options(ort::inputs![&*input], into_output).map_err(|e| onnx_error(model, "run it", &e))?;
        let mut answers = read(model, &self.labels, &outputs, 1)?;
        answers.pop().ok_or_else(|| shape("it gave no row".into()))
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Classifier").field(&self.session.model).finish()
    }
}

/// Reads `n` rows from the output `probabilities`.
fn read(
    model: &Model,
    labels: &Arc<[String]>,
    outputs: &SessionOutputs<'_>,
    n: usize,
) -> Result<Vec<Classification>, ModelError> {
    let wrong = |why| ModelError::Shape { model: model.name().into(), why };
    let output = outputs.get(PROBABILITIES).ok_or_else(|| wrong(format!("it gave no `{PROBABILITIES}`")))?;
    let (shape, values) = output.try_extract_tensor::<f32>().map_err(|e| onnx_error(model, "read its answer", &e))?;
    if values.len() != n * labels.len() {
        return Err(wrong(format!("it gave {shape} for {n} rows of {} labels", labels.len())));
    }
    let rows = values.chunks_exact(labels.len()).filter_map(|row| Classification::of_row(labels, row));
    Ok(rows.collect())
}

/// Loads a graph for small models and many processes: their throughput is more than any thread
/// pool's, and memory kept for reuse is memory that another instance does not get.
fn load(model: &Model, environment: &Environment) -> ort::Result<ort::session::Session> {
    ort::session::Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_memory_pattern(false)?
        .with_execution_providers([ort::ep::CPU::default().with_arena_allocator(false).build()])?
        .commit_from_file(model.file())
}

/// Makes ONNX Runtime's environment, if its library is here: half of a start, and it needs no model. Why it cannot be
/// made is said to who needs it.
pub(crate) fn prepare() {
    if matches!(library::find(&Env), Ok(Some(_))) {
        let _made = environment();
    }
}

/// Returns ONNX Runtime's environment; there is one in a process, made at the first use.
fn environment() -> Result<Environment, LibraryError> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut made = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*made {
        return Ok(environment.clone());
    }
    let path = library::find_or_fetch(&Env)?;
    let failed = |why: String| LibraryError::Load { path: path.clone(), why };
    let builder = ort::init_from(&path).map_err(|e| match e {
        // The loader's own words come only as the cause.
        ort::LoadDynamicError::Dlopen { error, .. } => {
            failed(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
        }
        other => failed(other.to_string()),
    })?;
    let environment = builder.with_name("drover").with_telemetry(false).build().map_err(|e| failed(e.to_string()))?;
    Ok(made.insert(environment).clone())
}

fn onnx_error(model: &Model, action: &'static str, error: &ort::Error) -> ModelError {
    ModelError::Onnx { model: model.name().into(), action, why: error.message().trim().into() }
}

#[cfg(test)]
mod tests;
