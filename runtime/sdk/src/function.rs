//! What the author of a function writes: [`Function`], with a request and a response type.

use std::fmt;

use garde::Validate;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Classification, Model};

/// A model as a typed function.
///
/// The server makes one value per inference worker, so `predict` has the model to itself.
pub trait Function: Sized + Send + 'static {
    /// The name under which it is called; the model card must carry the same.
    const NAME: &'static str;
    /// One row of input.
    type Request: Request;
    /// The answer to one row.
    type Response: Response;

    /// Loads the model, once per inference worker, before the instance is ready.
    ///
    /// # Errors
    /// Whatever keeps the model from being used: the instance then refuses to start.
    fn load(model: &Model) -> Result<Self, Failure>;

    /// Answers a batch: exactly one result per row, in order.
    ///
    /// Rows of several requests may share a batch. A row that cannot be answered is an `Err` of
    /// its own; a panic is caught, and the requests of that batch are run again one by one so that
    /// only the one that panics fails.
    fn predict(&mut self, batch: &[Self::Request]) -> Vec<Result<Self::Response, Failure>>;
}

/// A row of input: a flat struct whose fields declare range, unit, meaning and example once.
///
/// Implemented for every type that derives `Deserialize`, `JsonSchema` and `Validate`. The server
/// refuses to start unless the struct says `#[serde(deny_unknown_fields)]` and every field is a
/// bounded number, a bounded string, a boolean or an enumeration, with a doc comment and an example.
pub trait Request: DeserializeOwned + JsonSchema + Validate<Context = ()> + Send + 'static {}

impl<T: DeserializeOwned + JsonSchema + Validate<Context = ()> + Send + 'static> Request for T {}

/// The answer to one row: a flat JSON object.
pub trait Response: Serialize + JsonSchema + Send + 'static {
    /// Returns the class that was predicted, for the metrics; `None` for a model that is not a
    /// classifier.
    fn class(&self) -> Option<Class>;
}

/// One of the model card's labels, and how sure the model is of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    /// The place of the label in the card, from 0.
    pub index: usize,
    /// Its probability, from 0 to 1.
    pub confidence: f32,
}

impl Response for Classification {
    fn class(&self) -> Option<Class> {
        Some(Class { index: self.prediction.index(), confidence: self.confidence })
    }
}

/// Why a model could not be loaded, or could not answer a row.
///
/// Made from any error by `?`. The text goes to the log; the client reads only that the model failed.
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl Failure {
    /// Says in words what failed.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into().into())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Gives every row its answer, or every row the failure of the whole batch.
pub fn each<T, R, E>(batch: &[T], answers: Result<Vec<R>, E>) -> Vec<Result<R, Failure>>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(why) => {
            let why = Failure::from(why).to_string();
            batch.iter().map(|_| Err(Failure::new(why.clone()))).collect()
        }
    }
}
