//! What holds for the whole tree and no compiler checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use drover_core::ErrorKind;

/// The most lines of a source file.
const LINES_MAX: usize = 400;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(root().join(path))
}

/// Returns the directory of every crate.
fn crates() -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for parent in ["runtime", "functions"] {
        for entry in fs::read_dir(root().join(parent))? {
            found.push(entry?.path());
        }
    }
    found.retain(|dir| dir.join("Cargo.toml").is_file());
    Ok(found)
}

/// Returns every file below `dir`, but what is built and what is hidden.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let (name, path) = entry.map(|e| (e.file_name(), e.path()))?;
        let is_ours = |name: &str| {
            name == ".ci" || !(name.starts_with('.') || ["target", "__pycache__", "node_modules"].contains(&name))
        };
        if !name.to_str().is_some_and(is_ours) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// Returns the words of `text` that begin with `prefix`.
fn words<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|w| w.len() > prefix.len() && w.starts_with(prefix)).collect()
}

/// Returns what stands between two `quote`s and is the name of a metric.
fn metrics(text: &str, quote: char) -> BTreeSet<&str> {
    let is_metric = |w: &&str| w.starts_with("drover_") || w.starts_with("process_");
    text.split(quote).filter(is_metric).filter(|w| words(w, "") == BTreeSet::from([*w])).collect()
}

#[test]
fn every_source_file_says_what_it_is_for_and_is_short() {
    let mut wrong = Vec::new();
    for dir in crates().unwrap() {
        for file in files(&dir.join("src")).unwrap() {
            if file.extension().is_none_or(|e| e != "rs") || file.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            if !text.starts_with("//!") {
                wrong.push(format!("{}: does not begin with its documentation", file.display()));
            }
            let n_lines = text.lines().count();
            if n_lines > LINES_MAX {
                wrong.push(format!("{}: {n_lines} lines, at most {LINES_MAX}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    for dir in crates().unwrap() {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{}", dir.display());
    }
}

#[test]
fn the_readme_names_every_setting_and_no_other() {
    let sources = [
        "runtime/sdk/src/start.rs",
        "runtime/sdk/src/lib.rs",
        "runtime/cli/src/args.rs",
        "runtime/cli/src/args/gateway.rs",
        "runtime/cli/src/args/feedback.rs",
    ];
    let known = sources.map(|path| read(path).unwrap()).concat();
    let readme = read("README.md").unwrap();
    assert_eq!(words(&readme, "DROVER_"), words(&known, "DROVER_"));
}

#[test]
fn the_readme_names_every_metric_and_no_other() {
    let sources = [
        "runtime/sdk/src/metrics.rs",
        "runtime/telemetry/src/process.rs",
        "runtime/gateway/src/metrics.rs",
        "runtime/feedback/src/metrics.rs",
    ];
    let sources = sources.map(|path| read(path).unwrap());
    let readme = read("README.md").unwrap();
    assert_eq!(metrics(&readme, '`'), metrics(&sources.concat(), '"'));
}

#[test]
fn the_readme_names_every_kind_of_error_with_its_status() {
    let readme = read("README.md").unwrap();
    for kind in ErrorKind::ALL {
        let row = format!("| {} | `{kind}` |", kind.status());
        assert!(readme.contains(&row), "no row `{row}`");
    }
}

#[test]
fn the_readme_shows_a_function_as_it_is() {
    let function = read("functions/penguins/src/main.rs").unwrap();
    assert!(read("README.md").unwrap().contains(&format!("```rust\n{function}```\n")));
    assert!(function.lines().count() <= 60);
}

#[test]
fn nothing_names_a_place_of_one_machine() {
    let mut places: Vec<String> = ["home", "root", "Users"].map(|dir| format!("/{dir}/")).into();
    // Where this checkout is, unless that is such a word as /src.
    let here = root().canonicalize().unwrap();
    places.extend(here.to_str().filter(|path| path.matches('/').count() > 1).map(str::to_owned));
    for file in files(&root()).unwrap() {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for place in &places {
            assert!(!text.contains(place), "{} names {place}", file.display());
        }
    }
}
