//! What functions, instances and requests are called.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest accepted request id, in bytes.
pub const REQUEST_ID_MAX_BYTES: usize = 128;

/// A name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: {rule}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    rule: &'static str,
}

/// The name of a function: 1 to 63 lower-case letters, digits and hyphens, beginning with a
/// letter and not ending in a hyphen, so that it is also a DNS label, a Consul service and a
/// Nomad job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName(Arc<str>);

impl FunctionName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Maps by name can be asked with a text.
impl Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let bytes = value.as_bytes();
        let good = bytes.len() <= 63
            && bytes.first().is_some_and(u8::is_ascii_lowercase)
            && bytes.last() != Some(&b'-')
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if good {
            Ok(Self(value.into()))
        } else {
            Err(InvalidName {
                what: "function name",
                value: value.chars().take(80).collect(),
                rule: "1 to 63 of a-z, 0-9 and -, beginning with a letter, not ending in -",
            })
        }
    }
}

impl TryFrom<String> for FunctionName {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        value.parse()
    }
}

impl From<FunctionName> for String {
    fn from(name: FunctionName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One running process of a function: a Nomad allocation id, or the local engine's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Makes a new id that no other instance has.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InstanceId {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The id of one request, from the client's `X-Request-Id` or made here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Makes a new id: 32 hexadecimal digits that begin with the time, so ids sort by age.
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = [0; uuid::fmt::Simple::LENGTH];
        let text: &str = uuid::Uuid::now_v7().simple().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// Takes the client's id if it is usable: 1 to [`REQUEST_ID_MAX_BYTES`] visible ASCII
    /// characters, so that it can go into a log, a header and JSON as it is.
    #[must_use]
    pub fn from_client(value: &[u8]) -> Option<Self> {
        let usable = (1..=REQUEST_ID_MAX_BYTES).contains(&value.len())
            && value.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>'));
        usable.then(|| Self(String::from_utf8_lossy(value).into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_are_dns_labels() {
        for good in ["penguins", "a", "m4-b", &"x".repeat(63)] {
            assert_eq!(good.parse::<FunctionName>().unwrap().as_str(), good);
        }
        for bad in ["", "Penguins", "4m", "-a", "a-", "a_b", "a.b", "é", "../x", &"x".repeat(64)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn request_ids_are_unique_and_usable_by_the_next_hop() {
        let (a, b) = (RequestId::generate(), RequestId::generate());
        assert_ne!(a, b);
        assert_eq!(RequestId::from_client(a.as_str().as_bytes()), Some(a));
    }

    #[test]
    fn a_client_id_that_could_break_a_log_or_header_is_refused() {
        for bad in [&b""[..], b"a b", b"a\nb", b"a\"b", "ñ".as_bytes(), &[b'a'; 129]] {
            assert_eq!(RequestId::from_client(bad), None, "{bad:?} was accepted");
        }
    }
}
