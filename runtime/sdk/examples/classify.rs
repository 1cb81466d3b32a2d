//! Times a classifier without any server:
//! `cargo run --release --example classify -- functions/penguins/model`.
//!
//! Each batch has rows of its own kind: a forest that meets the same row again and again looks
//! better than it is, since the processor learns the way through its trees.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use drover::{Classifier, Model};

const ROUNDS: u32 = 400;
const CALLS: u32 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: classify MODEL")?;
    let began = Instant::now();
    let model = Model::open(Path::new(&path))?;
    println!("{} {}: read and checked in {:.1?}", model.name(), model.version(), began.elapsed());
    let mut classifier = model.classifier()?;
    println!("ready after {:.1?}", began.elapsed());
    let shape = &model.card().inputs.first().ok_or("the card has no input")?.shape;
    match shape.as_slice() {
        [-1, 4] => table::<4>(&mut classifier)?,
        [-1, 12] => table::<12>(&mut classifier)?,
        [-1, -1] => ids(&mut classifier)?,
        other => return Err(format!("no rows for an input of shape {other:?}").into()),
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    Ok(())
}

fn table<const N: usize>(classifier: &mut Classifier) -> Result<(), Box<dyn Error>> {
    let rows: Vec<[f32; N]> = (0..4096).map(row).collect();
    report(&rows, |batch| classifier.classify_features(batch.iter().copied()).map(|answers| answers.len()))
}

fn ids(classifier: &mut Classifier) -> Result<(), Box<dyn Error>> {
    let rows: Vec<Vec<i64>> =
        (0..4096).map(|n| (0..120).map(|column| 1 + number(120 * n + column)).collect()).collect();
    report(&rows, |batch| classifier.classify_ids(batch).map(|answers| answers.len()))
}

/// Prints the best of many rounds, over batches of several sizes.
fn report<R, E: Error + 'static>(
    rows: &[R],
    mut run: impl FnMut(&[R]) -> Result<usize, E>,
) -> Result<(), Box<dyn Error>> {
    for size in [1, 8, 32, 64] {
        let mut batches = rows.chunks_exact(size).cycle();
        let mut best = f64::MAX;
        for _ in 0..ROUNDS {
            let began = Instant::now();
            for batch in batches.by_ref().take(CALLS as usize) {
                run(batch)?;
            }
            best = best.min(began.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
        }
        println!("{size:3} rows: {best:8.2} us, {:6.2} us a row", best / size as f64);
    }
    Ok(())
}

fn row<const N: usize>(n: usize) -> [f32; N] {
    std::array::from_fn(|column| number((n * N + column) as i64) as f32)
}

/// Returns a number from 0 to 7,999 that looks random and is the same in each run.
fn number(n: i64) -> i64 {
    n * 2_654_435_761 % 8_000
}
