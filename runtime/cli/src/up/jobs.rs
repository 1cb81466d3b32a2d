//! Which jobs `drover up` runs, and which of them are functions of this checkout.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use drover_engine::job::{Job, Loaded, Variables, load};

use crate::args::Up;

/// The job file for any function.
const PREDICT: &str = "jobs/predict.nomad";
/// What runs when nothing is given.
const DEFAULT: [&str; 3] = ["penguins", "covertype", "sentiment"];

/// Of those, the one whose answers wait for users' verdicts unless `--var feedback` says otherwise.
const JUDGED: &str = "sentiment";

/// What `drover up` runs.
pub(super) struct Plan {
    /// The jobs.
    pub(super) jobs: Vec<Job>,
    /// Those of them that are built here.
    pub(super) functions: Vec<Source>,
    /// What should be said.
    pub(super) warnings: Vec<String>,
}

/// A function of this checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Its package.
    pub(super) package: String,
    /// Its directory.
    pub(super) dir: PathBuf,
    /// The binary that the job runs.
    pub(super) binary: PathBuf,
    /// What the job sets in its environment, but for what only an instance knows.
    pub(super) env: BTreeMap<String, String>,
}

impl Plan {
    /// Reads the job files that were asked for.
    pub(super) fn read(args: &Up) -> anyhow::Result<Self> {
        let given = variables(args, &[])?;
        let mut loaded = Vec::new();
        for file in &args.files {
            loaded.push(read(file, &given)?);
        }
        if args.files.is_empty() {
            if !Path::new(PREDICT).is_file() {
                bail!("no job file was given and there is no {PREDICT} here");
            }
            for name in DEFAULT {
                let mut given =
                    if name == JUDGED { variables(args, &[("feedback", "verdicts")])? } else { given.clone() };
                given.set("function", name);
                loaded.push(read(Path::new(PREDICT), &given)?);
            }
        }
        let declared: Vec<_> = loaded.iter().flat_map(|l| l.variables.clone()).collect();
        if let Some(name) = given.unknown(&declared).next() {
            bail!("no job file has a variable `{name}`; there are: {}", declared.join(", "));
        }
        let mut warnings: Vec<_> = loaded.iter().flat_map(|l| l.warnings.clone()).collect();
        warnings.dedup();
        let jobs: Vec<_> = loaded.into_iter().map(|l| l.job).collect();
        let functions = jobs.iter().filter_map(source).collect();
        Ok(Self { jobs, functions, warnings })
    }
}

/// Returns the variables that were given; unless they were, those of `otherwise` hold.
fn variables(args: &Up, otherwise: &[(&str, &str)]) -> anyhow::Result<Variables> {
    let mut given = Variables::default();
    otherwise.iter().for_each(|(name, value)| given.set(name, value));
    for file in &args.var_files {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        given.add_file(&file.display().to_string(), &text).map_err(|e| anyhow!(e))?;
    }
    for assignment in &args.vars {
        given.add(assignment).map_err(|e| anyhow!(e))?;
    }
    Ok(given)
}

fn read(file: &Path, given: &Variables) -> anyhow::Result<Loaded> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(load(&file.display().to_string(), &text, given)?)
}

/// Returns the function of this checkout that a job runs: its binary lies in a `release` directory and
/// `functions/` has a package of its name.
fn source(job: &Job) -> Option<Source> {
    let binary = PathBuf::from(&job.group.task.command);
    let package = binary.file_name()?.to_str()?.to_owned();
    let dir = Path::new("functions").join(&package);
    let is_ours = dir.join("Cargo.toml").is_file() && binary.parent()?.ends_with("release");
    let env = job.group.task.env.iter().filter(|(_, value)| !value.contains("${"));
    let env = env.map(|(key, value)| (key.clone(), value.clone())).collect();
    is_ours.then_some(Source { package, dir, binary, env })
}
