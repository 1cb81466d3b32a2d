//! A model: its card, checked against the file it describes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::drift::FieldProfile;
use crate::library::LibraryError;

/// The name of the card's file.
pub const CARD_FILE: &str = "model.toml";

/// What is written beside a model: what it is, what it takes and gives, what it was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What the model is called.
    pub name: String,
    /// Its version, for example `1.0.0`.
    pub version: String,
    /// What it tells, in one sentence.
    pub description: String,
    /// The ONNX file: a path below the card's directory.
    pub file: PathBuf,
    /// The SHA-256 of that file, 64 hexadecimal digits.
    pub sha256: String,
    /// What the columns of the output `probabilities` stand for; empty if the model is no classifier.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The licence of the model, as an SPDX expression.
    pub licence: String,
    /// What the graph takes, in its order.
    pub inputs: Vec<TensorSpec>,
    /// What the graph gives, in its order.
    pub outputs: Vec<TensorSpec>,
    /// What it was trained on.
    pub data: Option<Data>,
    /// How well it does, by the name of the measure.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// How often it gives each label on its test data, from 0 to 1.
    #[serde(default)]
    pub profile: BTreeMap<String, f64>,
    /// How the fields of its requests were spread over the training data.
    #[serde(default)]
    pub fields: Vec<FieldProfile>,
}

/// An input or an output of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name in the graph.
    pub name: String,
    /// What its elements are.
    #[serde(rename = "type")]
    pub element: Element,
    /// Its dimensions; -1 is one that varies.
    pub shape: Vec<i64>,
}

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Element {
    /// 32-bit floating point.
    Float32,
    /// 64-bit signed integer.
    Int64,
    /// Text.
    String,
}

/// What a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Where the data is from.
    pub source: String,
    /// The licence of the data.
    pub licence: String,
    /// Whom to cite.
    #[serde(default)]
    pub citation: String,
    /// How many rows it was trained on.
    pub rows_train: u64,
    /// How many rows it was tested on.
    pub rows_test: u64,
}

/// Where a model comes from. Today that is a path; a registry would be another variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// A card, or the directory in which it lies.
    Path(PathBuf),
}

/// A card whose file was read and has the checksum that the card says.
#[derive(Debug, Clone)]
pub struct Model {
    card: Arc<Card>,
    labels: Arc<[String]>,
    file: Arc<Path>,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is not there or cannot be read.
    #[error("cannot read {path}: {source}; set DROVER_MODEL to a {CARD_FILE} or its directory", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The card is not TOML of the right form, or contradicts itself.
    #[error("card {path}: {why}", path = .path.display())]
    Card {
        /// The card.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The file is not the one that the card describes.
    #[error("{path} has sha256 {found}, its card says {expected}: fetch or train the model again", path = .path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The sum that the card says.
        expected: String,
        /// The sum of the file.
        found: String,
    },
    /// ONNX Runtime cannot be had.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The graph takes or gives something else than the card says; one line per difference.
    #[error("model {model}: the graph differs from its card: {}", .differences.join("; "))]
    Graph {
        /// The model's name.
        model: String,
        /// What differs.
        differences: Vec<String>,
    },
    /// ONNX Runtime failed.
    #[error("model {model}: cannot {action}: {why}")]
    Onnx {
        /// The model's name.
        model: String,
        /// What was tried.
        action: &'static str,
        /// What ONNX Runtime says.
        why: String,
    },
    /// The model was given, or gave, something of another shape than its card promises.
    #[error("model {model}: {why}")]
    Shape {
        /// The model's name.
        model: String,
        /// What was wrong.
        why: String,
    },
}

impl Model {
    /// Reads the card at `path` (a card, or the directory in which [`CARD_FILE`] lies) and checks
    /// the file that it describes.
    ///
    /// # Errors
    /// [`ModelError::Read`], [`ModelError::Card`] or [`ModelError::Checksum`], each naming the file.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let (card, file) = Card::read(path)?;
        Self::checked(card, file)
    }

    /// Checks that `file` is the one that the card describes.
    pub(crate) fn checked(card: Card, file: PathBuf) -> Result<Self, ModelError> {
        let found = sha256_of(&file).map_err(|source| ModelError::Read { path: file.clone(), source })?;
        if found != card.sha256 {
            return Err(ModelError::Checksum { path: file, expected: card.sha256, found });
        }
        Ok(Self { labels: card.labels.as_slice().into(), card: Arc::new(card), file: file.into() })
    }

    /// Returns the card.
    #[must_use]
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Returns what the model is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// Returns the model's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.card.version
    }

    /// Returns the labels; empty if the model is no classifier.
    #[must_use]
    pub fn labels(&self) -> Arc<[String]> {
        Arc::clone(&self.labels)
    }

    /// Returns the SHA-256 of the model's file, 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.card.sha256
    }

    /// Returns the model's file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns the directory of the card, where a model's other files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.file.ancestors().nth(self.card.file.components().count()).unwrap_or(Path::new(""))
    }
}

impl ModelSource {
    /// Finds, reads and checks the model.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open(&self) -> Result<Model, ModelError> {
        match self {
            Self::Path(path) => Model::open(path),
        }
    }
}

impl FromStr for ModelSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::Path(text.into()))
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Float32 => "float32",
            Self::Int64 => "int64",
            Self::String => "string",
        })
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} {:?}", self.name, self.element, self.shape)
    }
}

impl Card {
    /// Reads the card at `path` (a card, or the directory in which [`CARD_FILE`] lies); returns it and the path of
    /// the file that it describes, which nobody has looked at.
    pub(crate) fn read(path: &Path) -> Result<(Self, PathBuf), ModelError> {
        let card_path = if path.is_dir() { path.join(CARD_FILE) } else { path.to_path_buf() };
        let text = std::fs::read_to_string(&card_path)
            .map_err(|source| ModelError::Read { path: card_path.clone(), source })?;
        let bad = |why: String| ModelError::Card { path: card_path.clone(), why };
        let card: Self = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
        card.check().map_err(bad)?;
        let file = card_path.parent().unwrap_or(Path::new("")).join(&card.file);
        Ok((card, file))
    }

    /// Checks what TOML alone does not.
    fn check(&self) -> Result<(), String> {
        let below = self.file.components().all(|c| matches!(c, Component::Normal(_)));
        if !below || self.file.as_os_str().is_empty() {
            return Err(format!("file `{}` must be a path below the card's directory", self.file.display()));
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(format!("sha256 `{}` must be 64 lower-case hexadecimal digits", self.sha256));
        }
        for (what, text) in [("name", &self.name), ("version", &self.version)] {
            if text.trim().is_empty() {
                return Err(format!("{what} must not be empty"));
            }
        }
        for (what, specs) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            if specs.is_empty() {
                return Err(format!("{what} must name at least one tensor"));
            }
        }
        self.fields.iter().try_for_each(FieldProfile::check)?;
        match self.labels.iter().enumerate().find(|(i, label)| self.labels.iter().take(*i).any(|l| l == *label)) {
            Some((_, twice)) => Err(format!("label `{twice}` is named twice")),
            None => Ok(()),
        }
    }
}

/// Returns the SHA-256 of a file, in lower-case hexadecimal digits.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|b| !b.is_empty()) else { break };
        hasher.update(bytes);
    }
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests;
