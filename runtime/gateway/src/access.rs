//! Who may use the gateway: API keys, tokens of an identity provider, and how much each may ask for.

mod bucket;
mod digest;
mod jwks;
mod jwt;
mod keys;
mod limits;
mod new_key;
mod signature;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Instant;

use drover_core::{ErrorKind, FunctionName};
use http::{HeaderMap, header};
use tokio::sync::OwnedSemaphorePermit;

use crate::changed::{POLL, Watched};
use crate::error::Error;
pub use digest::Digest;
pub use jwks::JwksSource;
use jwt::Tokens;
pub use jwt::{JwtConfig, WithoutFunctions};
pub use keys::Functions;
use keys::Keys;
pub use new_key::{NewKey, NoRandomness};

/// The longest key or token that is looked at, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Who may use the gateway. Without keys and tokens, everybody may.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccessConfig {
    /// The file of the API keys.
    pub keys: Option<PathBuf>,
    /// Whose tokens are taken.
    pub jwt: Option<JwtConfig>,
    /// Who may use the control API; unless set, who comes from this machine.
    pub admin: Option<Admin>,
}

/// The key of the control API.
#[derive(Debug, Clone, PartialEq)]
pub enum Admin {
    /// Its SHA-256.
    Sha256(Digest),
    /// A file that holds its SHA-256 in hexadecimal; it may change.
    File(PathBuf),
}

/// Why access cannot be decided.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct AccessError {
    what: String,
    why: String,
}

impl AccessError {
    pub(crate) fn new(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

/// Decides who may use the gateway. Files are read again when they change; a broken one is logged,
/// and what was read before stays.
#[derive(Debug)]
pub struct Access {
    config: AccessConfig,
    keys: RwLock<Arc<Keys>>,
    tokens: Option<Tokens>,
    admin: RwLock<Option<Digest>>,
}

/// The right to one request. Its place among the key's concurrent requests is free again when it is
/// dropped.
#[derive(Debug)]
pub struct Grant {
    name: Arc<str>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Grant {
    /// Returns the name of the key, `jwt` for a token, `anyone` where neither is asked for: few
    /// enough names for a metric.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Access {
    /// Reads the files, fetches the keys of tokens if they are behind a URL, and starts to look for
    /// changes. A URL that does not answer is logged and asked again when a token comes.
    ///
    /// # Errors
    /// [`AccessError`] names the file that cannot be read, and what is wrong in it.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn open(config: AccessConfig) -> Result<Arc<Self>, AccessError> {
        let watched = Watched::new(config.files());
        let tokens = match &config.jwt {
            Some(jwt) => Some(Tokens::open(jwt.clone()).await?),
            None => None,
        };
        let keys = match &config.keys {
            Some(file) => Keys::read(file, None)?,
            None => Keys::default(),
        };
        let admin = read_admin(config.admin.as_ref())?;
        let access = Self { config, keys: RwLock::new(Arc::new(keys)), tokens, admin: RwLock::new(admin) };
        let access = Arc::new(access);
        tokio::spawn(follow(Arc::downgrade(&access), watched));
        Ok(access)
    }

    /// Returns whether a key or token is needed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.config.keys.is_none() && self.tokens.is_none()
    }

    /// Lets a request to `function` pass, or says why not. `headers` are those of the request. Dropping
    /// the future takes nothing of the key's rate.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] without a valid key or token, [`ErrorKind::Forbidden`] for a function
    /// that it is not for, [`ErrorKind::RateLimited`] beyond its rate or concurrency, and
    /// [`ErrorKind::NotReady`] as long as the keys of tokens cannot be fetched.
    pub async fn check(&self, function: &FunctionName, headers: &HeaderMap) -> Result<Grant, Error> {
        if self.is_open() {
            return Ok(Grant { name: "anyone".into(), _place: None });
        }
        let secret = bearer(headers)?;
        if let Some(tokens) = self.tokens.as_ref().filter(|_| jwt::looks_like_token(secret)) {
            let functions = tokens.functions(secret).await?;
            allow(&functions, function, "token")?;
            return Ok(Grant { name: "jwt".into(), _place: None });
        }
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let Some(key) = keys.find(&Digest::of(secret.as_bytes())) else {
            return Err(Error::invalid_token("the key is not known"));
        };
        allow(&key.functions, function, "key")?;
        let place = key.limits.enter(Instant::now())?;
        Ok(Grant { name: Arc::clone(&key.name), _place: place })
    }

    /// Lets a request pass that has any valid key or token, for whatever function. It takes nothing of the
    /// key's rate.
    ///
    /// # Errors
    /// As [`Access::check`], but for what concerns one function.
    pub async fn check_any(&self, headers: &HeaderMap) -> Result<(), Error> {
        if self.is_open() {
            return Ok(());
        }
        let secret = bearer(headers)?;
        if let Some(tokens) = self.tokens.as_ref().filter(|_| jwt::looks_like_token(secret)) {
            return tokens.functions(secret).await.map(drop);
        }
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let known = keys.find(&Digest::of(secret.as_bytes())).is_some();
        if known { Ok(()) } else { Err(Error::invalid_token("the key is not known")) }
    }

    /// Lets a request to the control API pass, or says why not. With an admin key it is always needed;
    /// without one, only this machine may.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] without the admin key, [`ErrorKind::Forbidden`] from elsewhere if
    /// there is none.
    pub fn check_admin(&self, headers: &HeaderMap, client: SocketAddr) -> Result<(), Error> {
        let admin = *self.admin.read().unwrap_or_else(PoisonError::into_inner);
        match admin {
            Some(wanted) if Digest::of(bearer(headers)?.as_bytes()).is(&wanted) => Ok(()),
            Some(_) => Err(Error::invalid_token("this is not the admin key")),
            None if client.ip().to_canonical().is_loopback() => Ok(()),
            None => {
                let detail = "the control API answers to its own machine only, as no admin key is configured";
                Err(Error::new(ErrorKind::Forbidden, detail))
            }
        }
    }

    /// Returns whether an admin key is configured: then the control API may be asked from anywhere.
    #[must_use]
    pub fn has_admin_key(&self) -> bool {
        self.config.admin.is_some()
    }

    /// Reads all files again; what is broken stays as it was.
    fn reload(&self) {
        if let Some(file) = &self.config.keys {
            let before = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
            match Keys::read(file, Some(&before)) {
                Ok(keys) => {
                    tracing::info!(n_keys = keys.len(), "{}: read again", file.display());
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                }
                Err(e) => tracing::error!("{e}; the keys stay as they were"),
            }
        }
        match read_admin(self.config.admin.as_ref()) {
            Ok(admin) => *self.admin.write().unwrap_or_else(PoisonError::into_inner) = admin,
            Err(e) => tracing::error!("{e}; the admin key stays as it was"),
        }
        if let Some(tokens) = &self.tokens {
            tokens.reload_file();
        }
    }
}

impl AccessConfig {
    /// Returns the files that may change.
    fn files(&self) -> impl Iterator<Item = &std::path::Path> {
        let admin = match &self.admin {
            Some(Admin::File(file)) => Some(file),
            _ => None,
        };
        let jwks = match self.jwt.as_ref().map(|jwt| &jwt.jwks) {
            Some(JwksSource::File(file)) => Some(file),
            _ => None,
        };
        [self.keys.as_ref(), admin, jwks].into_iter().flatten().map(PathBuf::as_path)
    }
}

/// Looks for changes until `access` is dropped.
async fn follow(access: Weak<Access>, mut watched: Watched) {
    loop {
        tokio::time::sleep(POLL).await;
        let Some(access) = access.upgrade() else { return };
        if watched.has_changed() {
            access.reload();
        }
        if let Some(tokens) = &access.tokens {
            tokens.keep_fresh().await;
        }
    }
}

fn read_admin(admin: Option<&Admin>) -> Result<Option<Digest>, AccessError> {
    match admin {
        None => Ok(None),
        Some(Admin::Sha256(digest)) => Ok(Some(*digest)),
        Some(Admin::File(file)) => {
            let text = std::fs::read_to_string(file).map_err(|e| AccessError::new(file.display(), e))?;
            text.trim().parse().map(Some).map_err(|e| AccessError::new(file.display(), e))
        }
    }
}

/// Returns what follows `Bearer` in the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let missing = || Error::new(ErrorKind::Unauthorized, "send `Authorization: Bearer` with a key or token");
    let value = all.next().ok_or_else(missing)?;
    if all.next().is_some() {
        return Err(Error::new(ErrorKind::Unauthorized, "send one Authorization header, not several"));
    }
    let (scheme, secret) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let secret = secret.trim();
    if secret.len() > MAX_TOKEN_BYTES {
        let detail = format!("the token has {} bytes, the limit is {MAX_TOKEN_BYTES}", secret.len());
        return Err(Error::invalid_token(detail));
    }
    if secret.is_empty() { Err(missing()) } else { Ok(secret) }
}

fn allow(functions: &Functions, function: &FunctionName, what: &str) -> Result<(), Error> {
    if functions.contain(function) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Forbidden, format!("the {what} is not for `{function}`")))
}
