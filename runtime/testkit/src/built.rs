//! The binaries of this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the root of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", root.display()))
}

/// Builds `packages` as this test was built, and returns the directory in which their binaries are.
///
/// # Panics
/// If they do not build.
#[must_use]
pub fn built(packages: &[&str]) -> PathBuf {
    let mut args = vec!["build", "--quiet"];
    args.extend(packages.iter().flat_map(|package| ["--package", package]));
    build(&args)
}

/// Builds an example of `package` as this test was built, and returns its binary.
///
/// # Panics
/// If it does not build.
#[must_use]
pub fn built_example(package: &str, example: &str) -> PathBuf {
    build(&["build", "--quiet", "--package", package, "--example", example]).join("examples").join(example)
}

fn build(args: &[&str]) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_else(|e| panic!("{e}"));
    // target/PROFILE/deps/test
    let Some(dir) = own.parent().and_then(Path::parent) else { panic!("{} is no test", own.display()) };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(checkout()).args(args);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // What cargo says to this test of its own package; build scripts that look at it, such as ring's, would run again
    // in this build and in the next one without it, and half of the tree with them.
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(|key| key.starts_with("CARGO_PKG_") || key.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(key);
        }
    }
    if let Some(target) = dir.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?} failed");
    dir.into()
}
