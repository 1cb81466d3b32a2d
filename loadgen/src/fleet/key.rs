//! The key that all of a fleet share, and how each shows the other that it knows it without saying it.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a key at least: what a proof shows could be guessed from afterwards, if the key were short.
const KEY_BYTES_MIN: usize = 16;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 32;

/// The key of a fleet. One without a key, which only this machine's own may be, has the empty one.
#[derive(Clone)]
pub struct Key {
    secret: hmac::Key,
    is_empty: bool,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is too short.
    #[error("the fleet's key has {0} bytes, and must have {KEY_BYTES_MIN} at least: `openssl rand -hex 32` makes one")]
    Short(usize),
}

/// Who shows that it knows the key: so that no proof can be sent back to who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Master,
    Worker,
}

impl Key {
    /// Makes a key of `text`, without the blanks around it.
    ///
    /// # Errors
    /// It is too short.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() < KEY_BYTES_MIN {
            return Err(KeyError::Short(text.len()));
        }
        Ok(Self { secret: hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()), is_empty: false })
    }

    /// Reads a file that holds a key.
    ///
    /// # Errors
    /// It cannot be read, or the key is too short.
    pub fn read(file: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(file);
        Self::new(&text.map_err(|source| KeyError::File { file: file.display().to_string(), source })?)
    }

    /// Returns the key of a fleet that has none.
    #[must_use]
    pub fn none() -> Self {
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &[]), is_empty: true }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.is_empty
    }

    /// Returns a proof that `side` knows the key, for these words only.
    pub(super) fn prove(&self, side: Side, words: &[&str]) -> String {
        BASE64_STANDARD.encode(hmac::sign(&self.secret, &said(side, words)))
    }

    /// Whether `proof` is one, in a time that tells nothing about where it is wrong.
    pub(super) fn is_proven(&self, proof: &str, side: Side, words: &[&str]) -> bool {
        let proof = BASE64_STANDARD.decode(proof);
        proof.is_ok_and(|proof| hmac::verify(&self.secret, &said(side, words), &proof).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Returns what nobody can have said before.
pub(super) fn nonce() -> std::io::Result<String> {
    let mut bytes = [0; NONCE_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    Ok(BASE64_STANDARD.encode(bytes))
}

/// Puts words together so that no two lists of them are the same.
fn said(side: Side, words: &[&str]) -> Vec<u8> {
    let mut said = format!("loadgen fleet {side:?}").into_bytes();
    for word in words {
        said.extend((word.len() as u64).to_be_bytes());
        said.extend(word.as_bytes());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_proves_the_same_words() {
        let key = Key::new(" 0123456789abcdef\n").unwrap();
        let words = ["a", "bc"];
        let proof = key.prove(Side::Worker, &words);
        assert!(Key::new("0123456789abcdef").unwrap().is_proven(&proof, Side::Worker, &words));
        assert!(!key.is_proven(&proof, Side::Master, &words));
        assert!(!key.is_proven(&proof, Side::Worker, &["ab", "c"]));
        assert!(!Key::new("0123456789abcdee").unwrap().is_proven(&proof, Side::Worker, &words));
        assert!(!Key::none().is_proven(&proof, Side::Worker, &words));
        assert!(!key.is_proven("no base64", Side::Worker, &words));
        assert_ne!(nonce().unwrap(), nonce().unwrap());
        assert_eq!(format!("{key:?}"), "Key(..)");
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(Key::new("  short  ").unwrap_err().to_string().contains("has 5 bytes"));
    }
}
