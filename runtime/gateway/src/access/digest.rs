//! The SHA-256 of a key, which is all that the gateway keeps of it.
//!
//! A slow hash such as argon2 protects what people make up. A key of `drover key new` has 256 random
//! bits: nobody finds it from its SHA-256 by trying, and every request would pay for the slowness.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the SHA-256 of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }

    /// Returns whether both are the same, in a time that tells nothing about where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Digest {
    type Err = String;

    /// Reads 64 hexadecimal digits. The text is not repeated in the error: it may be the key itself.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is not a SHA-256 in 64 hexadecimal digits, as `drover key new` prints it".to_owned();
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Returns `bytes` in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_sha256sum_prints() {
        let printed = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), printed);
        assert!(printed.parse::<Digest>().unwrap().is(&Digest::of(b"abc")));
        assert!(!Digest::of(b"abd").is(&Digest::of(b"abc")));
    }

    #[test]
    fn what_is_no_digest_is_not_repeated() {
        for bad in ["", "my-secret", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            let message = bad.parse::<Digest>().unwrap_err();
            assert!(bad.is_empty() || !message.contains(bad), "{message}");
        }
    }
}
