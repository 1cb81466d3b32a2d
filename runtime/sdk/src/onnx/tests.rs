use std::path::{Path, PathBuf};

use super::*;
use crate::model::CARD_FILE;

/// A row of the training data of the penguins, and what its sex is.
const ADELIE: [f32; 4] = [39.1, 18.7, 181.0, 3750.0];
const GENTOO: [f32; 4] = [46.1, 13.2, 211.0, 4500.0];

fn penguins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/penguins/model")
}

/// The penguins with a card in which `from` is replaced by `to`.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let card = std::fs::read_to_string(penguins().join(CARD_FILE)).unwrap();
    assert!(card.contains(from));
    std::fs::write(dir.path().join(CARD_FILE), card.replacen(from, to, 1)).unwrap();
    std::fs::copy(penguins().join("model.onnx"), dir.path().join("model.onnx")).unwrap();
    let model = Model::open(dir.path()).unwrap();
    (dir, model)
}

#[track_caller]
fn refused(from: &str, to: &str, line: &str) {
    let (_dir, model) = changed(from, to);
    match model.classifier().unwrap_err() {
        ModelError::Graph { differences, .. } => assert_eq!(differences, [line]),
        other => panic!("{other}"),
    }
}

#[test]
fn rows_are_classified_in_their_order() {
    let mut classifier = Model::open(&penguins()).unwrap().classifier().unwrap();
    let one: Vec<_> = [ADELIE, GENTOO]
        .iter()
        .map(|row| classifier.classify_features([*row].into_iter()).unwrap().remove(0))
        .collect();
    let found: Vec<_> = one.iter().map(|c| c.prediction.as_str()).collect();
    assert_eq!(found, ["MALE", "FEMALE"]);
    for c in &one {
        assert_eq!(c.confidence, c.probabilities.as_slice()[c.prediction.index()]);
        assert!((c.probabilities.as_slice().iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let many = classifier.classify_features([ADELIE, GENTOO, ADELIE].into_iter()).unwrap();
    assert_eq!(many, [one[0].clone(), one[1].clone(), one[0].clone()]);
    assert_eq!(classifier.classify_features(std::iter::empty::<[f32; 4]>()).unwrap(), []);
}

#[test]
fn rows_of_another_width_are_refused_and_leave_the_classifier_usable() {
    let mut classifier = Model::open(&penguins()).unwrap().classifier().unwrap();
    let error = classifier.classify_features([[1.0; 3]].into_iter()).unwrap_err().to_string();
    assert_eq!(error, "model penguins: it takes rows of 4 numbers, was given 3");
    let error = classifier.classify_features([[1.0; 3]; 2].into_iter()).unwrap_err().to_string();
    assert!(error.starts_with("model penguins: cannot run it: "), "{error}");
    let error = classifier.classify_ids(&[vec![1, 2]]).unwrap_err().to_string();
    assert!(error.starts_with("model penguins: cannot run it: "), "{error}");
    assert_eq!(classifier.classify_features([ADELIE].into_iter()).unwrap().len(), 1);
}

#[test]
fn a_graph_that_is_not_what_the_card_says_is_refused() {
    refused(
        "\"features\"",
        "\"measures\"",
        "input 0 is `features` float32 [-1, 4], the card says `measures` float32 [-1, 4]",
    );
    refused("[-1, 4]", "[-1, 5]", "input 0 is `features` float32 [-1, 4], the card says `features` float32 [-1, 5]");
    refused("float32", "int64", "input 0 is `features` float32 [-1, 4], the card says `features` int64 [-1, 4]");
}

#[test]
fn a_card_that_is_not_of_a_classifier_is_refused() {
    let three =
        "a classifier of 3 labels gives `probabilities` float32 [-1, 3], the card says `probabilities` float32 [-1, 2]";
    refused("\"MALE\"", "\"MALE\", \"OTHER\"", three);
    let (_dir, model) = changed("\"MALE\"", "\"MALE\", \"OTHER\"");
    assert!(model.session().is_ok());
}

#[test]
fn a_file_that_is_no_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let card = std::fs::read_to_string(penguins().join(CARD_FILE)).unwrap();
    let (_, sum) = card.split_once("sha256 = \"").unwrap();
    let sum_of_hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    std::fs::write(dir.path().join(CARD_FILE), card.replace(&sum[..64], sum_of_hello)).unwrap();
    std::fs::write(dir.path().join("model.onnx"), "hello").unwrap();
    let error = Model::open(dir.path()).unwrap().session().unwrap_err().to_string();
    assert!(error.starts_with("model penguins: cannot load it: "), "{error}");
}

#[test]
fn shorter_rows_of_ids_are_filled_up_with_zeros() {
    let sentiment = penguins().join("../../sentiment/model");
    let mut classifier = Model::open(&sentiment).unwrap().classifier().unwrap();
    let rows = [vec![3, 7, 20], vec![], vec![65_536]];
    let together = classifier.classify_ids(&rows).unwrap();
    for (row, expected) in rows.iter().zip(&together) {
        let alone = classifier.classify_ids(std::slice::from_ref(row)).unwrap().remove(0);
        assert_eq!(alone.prediction, expected.prediction);
        assert!((alone.confidence - expected.confidence).abs() < 1e-6);
    }
    assert_eq!(classifier.classify_ids(&[]).unwrap(), []);
}
