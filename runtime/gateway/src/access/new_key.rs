//! Makes an API key.

use ring::rand::{SecureRandom as _, SystemRandom};

use super::Functions;
use super::digest::{Digest, hex};

/// What a key begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "drover_";

/// A new API key. It is shown once: only its digest is kept.
pub struct NewKey {
    /// What a client sends.
    pub secret: String,
    /// What goes into the file of keys.
    pub toml: String,
}

/// The system has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

impl NewKey {
    /// Makes a key of 32 random bytes called `name` for `functions`.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random numbers.
    pub fn new(name: &str, functions: &Functions) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        let secret = format!("{PREFIX}{}", hex(&bytes));
        let list = match functions {
            Functions::All => "\"*\"".to_owned(),
            Functions::Named(names) => names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "),
        };
        let digest = Digest::of(secret.as_bytes());
        let toml = format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{digest}\"\nfunctions = [{list}]\n");
        Ok(Self { secret, toml })
    }
}
