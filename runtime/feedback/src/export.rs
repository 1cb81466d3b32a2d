//! Verdicts as a file: CSV that no spreadsheet takes for formulas, or JSON lines.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde_json::Value as Json;

use crate::entry::{Entry, texts};
use crate::error::StoreError;
use crate::filter::{Cursor, Filter, PAGE_MAX};
use crate::store::Store;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    JsonLines,
}

const COLUMNS: [&str; 11] = [
    "request_id",
    "function",
    "version",
    "at",
    "verdict",
    "prediction",
    "expected",
    "confidence",
    "comment",
    // All texts of the input: of a function of one text, that text.
    "text",
    "input",
];

impl Format {
    /// Returns the format that a query names.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/x-ndjson",
        }
    }

    pub(crate) const fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "feedback.csv",
            Self::JsonLines => "feedback.jsonl",
        }
    }

    fn head(self) -> Vec<u8> {
        match self {
            Self::Csv => line(&COLUMNS.map(str::to_owned)),
            Self::JsonLines => Vec::new(),
        }
    }

    fn write(self, entry: &Entry) -> Vec<u8> {
        match self {
            Self::Csv => line(&cells(entry)),
            Self::JsonLines => serde_json::to_vec(entry).map(|text| [&text[..], b"\n"].concat()).unwrap_or_default(),
        }
    }
}

/// Returns all verdicts that `filter` leaves, the newest first, page by page as they are read.
pub(crate) fn export(
    store: Arc<Store>,
    filter: Filter,
    format: Format,
) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    enum Place {
        Begin,
        After(Cursor),
        End,
    }
    try_unfold((store, filter, Place::Begin), move |(store, filter, place)| async move {
        let (mut text, before) = match place {
            Place::Begin => (format.head(), None),
            Place::After(cursor) => (Vec::new(), Some(cursor)),
            Place::End => return Ok(None),
        };
        let (page, next) = store.page(&filter, PAGE_MAX, before.as_ref()).await?;
        text.extend(page.iter().flat_map(|entry| format.write(entry)));
        let place = next.map_or(Place::End, Place::After);
        Ok(Some((Bytes::from(text), (store, filter, place))))
    })
}

fn cells(entry: &Entry) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.as_deref().map(harmless).unwrap_or_default();
    let input = entry.input.as_ref();
    [
        harmless(&entry.request_id),
        harmless(&entry.function),
        harmless(&entry.version),
        entry.at.clone(),
        entry.verdict.label().into(),
        text(&entry.prediction),
        text(&entry.expected),
        entry.confidence.map(|confidence| confidence.to_string()).unwrap_or_default(),
        text(&entry.comment),
        harmless(&input.map(|input| texts(input).join("\n")).unwrap_or_default()),
        harmless(&input.map(Json::to_string).unwrap_or_default()),
    ]
}

/// Puts an apostrophe before what a spreadsheet would take for a formula (OWASP, *CSV Injection*), and before an
/// apostrophe: whoever takes one apostrophe away from each cell that begins with one has the text again.
fn harmless(text: &str) -> String {
    let first = text.trim_start_matches([' ', '\n', '\u{a0}']).chars().next();
    let is_formula =
        first.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '＝' | '＋' | '－' | '＠'));
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if (is_formula && !is_number) || text.starts_with('\'') { format!("'{text}") } else { text.into() }
}

fn line(cells: &[String]) -> Vec<u8> {
    let mut line = Vec::new();
    // Into memory: there is nothing that could fail.
    let _written = csv::Writer::from_writer(&mut line).write_record(cells);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_nothing_is_lost() {
        for text in ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "'quoted", "＝1"]
        {
            let cell = harmless(text);
            assert!(cell.starts_with('\''), "{cell:?}");
            assert_eq!(cell.strip_prefix('\'').unwrap(), text);
        }
        for text in ["", "Me gusta", "-5", "+1.5e3", "a=b", "<b>&amp;</b>", "¿Qué?"] {
            assert_eq!(harmless(text), text);
        }
    }
}
