//! The public keys of an identity provider, from a file or a URL.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::AccessError;

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest list of keys that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How long a list is taken as current: what the provider withdrew is refused after so long.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The least time between two fetches, so that made-up key ids do not flood the provider.
const MIN_AGE: Duration = Duration::from_secs(60);
/// The least time after a fetch that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Where the public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// A file; it may change.
    File(PathBuf),
    /// A URL, `http` or `https`.
    Url(String),
}

/// One public key.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl PublicKey {
    fn of(jwk: &Jwk) -> Option<Self> {
        let (algorithm, called) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(p) if p.curve == EllipticCurve::P256 => {
                (Algorithm::ES256, KeyAlgorithm::ES256)
            }
            AlgorithmParameters::OctetKeyPair(p) if p.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        // A key that says what it is for is for nothing else.
        let other_algorithm = jwk.common.key_algorithm.is_some_and(|said| said != called);
        let other_use = jwk.common.public_key_use.as_ref().is_some_and(|said| *said != PublicKeyUse::Signature);
        if other_algorithm || other_use {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key })
    }

    /// Returns whether it may have signed a token of this algorithm and key id.
    fn fits(&self, algorithm: Algorithm, id: Option<&str>) -> bool {
        self.algorithm == algorithm && (id.is_none() || self.id.is_none() || self.id.as_deref() == id)
    }
}

/// The public keys as they were read last.
#[derive(Debug)]
pub(super) struct Jwks {
    source: JwksSource,
    client: Option<reqwest::Client>,
    keys: RwLock<Arc<[PublicKey]>>,
    /// When they may be fetched again, and when they must.
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    may: Instant,
    must: Instant,
}

impl Jwks {
    /// Reads the file, or asks the URL, whose servers `ca` vouches for, if given.
    pub(super) async fn open(source: JwksSource, ca: Option<&Path>) -> Result<Self, AccessError> {
        let now = Instant::now();
        let (client, keys) = match &source {
            JwksSource::File(file) => (None, read(file)?),
            JwksSource::Url(_) => (Some(client(ca)?), Arc::from([])),
        };
        let jwks = Self { source, client, keys: RwLock::new(keys), next: Mutex::new(Next { may: now, must: now }) };
        jwks.keep_fresh().await;
        if !jwks.all().is_empty() {
            // The provider may have got a new key meanwhile: the first unknown one is asked for at once.
            jwks.next.lock().await.may = now;
        }
        Ok(jwks)
    }

    /// Returns the keys that may have signed a token; asks the provider once more for one that is not
    /// known. Nothing if the provider has not told any key yet.
    pub(super) async fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<Vec<PublicKey>> {
        let found = self.fitting(algorithm, id);
        if !found.is_empty() {
            return Some(found);
        }
        self.refresh_if(|next| next.may).await;
        let known = !self.all().is_empty();
        known.then(|| self.fitting(algorithm, id))
    }

    /// Asks the provider again, if what it said is too old. Not on the way of a request, which would
    /// wait for a provider that is down.
    pub(super) async fn keep_fresh(&self) {
        self.refresh_if(|next| next.must).await;
    }

    /// Reads the file again, if it is one.
    pub(super) fn reload_file(&self) {
        let JwksSource::File(file) = &self.source else { return };
        match read(file) {
            Ok(keys) => self.set(keys),
            Err(e) => tracing::error!("{e}; the keys of tokens stay as they were"),
        }
    }

    fn all(&self) -> Arc<[PublicKey]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, keys: Arc<[PublicKey]>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    fn fitting(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<PublicKey> {
        self.all().iter().filter(|key| key.fits(algorithm, id)).cloned().collect()
    }

    /// Asks the provider, if the time that `when` picks has come. Others wait for the same answer.
    async fn refresh_if(&self, when: impl Fn(&Next) -> Instant) {
        let (Some(client), JwksSource::Url(url)) = (&self.client, &self.source) else { return };
        let mut next = self.next.lock().await;
        if Instant::now() < when(&next) {
            return;
        }
        let fetched = fetch(client, url).await;
        let now = Instant::now();
        *next = match fetched {
            Ok(keys) => {
                tracing::info!(n_keys = keys.len(), "{url}: keys of tokens fetched");
                self.set(keys);
                Next { may: now + MIN_AGE, must: now + MAX_AGE }
            }
            Err(why) => {
                tracing::error!("{url}: {why}; the keys of tokens stay as they were");
                Next { may: now + AFTER_FAILURE, must: now + AFTER_FAILURE }
            }
        };
    }
}

fn client(ca: Option<&Path>) -> Result<reqwest::Client, AccessError> {
    crate::tls::install_crypto();
    let mut builder = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    if let Some(file) = ca {
        let pem = std::fs::read(file).map_err(|e| AccessError::new(file.display(), e))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| AccessError::new(file.display(), e))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|e| AccessError::new("a client for the keys of tokens", e))
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Arc<[PublicKey]>, String> {
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|e| with_causes(&e))?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| with_causes(&e))? {
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(format!("the list of keys has more than {MAX_BYTES} bytes"));
        }
        text.extend_from_slice(&chunk);
    }
    parse(&text)
}

fn read(file: &Path) -> Result<Arc<[PublicKey]>, AccessError> {
    let text = std::fs::read(file).map_err(|e| AccessError::new(file.display(), e))?;
    parse(&text).map_err(|why| AccessError::new(file.display(), why))
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// Reads a JSON Web Key Set (RFC 7517). Keys of other kinds are left out, as the RFC asks for.
fn parse(text: &[u8]) -> Result<Arc<[PublicKey]>, String> {
    let set: Set = serde_json::from_slice(text).map_err(|e| format!("this is no JSON Web Key Set: {e}"))?;
    let known = |value: serde_json::Value| PublicKey::of(&serde_json::from_value(value).ok()?);
    let keys: Vec<_> = set.keys.into_iter().filter_map(known).collect();
    if keys.is_empty() {
        return Err("it holds no key for RS256, ES256 or EdDSA".into());
    }
    Ok(keys.into())
}

/// Returns an error with all that caused it: reqwest's own words end before the reason.
fn with_causes(e: &dyn std::error::Error) -> String {
    std::iter::successors(e.source(), |e| e.source()).fold(e.to_string(), |text, cause| format!("{text}: {cause}"))
}
