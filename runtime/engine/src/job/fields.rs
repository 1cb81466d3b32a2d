//! Typed reading of one block, which ends by naming everything that nobody asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_core::units::parse_duration;
use hcl::Value;

use super::findings::Findings;
use super::functions::plain;
use super::syntax::{Attribute, Block};

/// The attributes and blocks of one block, taken one by one.
pub(crate) struct Fields<'a> {
    block: &'a Block,
    taken: Vec<&'a str>,
    findings: &'a mut Findings,
}

impl<'a> Fields<'a> {
    /// Begins to read `block`.
    pub(crate) fn new(block: &'a Block, findings: &'a mut Findings) -> Self {
        Self { block, taken: Vec::new(), findings }
    }

    /// Notes a mistake in this block.
    pub(crate) fn mistake(&mut self, what: impl std::fmt::Display) {
        self.findings.mistake(self.block.line, what);
    }

    /// Returns the findings, to read an inner block with.
    pub(crate) fn findings(&mut self) -> &mut Findings {
        self.findings
    }

    fn attribute(&mut self, key: &'a str) -> Option<&'a Attribute> {
        self.taken.push(key);
        self.block.attributes.iter().find(|a| a.key == key && !a.value.is_null())
    }

    fn read<T>(&mut self, key: &'a str, what: &str, parse: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let attribute = self.attribute(key)?;
        let parsed = parse(&attribute.value);
        if parsed.is_none() {
            self.findings.mistake(attribute.line, format!("`{key}` is `{}`, not {what}", plain(&attribute.value)));
        }
        parsed
    }

    /// Returns the text under `key`.
    pub(crate) fn text(&mut self, key: &'a str) -> Option<String> {
        self.read(key, "a string", |value| match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => Some(plain(value)),
            _ => None,
        })
    }

    /// Returns the whole number under `key`.
    pub(crate) fn count(&mut self, key: &'a str) -> Option<u64> {
        self.read(key, "a whole number from 0", |value| match value {
            Value::Number(n) => n.as_u64().or_else(|| n.as_f64().and_then(whole)),
            Value::String(s) => s.parse().ok(),
            _ => None,
        })
    }

    /// Returns the whole number under `key` if it fits 32 bits.
    pub(crate) fn count32(&mut self, key: &'a str) -> Option<u32> {
        let count = self.count(key)?;
        let fits = u32::try_from(count);
        if fits.is_err() {
            self.mistake(format!("`{key}` is {count}, limit is {}", u32::MAX));
        }
        fits.ok()
    }

    /// Returns the flag under `key`.
    pub(crate) fn flag(&mut self, key: &'a str) -> Option<bool> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(b) => Some(*b),
            Value::String(s) => s.parse().ok(),
            _ => None,
        })
    }

    /// Returns the duration under `key`.
    pub(crate) fn duration(&mut self, key: &'a str) -> Option<Duration> {
        self.read(key, "a duration such as 250ms or 10s", |value| parse_duration(value.as_str()?).ok())
    }

    /// Returns the texts under `key`.
    pub(crate) fn texts(&mut self, key: &'a str) -> Vec<String> {
        self.read(key, "a list of strings", |value| Some(value.as_array()?.iter().map(plain).collect()))
            .unwrap_or_default()
    }

    /// Returns the map under `key`, written as a block or as a value.
    pub(crate) fn map(&mut self, key: &'a str) -> BTreeMap<String, String> {
        let mut all = self
            .read(key, "a map", |value| {
                Some(value.as_object()?.iter().map(|(k, v)| (k.clone(), plain(v))).collect::<BTreeMap<_, _>>())
            })
            .unwrap_or_default();
        for block in self.blocks(key) {
            all.extend(block.attributes.iter().map(|a| (a.key.clone(), plain(&a.value))));
        }
        all
    }

    /// Returns the blocks of kind `key`.
    pub(crate) fn blocks(&mut self, key: &'a str) -> Vec<&'a Block> {
        self.taken.push(key);
        self.block.blocks.iter().filter(|b| b.kind == key).collect()
    }

    /// Returns the one block of kind `key`; a second one is a mistake.
    pub(crate) fn one(&mut self, key: &'a str) -> Option<&'a Block> {
        let all = self.blocks(key);
        if let Some(second) = all.get(1) {
            self.findings.mistake(second.line, format!("a second `{key}` block: drover runs one"));
        }
        all.first().copied()
    }

    /// Ends the reading: what is left must be in `moot`, the names that have no effect on one machine.
    pub(crate) fn finish(self, moot: &[&str]) {
        let place = if self.block.kind == "job" { String::new() } else { format!(" in `{}`", self.block.kind) };
        let attributes = self.block.attributes.iter().filter(|a| !a.value.is_null()).map(|a| (&a.key, a.line));
        let blocks = self.block.blocks.iter().map(|b| (&b.kind, b.line));
        for (name, line) in attributes.chain(blocks) {
            if self.taken.contains(&name.as_str()) {
                continue;
            }
            if moot.contains(&name.as_str()) {
                let is_top = matches!(self.block.kind.as_str(), "job" | "group" | "task");
                self.findings.moot(if is_top { name.clone() } else { format!("{}.{name}", self.block.kind) });
            } else {
                self.findings.mistake(line, format!("`{name}`{place} cannot be honoured on one machine"));
            }
        }
    }
}

fn whole(x: f64) -> Option<u64> {
    let fits = x.fract() == 0.0 && (0.0..9e15).contains(&x);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 below 2^53")]
    fits.then_some(x as u64)
}
