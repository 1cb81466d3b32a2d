//! Golden predictions: what the trainer's own model says of held-out rows, and what the function says.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use crate::Instance;

/// Probabilities may differ by as much as rounding to single precision does over a forest.
const TOLERANCE: f64 = 1e-4;

/// One held-out row and the trainer's answer.
#[derive(Debug, Deserialize)]
pub struct Golden {
    /// The row as a client sends it.
    pub request: Value,
    /// The trainer's label.
    pub prediction: String,
    /// The trainer's probability of each label, in the order of the model card.
    pub probabilities: Vec<f64>,
}

/// Reads a gzipped file of one JSON object a line.
///
/// # Panics
/// If the file cannot be read.
#[must_use]
pub fn read(path: &Path) -> Vec<Golden> {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    lines.map(|line| serde_json::from_str(&line.expect("gzipped text")).expect("a golden row")).collect()
}

/// Sends every golden row to `instance`, in arrays, and checks label and probabilities; `label` is
/// the field of the answer that holds the label.
///
/// # Panics
/// If any row differs: every one of them is listed.
pub async fn check(instance: &Instance, rows: &[Golden], label: &str) {
    assert!(rows.len() >= 500, "only {} golden rows", rows.len());
    let mut differ = Vec::new();
    for part in rows.chunks(250) {
        let body: Vec<&Value> = part.iter().map(|row| &row.request).collect();
        let answer = instance.client.post(format!("{}/predict", instance.url)).json(&body).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        let answers = answer.as_array().unwrap_or_else(|| panic!("no array: {answer}"));
        assert_eq!(answers.len(), part.len());
        for (golden, answer) in part.iter().zip(answers) {
            let own = answer["probabilities"].as_object().expect("probabilities").values();
            let own: Vec<f64> = own.map(|p| p.as_f64().expect("a number")).collect();
            let near = own.len() == golden.probabilities.len()
                && own.iter().zip(&golden.probabilities).all(|(a, b)| (a - b).abs() <= TOLERANCE);
            if answer[label] != golden.prediction.as_str() || !near {
                differ.push(format!("{golden:?} was answered {answer}"));
            }
        }
    }
    assert!(differ.is_empty(), "{} of {} rows differ:\n{}", differ.len(), rows.len(), differ.join("\n"));
}
