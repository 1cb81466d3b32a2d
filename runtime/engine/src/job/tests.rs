use super::*;
use crate::job::read::load;

#[test]
fn predict() {
    let text = include_str!("../../../../jobs/predict.nomad");
    let mut v = Variables::default();
    v.add("function=covertype").unwrap();
    let loaded = load("jobs/predict.nomad", text, &v).unwrap_or_else(|e| panic!("{e}"));
    println!("{loaded:#?}");
}
