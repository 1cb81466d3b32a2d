//! A TOML file whose every mistake is told with its line and column.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use crate::plan::time;

/// A place in a file: bytes from its beginning.
pub(super) type At = usize;

/// What is wrong with a scenario, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// Each mistake as `FILE:LINE:COLUMN: what`, by place.
    pub wrong: Vec<String>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wrong.join("\n"))
    }
}

/// A file, and what has been found wrong with it so far.
#[derive(Debug)]
pub(super) struct Findings {
    file: PathBuf,
    text: String,
    wrong: RefCell<Vec<(At, String)>>,
}

impl Findings {
    pub(super) fn new(file: &Path, text: String) -> Self {
        Self { file: file.into(), text, wrong: RefCell::default() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the folder that the file's own paths begin at.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    pub(super) fn add(&self, at: At, what: impl Into<String>) {
        self.wrong.borrow_mut().push((at, what.into()));
    }

    /// Returns an error if something was wrong.
    pub(super) fn end(&self) -> Result<(), ScenarioError> {
        if self.wrong.borrow().is_empty() { Ok(()) } else { Err(self.error()) }
    }

    /// Returns all that was wrong, and forgets it.
    pub(super) fn error(&self) -> ScenarioError {
        let mut wrong = self.wrong.take();
        wrong.sort();
        wrong.dedup();
        ScenarioError { wrong: wrong.iter().map(|(at, what)| format!("{}: {what}", self.place(*at))).collect() }
    }

    /// Returns a place as `FILE:LINE:COLUMN`, both from 1.
    pub(super) fn place(&self, at: At) -> String {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        match self.text.is_empty() {
            // Made in code, not read from a file.
            true => self.file.display().to_string(),
            false => format!("{}:{line}:{column}", self.file.display()),
        }
    }
}

/// A table of the file. Every key that is asked for is known; [`Table::finish`] tells of the others.
#[derive(Debug)]
pub(super) struct Table<'a> {
    map: &'a DeTable<'a>,
    pub(super) at: At,
    known: RefCell<Vec<&'static str>>,
    findings: &'a Findings,
}

/// A value of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    value: &'a DeValue<'a>,
    pub(super) at: At,
    findings: &'a Findings,
}

impl<'a> Table<'a> {
    pub(super) fn new(map: &'a DeTable<'a>, at: At, findings: &'a Findings) -> Self {
        Self { map, at, known: RefCell::default(), findings }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.known(key);
        let value = self.map.get(key)?;
        Some(Item { value: value.get_ref(), at: value.span().start, findings: self.findings })
    }

    /// Returns all keys and values, in the order of the file.
    pub(super) fn items(&self) -> Vec<(&'a str, Item<'a>)> {
        let mut all: Vec<_> = self.map.iter().collect();
        all.sort_by_key(|(key, _)| key.span().start);
        let item = |value: &'a toml::Spanned<DeValue<'a>>| Item {
            value: value.get_ref(),
            at: value.span().start,
            findings: self.findings,
        };
        all.into_iter().map(|(key, value)| (key.get_ref().as_ref(), item(value))).collect()
    }

    pub(super) fn text(&self, key: &'static str) -> Option<(&'a str, At)> {
        let item = self.get(key)?;
        Some((item.text()?, item.at))
    }

    pub(super) fn number(&self, key: &'static str) -> Option<f64> {
        self.get(key)?.number()
    }

    /// Returns a whole number of at least `least`.
    pub(super) fn count(&self, key: &'static str, least: u64) -> Option<u64> {
        let item = self.get(key)?;
        let n = item.json().as_u64().filter(|n| *n >= least);
        n.or_else(|| item.wrong(&format!("a whole number, at least {least}")))
    }

    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let item = self.get(key)?;
        item.value.as_bool().or_else(|| item.wrong("true or false"))
    }

    pub(super) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    /// Returns the tables of an array: `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        self.get(key)
            .map(|item| item.items("tables: [[..]]"))
            .into_iter()
            .flatten()
            .filter_map(|item| item.table())
            .collect()
    }

    /// Returns one of a few words.
    pub(super) fn word<T: Clone>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let (text, at) = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let hint = crate::near::hint(text, words.iter().map(|(word, _)| *word));
            self.findings.add(at, format!("`{text}` is no {key}{hint}"));
        }
        found
    }

    /// Returns whether `key` is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Says that `key` may be there.
    pub(super) fn known(&self, key: &'static str) {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
    }

    /// Tells of every key that nobody has asked for.
    pub(super) fn finish(self) {
        let known = self.known.into_inner();
        for key in self.map.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let hint = crate::near::hint(name, known.iter().copied());
                self.findings.add(key.span().start, format!("unknown key `{name}`{hint}"));
            }
        }
    }
}

impl<'a> Item<'a> {
    /// Tells that the value should be something else.
    pub(super) fn wrong<T>(&self, expected: &str) -> Option<T> {
        self.findings.add(self.at, format!("`{}` is not {expected}", self.json()));
        None
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn is_array(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.wrong("a text"))
    }

    pub(super) fn number(&self) -> Option<f64> {
        self.json().as_f64().or_else(|| self.wrong("a number"))
    }

    /// Returns a share: `0.05` or `"5%"`.
    pub(super) fn share(&self) -> Option<f64> {
        let percent = self.as_str().and_then(|text| text.trim().strip_suffix('%')?.trim().parse::<f64>().ok());
        let share = percent.map(|n| n / 100.0).or_else(|| self.json().as_f64());
        share.filter(|n| (0.0..=1.0).contains(n)).or_else(|| self.wrong("a share such as 0.05 or \"5%\""))
    }

    /// Returns a time: `"250ms"`, or a number of seconds.
    pub(super) fn duration(&self) -> Option<Duration> {
        let text = match self.json() {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return self.wrong("a time such as \"250ms\" or \"10s\""),
        };
        time(&text).map_err(|why| self.findings.add(self.at, why)).ok()
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        let map = self.value.as_table().or_else(|| self.wrong("a table"))?;
        Some(Table::new(map, self.at, self.findings))
    }

    /// Returns the items of an array.
    pub(super) fn items(&self, expected: &str) -> Vec<Item<'a>> {
        let all = self.value.as_array().or_else(|| self.wrong(&format!("an array of {expected}")));
        let item = |value: &'a toml::Spanned<DeValue<'a>>| Item {
            value: value.get_ref(),
            at: value.span().start,
            findings: self.findings,
        };
        all.into_iter().flat_map(|all| all.iter()).map(item).collect()
    }

    /// Returns a text, or the texts of an array.
    pub(super) fn texts(&self) -> Vec<(&'a str, At)> {
        match self.as_str() {
            Some(text) => vec![(text, self.at)],
            None => self.items("texts").iter().filter_map(|item| Some((item.text()?, item.at))).collect(),
        }
    }

    /// Returns the value as JSON; a date becomes a text.
    pub(super) fn json(&self) -> Value {
        json(self.value)
    }
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map(Value::from).unwrap_or_default(),
        DeValue::Float(n) => n.as_str().parse::<f64>().map(Value::from).unwrap_or_default(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(all) => all.iter().map(|one| json(one.get_ref())).collect(),
        DeValue::Table(map) => {
            let mut all: Vec<_> = map.iter().collect();
            all.sort_by_key(|(key, _)| key.span().start);
            all.into_iter()
                .map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())))
                .collect::<Map<_, _>>()
                .into()
        }
    }
}
