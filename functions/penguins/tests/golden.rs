//! The function answers held-out rows as its trainer's own model does.

use std::env::var_os;
use std::path::{Path, PathBuf};

use drover_testkit::{Instance, golden};

#[tokio::test]
async fn held_out_rows_are_answered_as_the_trainers_own_model_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Instance::command(Path::new(env!("CARGO_BIN_EXE_penguins")));
    command.env("DROVER_MODEL", folder.join("model"));
    let instance = Instance::start(command).await;
    let rows = golden::read(&folder.join("tests/golden.jsonl.gz"));
    golden::check(&instance, &rows, "prediction").await;
}

#[tokio::test]
async fn nothing_is_kept_below_the_home_directory() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Instance::command(Path::new(env!("CARGO_BIN_EXE_penguins")));
    command.env("DROVER_MODEL", Path::new(env!("CARGO_MANIFEST_DIR")).join("model"));
    // ONNX Runtime itself is not fetched anew for this.
    let cache = var_os("XDG_CACHE_HOME").or_else(|| Some(Path::new(&var_os("HOME")?).join(".cache").into()));
    let cache = var_os("DROVER_CACHE_DIR").unwrap_or_else(|| PathBuf::from(cache.unwrap()).join("drover").into());
    command.env("DROVER_CACHE_DIR", cache).env("HOME", home.path()).env_remove("XDG_CACHE_HOME");
    let instance = Instance::start(command).await;
    let body = r#"{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181.0,"body_mass_g":3750.0}"#;
    let url = format!("{}/predict", instance.url);
    let answer = instance.client.post(url).header("content-type", "application/json").body(body).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    // A database of telemetry, for one.
    let kept: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(kept.is_empty(), "{kept:?}");
}
