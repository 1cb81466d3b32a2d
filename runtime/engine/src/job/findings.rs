//! What was found wrong, or without meaning here, while a job file was read.

use std::collections::BTreeSet;
use std::fmt;

/// Everything that is wrong with a job file, one line each with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadJob(pub Vec<String>);

impl fmt::Display for BadJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.join("\n"))
    }
}

/// Collects mistakes and the names of what has no effect on one machine.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    file: String,
    mistakes: Vec<String>,
    moot: BTreeSet<String>,
}

impl Findings {
    /// Begins to read `file`.
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Notes a mistake on `line`.
    pub(crate) fn mistake(&mut self, line: usize, what: impl fmt::Display) {
        self.mistakes.push(format!("{}:{line}: {what}", self.file));
    }

    /// Notes that `name` is understood but has no effect on one machine.
    pub(crate) fn moot(&mut self, name: impl Into<String>) {
        self.moot.insert(name.into());
    }

    /// Returns one warning that names all that has no effect here, if anything.
    pub(crate) fn warnings(&self) -> Vec<String> {
        if self.moot.is_empty() {
            return Vec::new();
        }
        let names = self.moot.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        vec![format!("{}: without effect on one machine: {names}", self.file)]
    }

    /// Returns `value` if nothing was wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, BadJob> {
        match value {
            Some(value) if self.mistakes.is_empty() => Ok(value),
            _ => Err(BadJob(self.mistakes)),
        }
    }

    /// Returns whether nothing was wrong so far.
    pub(crate) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }
}
