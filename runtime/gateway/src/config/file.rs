//! A TOML file as flat keys, each with its line.

use toml::de::{DeTable, DeValue};

/// A value of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its key, with dots.
    pub(super) key: String,
    /// Its value as text; of a list, the values with commas between.
    pub(super) text: Result<String, String>,
    /// Its line, from 1.
    pub(super) line: usize,
}

/// Returns all values of a TOML text.
///
/// # Errors
/// Each line that is not TOML, and why.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let said = |e: toml::de::Error| {
            let line = line_of(text, e.span().map_or(0, |span| span.start));
            format!(":{line}: {}", e.message())
        };
        return Err(errors.into_iter().map(said).collect());
    }
    let mut found = Vec::new();
    flatten(text, "", table.get_ref(), &mut found);
    Ok(found)
}

fn flatten(text: &str, prefix: &str, table: &DeTable<'_>, found: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        if let DeValue::Table(below) = value.get_ref() {
            flatten(text, &format!("{key}."), below, found);
        } else {
            let line = line_of(text, name.span().start);
            found.push(Entry { key, text: as_text(value.get_ref()), line });
        }
    }
}

fn as_text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(n) if n.radix() == 10 => Ok(n.as_str().into()),
        DeValue::Float(n) => Ok(n.as_str().into()),
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        DeValue::Array(all) => {
            let all: Result<Vec<_>, _> = all.iter().map(|one| as_text(one.get_ref())).collect();
            Ok(all?.join(","))
        }
        other => Err(format!("a {} is no value of a setting", other.type_str())),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_keys_with_their_lines() {
        let text =
            "listen = [\"a:1\", \"b:2\"]\n\n[limits]\nslots = 7\n[functions.x]\npure = true\nwhen = 2020-01-01\n";
        let found = entries(text).unwrap();
        let shown: Vec<_> = found.iter().map(|e| (e.line, e.key.as_str(), e.text.as_deref().ok())).collect();
        assert!(shown.contains(&(1, "listen", Some("a:1,b:2"))), "{shown:?}");
        assert!(shown.contains(&(4, "limits.slots", Some("7"))), "{shown:?}");
        assert!(shown.contains(&(6, "functions.x.pure", Some("true"))), "{shown:?}");
        assert!(shown.contains(&(7, "functions.x.when", None)), "{shown:?}");
    }

    #[test]
    fn every_line_that_is_not_toml_is_named() {
        let wrong = entries("a = 1\nb = = 2\nc = 3\nd = \n").unwrap_err();
        assert!(wrong.iter().any(|w| w.starts_with(":2: ")), "{wrong:?}");
        assert!(wrong.iter().any(|w| w.starts_with(":4: ")), "{wrong:?}");
    }
}
