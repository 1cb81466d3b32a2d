//! The table at the end, and the raw figures.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Error, Result};

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
    /// The figure is only reported.
    None,
}

/// One figure.
#[derive(Debug, Clone)]
pub struct Row {
    /// The measure that it is of, as the command line names it.
    pub measure: &'static str,
    /// What the figure says.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// Written after the figure, with a space before it if it wants one.
    pub unit: &'static str,
    /// What the figure should be.
    pub target: Target,
    /// The absolute figures.
    pub absolute: String,
    /// The load average of the minute before.
    pub load_average: f32,
    /// What others took of a core meanwhile, if it is known.
    pub others: Option<f64>,
}

/// All that was measured, and what could not be.
pub struct Report {
    revision: String,
    rows: Vec<Row>,
    raw: BTreeMap<String, Value>,
    skipped: Vec<String>,
    failed: Vec<String>,
}

impl Target {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::None => None,
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}{unit}"),
            Self::AtMost(most) => format!("<= {}{unit}", short(most)),
            Self::None => String::new(),
        }
    }
}

impl Report {
    /// Returns an empty report on what was built from `revision`.
    #[must_use]
    pub fn new(revision: String) -> Self {
        Self { revision, rows: Vec::new(), raw: BTreeMap::new(), skipped: Vec::new(), failed: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Keeps what a figure was made of.
    pub fn raw(&mut self, name: &str, raw: &impl Serialize) -> Result<()> {
        self.raw.insert(name.to_owned(), serde_json::to_value(raw)?);
        Ok(())
    }

    /// Notes what there is not to measure, which is no failure.
    pub fn skipped(&mut self, line: String) {
        self.skipped.push(line);
    }

    /// Notes what could not be measured.
    pub fn failed(&mut self, what: &str, why: &str) {
        println!("  {what} could not be measured: {why}");
        self.failed.push(format!("{what}: {why}"));
    }

    /// Returns whether all that was asked for was measured.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Prints it as a table.
    pub fn print(&self) {
        let head = ["measure", "what", "figure", "target", "met", "absolute", "load", "others"];
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |i: usize| lines.iter().filter_map(|line| line.get(i)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).filter_map(width).collect();
        println!("\nrevision {}", self.revision);
        for line in &lines {
            let cells = line.iter().zip(&widths).enumerate().map(|(i, (cell, width))| match i {
                // Numbers to the right.
                2 | 6 | 7 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            });
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!(
            "load: load average of the minute before; others: the most of a core that other processes took meanwhile"
        );
        self.skipped.iter().for_each(|line| println!("skipped: {line}"));
        self.failed.iter().for_each(|line| println!("NOT MEASURED: {line}"));
    }

    /// Returns it as JSON, with the raw figures.
    pub fn json(&self) -> Result<String> {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let report = json!({
            "revision": self.revision, "rows": rows, "raw": self.raw,
            "skipped": self.skipped, "not_measured": self.failed,
        });
        serde_json::to_string_pretty(&report).map_err(Error::from)
    }
}

impl Row {
    fn cells(&self) -> [String; 8] {
        [
            self.measure.to_owned(),
            self.what.clone(),
            format!("{}{}", short(self.value), self.unit),
            self.target.text(self.unit),
            self.target.met(self.value).map_or("", |met| if met { "yes" } else { "NO" }).to_owned(),
            self.absolute.clone(),
            format!("{:.1}", self.load_average),
            self.others.map_or(String::new(), |others| format!("{:.0}%", others * 100.0)),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "measure": self.measure, "what": self.what, "value": self.value, "unit": self.unit.trim(),
            "target": self.target.text(self.unit), "met": self.target.met(self.value), "absolute": self.absolute,
            "load_average": self.load_average, "others": self.others,
        })
    }
}

/// Writes a figure with three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes how many there are in a second, with a comma between thousands.
#[must_use]
pub fn per_second(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + "/s"
}
