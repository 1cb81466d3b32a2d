//! What users do, as a TOML file says it: see `docs/loadgen-scenario.md`.
//!
//! [`Scenario::load`] reads it and tells every mistake with its line and column; [`Scenario::prepare`] makes all
//! that can be made before the run, and what comes of it, [`Prepared`], is a [`Work`](crate::work::Work).

mod definition;
mod document;
mod judge;
mod prepare;
mod read;
mod settings;
mod single;
mod template;
mod user;

use std::path::Path;

use toml::de::DeTable;

use self::definition::{Body, Definition};
pub use self::document::ScenarioError;
use self::document::{Findings, Table};
pub use self::prepare::{Prepared, Preparing};
pub use self::settings::{Promise, Settings};
pub use self::single::{RowsOf, Single};
use crate::files::Files;

/// What users do, and what else the file says of the run.
#[derive(Debug)]
pub struct Scenario {
    /// What the file says of the run.
    pub settings: Settings,
    definition: Definition,
    findings: Findings,
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, with lines and columns.
    pub fn load(files: &Files, file: &Path) -> Result<Self, ScenarioError> {
        let text = files.text(file).map_err(|e| ScenarioError { wrong: vec![format!("{}: {e}", file.display())] })?;
        Self::parse(file, text)
    }

    /// Reads the text of `file`.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn parse(file: &Path, text: String) -> Result<Self, ScenarioError> {
        let findings = Findings::new(file, text);
        let (root, errors) = DeTable::parse_recoverable(findings.text());
        for error in &errors {
            findings.add(error.span().map_or(0, |span| span.start), error.message());
        }
        if !errors.is_empty() {
            // What a broken file says cannot be judged.
            return Err(findings.error());
        }
        let read = read::file(Table::new(root.get_ref(), 0, &findings), &findings);
        drop(root);
        findings.end()?;
        Ok(Self { settings: read.settings, definition: read.definition, findings })
    }

    /// Returns whether bodies are drawn from the target's schema, or rows checked against it.
    #[must_use]
    pub fn reads_schema(&self) -> bool {
        let of_tasks = self.definition.tasks.iter().flat_map(|task| &task.steps);
        let mut steps = self.definition.on_start.iter().chain(of_tasks);
        steps.any(|step| matches!(step.body, Body::Generate(_) | Body::Data(..)))
    }
}

#[cfg(test)]
mod tests;
