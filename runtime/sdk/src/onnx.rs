//! A model loaded in ONNX Runtime.

use std::sync::Arc;

use crate::classification::Classification;
use crate::model::{Model, ModelError};

/// A model loaded in ONNX Runtime, for graphs that are no classifiers. It runs one call at a time.
#[derive(Debug)]
pub struct Session {
    model: Model,
}

/// A classifier: a session whose output `probabilities` has a column for each label. It runs one
/// call at a time; a pool of classifiers runs more.
#[derive(Debug)]
pub struct Classifier {
    session: Session,
    labels: Arc<[String]>,
}

impl Model {
    /// Loads the model: one thread, no spinning, and a graph that is what the card says.
    ///
    /// # Errors
    /// [`ModelError::Library`] without ONNX Runtime, [`ModelError::Onnx`] if the file is not a
    /// model, [`ModelError::Graph`] if it is another one than the card says.
    pub fn session(&self) -> Result<Session, ModelError> {
        Ok(Session { model: self.clone() })
    }

    /// Loads the model as a classifier.
    ///
    /// # Errors
    /// As [`Model::session`]; [`ModelError::Graph`] too if there is no output `probabilities`
    /// with a column for each label, or not just one input.
    pub fn classifier(&self) -> Result<Classifier, ModelError> {
        Ok(Classifier { session: self.session()?, labels: self.labels() })
    }
}

impl Session {
    /// Returns the model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
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
    /// [`ModelError::Onnx`] or [`ModelError::Output`] if the model fails: no row has an answer then.
    pub fn classify_features<const N: usize>(
        &mut self,
        rows: impl ExactSizeIterator<Item = [f32; N]>,
    ) -> Result<Vec<Classification>, ModelError> {
        let _ = (rows, &self.labels);
        Err(ModelError::Output { model: self.model().name().into(), why: "not written yet".into() })
    }

    /// Classifies rows of ids, each from 1; shorter rows are filled up with zeros. The answers are
    /// in the order of the rows.
    ///
    /// # Errors
    /// As [`Classifier::classify_features`].
    pub fn classify_ids(&mut self, rows: &[Vec<i64>]) -> Result<Vec<Classification>, ModelError> {
        let _ = rows;
        Err(ModelError::Output { model: self.model().name().into(), why: "not written yet".into() })
    }
}
