//! The function answers held-out rows as its trainer's own model does.

use std::path::Path;

use drover_testkit::{Instance, golden};

#[tokio::test]
async fn held_out_rows_are_answered_as_the_trainers_own_model_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Instance::command(Path::new(env!("CARGO_BIN_EXE_sentiment")));
    command.env("DROVER_MODEL", folder.join("model"));
    let instance = Instance::start(command).await;
    let rows = golden::read(&folder.join("tests/golden.jsonl.gz"));
    golden::check(&instance, &rows, "prediction").await;
}
