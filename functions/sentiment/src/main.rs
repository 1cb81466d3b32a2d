//! Whether a Spanish text is positive or negative.

mod ngrams;

use std::process::ExitCode;

use drover::{Class, Classification, Classifier, Failure, Function, Label, Model, Probabilities};
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One text.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
struct Text {
    /// A text in Spanish; a sentence or a few.
    #[garde(length(chars, max = 5000), custom(not_blank))]
    #[schemars(example = &"Me ha encantado, volveré pronto.")]
    text: String,
}

fn not_blank(text: &str, _: &()) -> garde::Result {
    match text.trim().is_empty() {
        true => Err(garde::Error::new("has nothing to read in it")),
        false => Ok(()),
    }
}

/// How the text sounds.
#[derive(Serialize, JsonSchema)]
struct Sentiment {
    /// Positivo or Negativo.
    prediction: Label,
    /// From 0, surely negative, to 1, surely positive.
    score: f32,
    /// The probability of the prediction, from 0 to 1.
    confidence: f32,
    /// The probability of each.
    probabilities: Probabilities,
}

impl From<Classification> for Sentiment {
    fn from(of: Classification) -> Self {
        let score = of.probabilities.iter().find_map(|(label, p)| (label == "Positivo").then_some(p));
        Self {
            prediction: of.prediction,
            score: score.unwrap_or_default(),
            confidence: of.confidence,
            probabilities: of.probabilities,
        }
    }
}

impl drover::Response for Sentiment {
    fn class(&self) -> Option<Class> {
        Some(Class { index: self.prediction.index(), confidence: self.confidence })
    }
}

struct Reader(Classifier);

impl Function for Reader {
    const NAME: &'static str = "sentiment";
    type Request = Text;
    type Response = Sentiment;

    fn load(model: &Model) -> Result<Self, Failure> {
        Ok(Self(model.classifier()?))
    }

    fn predict(&mut self, batch: &[Text]) -> Vec<Result<Sentiment, Failure>> {
        let ids: Vec<Vec<i64>> = batch.iter().map(|row| ngrams::ids(&row.text)).collect();
        let answers = self.0.classify_ids(&ids);
        drover::each(batch, answers.map(|rows| rows.into_iter().map(Sentiment::from).collect()))
    }
}

fn main() -> ExitCode {
    drover::main::<Reader>()
}
