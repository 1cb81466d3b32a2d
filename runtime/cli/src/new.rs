//! `drover new NAME`: a function that builds and answers, to be changed into one's own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use drover_core::FunctionName;

/// What a new function consists of; `%NAME%` in a text becomes its name.
const FILES: [(&str, &[u8]); 6] = [
    ("Cargo.toml", include_bytes!("new/Cargo.toml.txt")),
    ("README.md", include_bytes!("new/README.md.txt")),
    ("src/main.rs", include_bytes!("new/main.rs.txt")),
    ("train/train.py", include_bytes!("new/train.py")),
    ("model/model.toml", include_bytes!("new/model.toml")),
    ("model/model.onnx", include_bytes!("new/model.onnx")),
];

/// Makes `functions/NAME` in the checkout at the current directory.
pub(crate) fn new(name: &str) -> anyhow::Result<ExitCode> {
    let name: FunctionName = name.parse()?;
    ensure!(
        Path::new("runtime/sdk/Cargo.toml").is_file(),
        "no checkout of Drover here: call `drover new` where its Cargo.toml is"
    );
    let made = write(Path::new("functions"), &name)?;
    println!("made {}:", made.display());
    FILES.iter().for_each(|(file, _)| println!("  {file}"));
    println!("\nrun it:      drover up jobs/predict.nomad -var function={name}");
    println!("change it:   {}", made.join("src/main.rs").display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the function below `functions`, all of it or nothing.
fn write(functions: &Path, name: &FunctionName) -> anyhow::Result<PathBuf> {
    let folder = functions.join(name.as_str());
    if folder.exists() {
        bail!("{} is there already: choose another name or remove it", folder.display());
    }
    // Made aside first, so that a full disk leaves no half function in the workspace.
    let aside = functions.join(format!(".{name}.new"));
    let written = FILES.iter().try_for_each(|(file, content)| {
        let path = aside.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&aside))?;
        match std::str::from_utf8(content) {
            Ok(text) if !file.ends_with(".onnx") => std::fs::write(&path, text.replace("%NAME%", name.as_str())),
            _ => std::fs::write(&path, content),
        }
    });
    let moved = written.and_then(|()| std::fs::rename(&aside, &folder));
    if moved.is_err() {
        let _ = std::fs::remove_dir_all(&aside);
    }
    moved.with_context(|| format!("cannot write {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_function_bears_its_name_and_is_at_most_60_lines() {
        let functions = tempfile::tempdir().unwrap();
        let name: FunctionName = "iris".parse().unwrap();
        let folder = write(functions.path(), &name).unwrap();
        let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
        assert!(text("src/main.rs").lines().count() <= 60);
        assert!(text("src/main.rs").contains("const NAME: &'static str = env!(\"CARGO_PKG_NAME\")"));
        assert!(FILES.iter().all(|(file, _)| file.ends_with(".onnx") || !text(file).contains('%')));
        assert!(text("Cargo.toml").contains("name = \"iris\""));
        assert!(text("model/model.toml").contains("name = \"iris\""));
        let again = write(functions.path(), &name).unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
    }
}
