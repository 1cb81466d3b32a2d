//! Rows of a CSV or JSONL file, read and checked before the run begins.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Buf as _;
use serde_json::{Map, Value};

use super::Shape;
use crate::files::Files;

/// Bytes of a file, unpacked: all rows are kept in memory.
const BYTES_MAX: u64 = 1 << 30;
/// Broken rows that a message lists.
const LISTED_MAX: usize = 5;

/// What is done with a row that cannot be read or does not fit the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Broken {
    /// The run does not begin.
    #[default]
    Error,
    /// It is left out.
    Skip,
    /// It is sent, if it is a row at all.
    Send,
}

/// The rows of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    file: PathBuf,
    values: Vec<Value>,
    notes: Vec<String>,
}

/// Why the rows of a file cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody knows what is in it.
    #[error("{0}: rows are read from .csv and .jsonl files, also with .gz behind")]
    Kind(PathBuf),
    /// All of it would have to be in memory.
    #[error("{0}: is larger than {n} MiB: send a sample of it", n = BYTES_MAX >> 20)]
    TooLarge(PathBuf),
    /// It has a column twice.
    #[error("{file}: has the column `{column}` twice")]
    Twice {
        /// Which file.
        file: PathBuf,
        /// The column.
        column: String,
    },
    /// It has no column of this name.
    #[error("{file}: has no column `{column}`{hint}")]
    Column {
        /// Which file.
        file: PathBuf,
        /// The column.
        column: String,
        /// What may have been meant.
        hint: String,
    },
    /// Rows are broken.
    #[error("{}", list(file, wrong))]
    Broken {
        /// Which file.
        file: PathBuf,
        /// Each with its line and why.
        wrong: Vec<(u64, String)>,
    },
    /// There is not one row.
    #[error("{0}: has no rows")]
    Empty(PathBuf),
}

/// One row as read, or why it could not be.
type Line = (u64, Result<Value, String>);

impl Rows {
    /// Reads `file`: CSV with a first line of names, or a JSON object a line. Keeps only `columns`, if any are named.
    /// With `shape`, that of one row, cells become what the request takes, columns that it does not know are left
    /// out, and each row is checked.
    ///
    /// # Errors
    /// [`RowsError`], which names the file and the lines.
    pub fn read(
        files: &Files,
        file: &Path,
        columns: &[String],
        shape: Option<&Shape>,
        broken: Broken,
    ) -> Result<Self, RowsError> {
        let io = |source| RowsError::File { file: file.into(), source };
        let name = file.to_string_lossy().to_lowercase();
        let plain = name.strip_suffix(".gz");
        let content = files.read(file).map_err(io)?.reader();
        let reader: Box<dyn Read> = match plain {
            Some(_) => Box::new(flate2::read::MultiGzDecoder::new(content)),
            None => Box::new(content),
        };
        let mut reader = BufReader::new(reader.take(BYTES_MAX));
        let mut notes = Vec::new();
        let lines = match plain.unwrap_or(&name).rsplit('.').next() {
            Some("csv") => csv(file, &mut reader, columns, shape, &mut notes)?,
            Some("jsonl" | "ndjson") => jsonl(&mut reader, columns, shape).map_err(io)?,
            _ => return Err(RowsError::Kind(file.into())),
        };
        if reader.get_ref().limit() == 0 {
            return Err(RowsError::TooLarge(file.into()));
        }
        let (mut values, mut wrong) = (Vec::new(), Vec::new());
        for (line, read) in lines {
            match (read, broken) {
                (Ok(value), Broken::Send) => values.push(value),
                (Ok(value), _) => {
                    let mut why = Vec::new();
                    if let Some(shape) = shape {
                        shape.check(&value, "", &mut why);
                    }
                    if why.is_empty() { values.push(value) } else { wrong.push((line, why.join("; "))) }
                }
                (Err(why), _) => wrong.push((line, why)),
            }
        }
        match (wrong.first(), broken) {
            (Some(_), Broken::Error) => return Err(RowsError::Broken { file: file.into(), wrong }),
            (Some((line, why)), _) => {
                notes.push(format!("{} broken rows are left out; the first in line {line}: {why}", wrong.len()));
            }
            (None, _) => {}
        }
        if values.is_empty() {
            return Err(RowsError::Empty(file.into()));
        }
        Ok(Self { file: file.into(), values, notes })
    }

    /// Returns the rows, in the order of the file.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.values.iter()
    }

    /// Returns the row at `place`, from 0; begins again after the last.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Value> {
        self.values.get(place % self.values.len().max(1))
    }

    /// Returns the names of the first row's fields.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.values.first().and_then(Value::as_object).into_iter().flat_map(|row| row.keys().map(String::as_str))
    }

    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns what a person should know of the file: what was left out.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn csv(
    file: &Path,
    reader: impl Read,
    columns: &[String],
    shape: Option<&Shape>,
    notes: &mut Vec<String>,
) -> Result<Vec<Line>, RowsError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let io = |e: csv::Error| RowsError::File { file: file.into(), source: e.into() };
    let names: Vec<String> = reader.headers().map_err(io)?.iter().map(|name| name.trim().to_owned()).collect();
    if let Some(column) = columns.iter().find(|column| !names.contains(column)) {
        let hint = crate::near::hint(column, names.iter().map(String::as_str));
        return Err(RowsError::Column { file: file.into(), column: column.clone(), hint });
    }
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_unstable();
    if let Some([twice, _]) = sorted.array_windows().find(|[a, b]| a == b) {
        return Err(RowsError::Twice { file: file.into(), column: (*twice).clone() });
    }
    let fields = shape.map(Shape::fields).unwrap_or_default();
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    let is_kept = |name: &String| match columns {
        [] => fields.is_empty() || field(name).is_some(),
        some => some.contains(name),
    };
    let unknown: Vec<_> = names.iter().filter(|name| columns.is_empty() && !is_kept(name)).cloned().collect();
    if !unknown.is_empty() {
        notes.push(format!("columns that the request does not have are left out: {}", unknown.join(", ")));
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(e) if matches!(e.kind(), csv::ErrorKind::Io(_)) => return Err(io(e)),
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                lines.push((line, Err(format!("cannot be read: {e}"))));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != names.len() {
            lines
                .push((line, Err(format!("has {} cells, and the first line has {} names", record.len(), names.len()))));
            continue;
        }
        let mut row = Map::new();
        for (name, cell) in names.iter().zip(&record).filter(|(name, _)| is_kept(name)) {
            let value = match field(name) {
                // A cell without text is no value.
                Some(field) if cell.is_empty() && !field.required => continue,
                Some(field) => field.shape.parse(cell),
                None => guess(cell),
            };
            row.insert(name.clone(), value);
        }
        lines.push((line, Ok(Value::Object(row))));
    }
    Ok(lines)
}

fn jsonl(reader: impl BufRead, columns: &[String], shape: Option<&Shape>) -> std::io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (line, text) in (1..).zip(reader.split(b'\n')) {
        let text = text?;
        // What some editors begin a file with.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii();
        if text.is_empty() {
            continue;
        }
        let row = serde_json::from_slice::<Value>(text).map_err(|e| format!("is not JSON: {e}")).and_then(|mut row| {
            let keep =
                |all: &mut Map<String, Value>| all.retain(|name, _| columns.is_empty() || columns.contains(name));
            match row.as_object_mut() {
                Some(all) => keep(all),
                // Without a schema, any value may be a body.
                None if shape.is_none() && columns.is_empty() => {}
                None => return Err("is not a JSON object".to_owned()),
            }
            match columns.iter().find(|column| row.get(column.as_str()).is_none()) {
                Some(column) => Err(format!("has no `{column}`")),
                None => Ok(row),
            }
        });
        lines.push((line, row));
    }
    Ok(lines)
}

/// Reads a cell whose type nobody declares.
fn guess(cell: &str) -> Value {
    match cell {
        "" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => serde_json::from_str::<serde_json::Number>(cell).map_or_else(|_| cell.into(), Value::Number),
    }
}

fn list(file: &Path, wrong: &[(u64, String)]) -> String {
    let mut text = match wrong.len() {
        1 => "a row is broken".to_owned(),
        n => format!("{n} rows are broken"),
    };
    for (line, why) in wrong.iter().take(LISTED_MAX) {
        text += &format!("\n  {}:{line}: {why}", file.display());
    }
    if wrong.len() > LISTED_MAX {
        text += &format!("\n  and {} more", wrong.len() - LISTED_MAX);
    }
    text
}
