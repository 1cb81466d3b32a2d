//! What has to be there first: the functions, their rows, ONNX Runtime, and Python's side.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use drover_testkit::bench::report::Report;
use drover_testkit::bench::{Result, build, peers, revision, wrk};
use drover_testkit::golden;
use tokio::process::Command;

/// The functions that are measured, where they are there.
const FUNCTIONS: [&str; 3] = ["penguins", "covertype", "sentiment"];
/// Rows in one request of the batch measure.
pub(crate) const BATCH_ROWS: usize = 32;

/// A function that was built.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
    /// The folder of its model.
    pub(crate) model: PathBuf,
    /// Bytes of the model.
    pub(crate) model_bytes: u64,
    /// The library that it loads.
    pub(crate) onnx_runtime: PathBuf,
    /// One held-out row, as JSON.
    pub(crate) row: String,
    /// [`BATCH_ROWS`] of them, as a JSON array.
    pub(crate) batch: String,
}

/// All that the measures need.
pub(crate) struct Prepared {
    pub(crate) functions: Vec<Function>,
    /// The Python of the virtual environment, if it is needed.
    pub(crate) python: Option<PathBuf>,
    /// Functions that are not there yet.
    pub(crate) missing: Vec<String>,
    /// What is there but cannot be used, and why.
    pub(crate) broken: Vec<(&'static str, String)>,
}

impl Prepared {
    pub(crate) async fn new(with_python: bool) -> Result<Self> {
        wrk::find().await?;
        let root = drover_testkit::checkout();
        let mut prepared = Self { functions: Vec::new(), python: None, missing: Vec::new(), broken: Vec::new() };
        for name in FUNCTIONS {
            let folder = root.join("functions").join(name);
            if !folder.join("model/model.toml").is_file() || !folder.join("tests/golden.jsonl.gz").is_file() {
                prepared.missing.push(format!("{name}: has no model or no held-out rows yet"));
                continue;
            }
            match function(&root, name).await {
                Ok(function) => prepared.functions.push(function),
                Err(why) => prepared.broken.push((name, why.to_string())),
            }
        }
        if with_python {
            match peers().await {
                Ok(python) => prepared.python = Some(python),
                Err(why) => prepared.broken.push(("python", why.to_string())),
            }
        }
        Ok(prepared)
    }

    /// Returns a report that says what there is not.
    pub(crate) async fn report(&self) -> Result<Report> {
        let mut report = Report::new(revision().await?);
        self.missing.iter().for_each(|line| report.skipped(line.clone()));
        self.broken.iter().for_each(|(name, why)| report.failed(name, why));
        Ok(report)
    }

    pub(crate) fn function(&self, name: &str) -> Result<&Function> {
        let found = self.functions.iter().find(|function| function.name == name);
        found.ok_or_else(|| format!("{name} is not there").into())
    }
}

/// Builds a function, and has it fetch ONNX Runtime if that is not here.
async fn function(root: &Path, name: &'static str) -> Result<Function> {
    let binary = build(name).await?.join(name);
    let found = Command::new(&binary).arg("--fetch-runtime").stderr(Stdio::inherit()).output().await?;
    if !found.status.success() {
        return Err("it has no ONNX Runtime".into());
    }

    let folder = root.join("functions").join(name);
    let model = folder.join("model");
    let rows = golden::read(&folder.join("tests/golden.jsonl.gz"));
    let rows: Vec<String> = rows.iter().take(BATCH_ROWS).map(|row| row.request.to_string()).collect();
    Ok(Function {
        name,
        binary,
        model_bytes: std::fs::metadata(model.join("model.onnx"))?.len(),
        model,
        onnx_runtime: String::from_utf8(found.stdout)?.trim().into(),
        row: rows.first().ok_or("there are no held-out rows")?.clone(),
        batch: format!("[{}]", rows.join(",")),
    })
}
