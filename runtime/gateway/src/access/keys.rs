//! The file of the API keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use drover_core::FunctionName;
use serde::Deserialize;

use super::AccessError;
use super::bucket::Rate;
use super::digest::Digest;
use super::limits::Limits;

/// Which functions a key or token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Functions {
    /// All, also those to come.
    All,
    /// These.
    Named(BTreeSet<FunctionName>),
}

impl Functions {
    /// Returns whether `function` is among them.
    #[must_use]
    pub fn contain(&self, function: &FunctionName) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(function),
        }
    }

    /// Reads names, of which `*` stands for all.
    ///
    /// # Errors
    /// The name that cannot be one of a function, in words.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut named = BTreeSet::new();
        for name in names {
            if name == "*" {
                return Ok(Self::All);
            }
            named.insert(name.parse::<FunctionName>().map_err(|e| e.to_string())?);
        }
        Ok(Self::Named(named))
    }
}

/// One API key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: Arc<str>,
    pub(super) functions: Functions,
    pub(super) limits: Arc<Limits>,
    digest: Digest,
}

/// All API keys.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    sha256: String,
    functions: Vec<String>,
    rate: Option<String>,
    burst: Option<u32>,
    concurrency: Option<usize>,
}

impl Keys {
    /// Reads `file`. A key whose name and limits are as `before` keeps what it has in use.
    pub(super) fn read(file: &Path, before: Option<&Self>) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(file).map_err(|e| AccessError::new(file.display(), e))?;
        Self::parse(&text, before).map_err(|why| AccessError::new(file.display(), why))
    }

    /// Reads the text of a file of keys; all mistakes at once.
    fn parse(text: &str, before: Option<&Self>) -> Result<Self, String> {
        let File { keys } = toml::from_str(text).map_err(|e| without_text(&e, text))?;
        let (mut read, mut mistakes) = (Self::default(), Vec::new());
        for written in keys {
            let name = written.name.clone();
            match written.into_key(&read, before) {
                Ok(key) => read.0.push(key),
                Err(why) => mistakes.push(format!("key `{name}`: {why}")),
            }
        }
        if mistakes.is_empty() { Ok(read) } else { Err(mistakes.join("; ")) }
    }

    /// Returns the key of this digest. All keys are compared, so that the time tells nothing.
    pub(super) fn find(&self, digest: &Digest) -> Option<&Key> {
        self.0.iter().fold(None, |found, key| if key.digest.is(digest) { Some(key) } else { found })
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Written {
    fn into_key(self, others: &Keys, before: Option<&Keys>) -> Result<Key, String> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !(1..=63).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return Err("its name is not 1 to 63 of a-z, A-Z, 0-9, -, _ and .".into());
        }
        let digest: Digest = self.sha256.parse().map_err(|e| format!("sha256 {e}"))?;
        if let Some(other) = others.0.iter().find(|key| *key.name == *self.name || key.digest.is(&digest)) {
            return Err(format!("it has the name or the digest of the key `{}`", other.name));
        }
        let functions = Functions::parse(self.functions.iter().map(String::as_str))?;
        let rate = match self.rate {
            Some(text) => Some(Rate::parse(&text, self.burst)?),
            None if self.burst.is_some() => return Err("burst needs a rate".into()),
            None => None,
        };
        if self.concurrency == Some(0) || self.burst == Some(0) {
            return Err("concurrency and burst are at least 1; remove the key to lock it out".into());
        }
        // More is no limit, and more than a semaphore takes.
        let concurrency = self.concurrency.map(|n| n.min(1 << 24));
        let kept = before.and_then(|keys| {
            let same = |key: &&Key| *key.name == *self.name && key.limits.are(rate, concurrency);
            keys.0.iter().find(same).map(|key| Arc::clone(&key.limits))
        });
        let limits = kept.unwrap_or_else(|| Arc::new(Limits::new(rate, concurrency)));
        Ok(Key { name: self.name.into(), functions, limits, digest })
    }
}

/// Says where the text is wrong without repeating it: a key may have been pasted into it.
fn without_text(e: &toml::de::Error, text: &str) -> String {
    let at = e.span().map_or(0, |span| span.start).min(text.len());
    let line = text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
    format!("line {line}: {}", e.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(more: &str) -> String {
        format!("[[keys]]\nname = \"a\"\nsha256 = \"{}\"\n{more}\n", Digest::of(b"a"))
    }

    #[test]
    fn a_key_is_found_by_its_digest() {
        let text = key("functions = [\"penguins\"]") + &key("functions = [\"*\"]").replace("\"a\"", "\"b\"");
        let text = text.replacen(&Digest::of(b"a").to_string(), &Digest::of(b"0").to_string(), 1);
        let keys = Keys::parse(&text, None).unwrap();
        assert_eq!(&*keys.find(&Digest::of(b"0")).unwrap().name, "a");
        assert_eq!(keys.find(&Digest::of(b"a")).unwrap().functions, Functions::All);
        assert!(keys.find(&Digest::of(b"x")).is_none());
        assert_eq!(Keys::parse("", None).unwrap().len(), 0);
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (text, wanted) in [
            (key("functions = [\"*\"]\nrate = \"fast\""), "key `a`: `fast` is not a rate"),
            (key("functions = [\"*\"]\nburst = 3"), "key `a`: burst needs a rate"),
            (key("functions = [\"*\"]\nconcurrency = 0"), "key `a`: concurrency and burst are at least 1"),
            (key("functions = [\"No\"]"), "key `a`: function name `No` is not valid"),
            (key("functions = [\"*\"]\nfunction = 1"), "line 5: unknown field `function`"),
            (key("functions = [\"*\"]").repeat(2), "key `a`: it has the name or the digest of the key `a`"),
            (key("functions = [\"*\"]").replace("name = \"a\"", "name = \"a b\""), "key `a b`: its name is not"),
            ("[[keys]]\nname = \"a\"\nfunctions = []\nsha256 = \"s3cret\"".into(), "key `a`: sha256 is not a SHA-256"),
            ("[[keys]]\nname = \"a\"\nsecret = \"s3cret".into(), "line 3: "),
            (key(""), "missing field `functions`"),
        ] {
            let message = Keys::parse(&text, None).unwrap_err();
            assert!(message.contains(wanted), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn a_key_that_did_not_change_keeps_what_it_has_in_use() {
        let text = key("functions = [\"*\"]\nconcurrency = 1");
        let before = Keys::parse(&text, None).unwrap();
        let now = std::time::Instant::now();
        let _place = before.find(&Digest::of(b"a")).unwrap().limits.enter(now).unwrap();
        let same = Keys::parse(&text, Some(&before)).unwrap();
        assert!(same.find(&Digest::of(b"a")).unwrap().limits.enter(now).is_err());
        let other = Keys::parse(&text.replace("concurrency = 1", "concurrency = 2"), Some(&before)).unwrap();
        assert!(other.find(&Digest::of(b"a")).unwrap().limits.enter(now).is_ok());
    }
}
