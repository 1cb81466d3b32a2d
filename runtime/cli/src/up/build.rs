//! Builds the functions of this checkout, and has them fetch the inference library.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::jobs::Source;
use super::terminal::Terminal;

/// Builds `functions` with cargo, whose progress is shown.
pub(super) async fn functions(functions: &[Source], terminal: &Terminal) -> anyhow::Result<()> {
    let mut by_target: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for function in functions {
        // The job says where it wants the binary: in `release` of some target directory.
        let target = function.binary.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
        by_target.entry(target).or_default().push(&function.package);
    }
    for (target, packages) in by_target {
        release(target, &packages, terminal).await?;
    }
    Ok(())
}

/// Builds `packages` of this checkout in `release` of the directory `target`.
pub(super) async fn release(target: &Path, packages: &[&str], terminal: &Terminal) -> anyhow::Result<()> {
    terminal.say(&format!("building {}", packages.join(", ")));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&cargo);
    command.args(["build", "--release", "--target-dir"]).arg(target);
    for package in packages {
        command.args(["-p", package]);
    }
    run(command, "cargo build").await
}

/// Has one of the functions fetch the inference library, if it is not there yet: once for all, before
/// several instances would do so at the same time.
pub(super) async fn fetch_runtime(functions: &[Source]) -> anyhow::Result<()> {
    let Some(function) = functions.first() else { return Ok(()) };
    let mut command = Command::new(&function.binary);
    command.arg("--fetch-runtime").stdout(Stdio::null());
    // As an instance would see it: drover's own settings are none of the function's.
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("DROVER_")) {
        command.env_remove(key);
    }
    command.envs(&function.env);
    run(command, "fetching the inference library").await
}

async fn run(mut command: Command, what: &str) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let program = command.as_std().get_program().to_owned();
    let status = command.status().await.with_context(|| format!("cannot run {}", program.display()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}
