//! Settings from a [`Source`]; every mistake is reported, all at once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units;

/// The exit code of a program whose settings are wrong (`EX_USAGE` of sysexits).
pub const EXIT_BAD_CONFIG: u8 = 64;

/// Where settings come from, so that no test touches the process's environment.
pub trait Source {
    /// Returns the value of `key`, if it is set.
    fn get(&self, key: &str) -> Option<String>;
    /// Returns every key that begins with `prefix`.
    fn keys(&self, prefix: &str) -> Vec<String>;
    /// Returns what a person calls `key`, such as the file and line that set it; unless implemented, the key.
    fn name(&self, key: &str) -> String {
        key.into()
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Env;

impl Source for Env {
    fn get(&self, key: &str) -> Option<String> {
        std::env::var_os(key).map(|v| v.to_string_lossy().into_owned())
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        std::env::vars_os().filter_map(|(k, _)| k.into_string().ok()).filter(|k| k.starts_with(prefix)).collect()
    }
}

impl Source for BTreeMap<String, String> {
    fn get(&self, key: &str) -> Option<String> {
        BTreeMap::get(self, key).cloned()
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        BTreeMap::keys(self).filter(|k| k.starts_with(prefix)).cloned().collect()
    }
}

/// All that is wrong with the settings, one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadConfig(pub Vec<String>);

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} wrong setting(s)", self.0.len())?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

/// Reads settings one by one and remembers what was wrong with them.
pub struct Reader<'a> {
    source: &'a dyn Source,
    known: Vec<String>,
    mistakes: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads from `source`.
    #[must_use]
    pub fn new(source: &'a dyn Source) -> Self {
        Self { source, known: Vec::new(), mistakes: Vec::new() }
    }

    /// Returns the value of `key` as `parse` understands it, or nothing if it is unset or wrong.
    pub fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.known.push(key.into());
        let text = self.source.get(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.mistakes.push(format!("{}: {why}", self.source.name(key)));
                None
            }
        }
    }

    /// Returns the number under `key` if it lies in `range`, else `default`.
    pub fn number<T>(&mut self, key: &str, default: T, range: std::ops::RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let parse = |text: &str| match text.trim().parse::<T>() {
            Ok(value) if range.contains(&value) => Ok(value),
            _ => Err(format!("`{text}` is not a number from {} to {}", range.start(), range.end())),
        };
        self.read(key, parse).unwrap_or(default)
    }

    /// Returns the duration under `key`, else `default`.
    pub fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.read(key, units::parse_duration).unwrap_or(default)
    }

    /// Returns the size in bytes under `key`, else `default`.
    pub fn bytes(&mut self, key: &str, default: usize) -> usize {
        self.read(key, units::parse_bytes).unwrap_or(default)
    }

    /// Notes a mistake that shows only when several settings are seen together.
    pub fn mistake(&mut self, line: impl Into<String>) {
        self.mistakes.push(line.into());
    }

    /// Ends the reading: settings under `prefix` that nobody asked for are mistakes too.
    ///
    /// # Errors
    /// [`BadConfig`] with every mistake.
    pub fn finish(mut self, prefix: &str) -> Result<(), BadConfig> {
        let mut unknown = self.source.keys(prefix);
        unknown.retain(|key| !self.known.contains(key));
        unknown.sort();
        self.mistakes.extend(unknown.into_iter().map(|key| format!("{key}: no such setting")));
        if self.mistakes.is_empty() { Ok(()) } else { Err(BadConfig(self.mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_at_once() {
        let source: BTreeMap<String, String> =
            [("D_A", "x"), ("D_B", "10"), ("D_C", "5"), ("D_TYPO", "1"), ("OTHER", "y")]
                .map(|(k, v)| (k.into(), v.into()))
                .into();
        let mut reader = Reader::new(&source);
        assert_eq!(reader.number("D_A", 7, 1..=9), 7);
        assert_eq!(reader.duration("D_B", Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(reader.number("D_C", 7, 1..=9), 5);
        assert_eq!(reader.bytes("D_D", 3), 3);
        let BadConfig(lines) = reader.finish("D_").unwrap_err();
        assert_eq!(
            lines,
            [
                "D_A: `x` is not a number from 1 to 9",
                "D_B: `10` has no unit: write 10ms or 10s",
                "D_TYPO: no such setting",
            ]
        );
    }
}
