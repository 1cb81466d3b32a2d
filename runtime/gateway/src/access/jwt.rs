//! Tokens of an identity provider (RFC 7519): signature, times, issuer, audience, and the functions
//! that the claim `functions` names.

use std::path::PathBuf;
use std::time::Duration;

use drover_core::ErrorKind;
use jsonwebtoken::errors::ErrorKind as TokenError;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::jwks::{Jwks, JwksSource};
use super::keys::Functions;
use super::{AccessError, signature};
use crate::error::Error;

/// Whose tokens are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtConfig {
    /// Where the public keys are.
    pub jwks: JwksSource,
    /// Who vouches for the server of the keys, as PEM; unless set, those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// The claim `iss` that is asked for.
    pub issuer: Option<String>,
    /// Of these, one must be in the claim `aud`; empty asks for none.
    pub audience: Vec<String>,
    /// How far clocks may differ; 60 s unless set.
    pub leeway: Duration,
    /// What a token without the claim `functions` is for.
    pub without_functions: WithoutFunctions,
}

/// What a token without the claim `functions` is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WithoutFunctions {
    /// For no function.
    #[default]
    None,
    /// For every function.
    All,
}

/// Checks tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    config: JwtConfig,
    jwks: Jwks,
}

#[derive(Deserialize)]
struct Claims {
    functions: Option<Names>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Words(String),
}

/// Returns whether `secret` has the three parts of a token; no API key has dots.
pub(super) fn looks_like_token(secret: &str) -> bool {
    secret.bytes().filter(|b| *b == b'.').count() == 2
}

impl Tokens {
    /// Reads or fetches the public keys.
    pub(super) async fn open(config: JwtConfig) -> Result<Self, AccessError> {
        signature::install();
        let jwks = Jwks::open(config.jwks.clone(), config.ca.as_deref()).await?;
        Ok(Self { config, jwks })
    }

    /// Returns the functions that `token` is for.
    pub(super) async fn functions(&self, token: &str) -> Result<Functions, Error> {
        let header = decode_header(token).map_err(|e| invalid(e.kind()))?;
        if !signature::ALGORITHMS.contains(&header.alg) {
            return Err(Error::invalid_token("the token is not signed by RS256, ES256 or EdDSA"));
        }
        let Some(keys) = self.jwks.find(header.alg, header.kid.as_deref()).await else {
            let detail = "the keys that sign tokens cannot be fetched, try again soon";
            return Err(Error::new(ErrorKind::NotReady, detail));
        };
        let mut wrong = Error::invalid_token("the token is signed by an unknown key");
        for key in keys {
            match self.decode(token, key.algorithm, &key.key) {
                Ok(claims) => return self.functions_of(claims),
                Err(e) => wrong = invalid(e.kind()),
            }
        }
        Err(wrong)
    }

    /// Fetches the public keys again, if they are behind a URL and too old.
    pub(super) async fn keep_fresh(&self) {
        self.jwks.keep_fresh().await;
    }

    /// Reads the public keys again, if they are in a file.
    pub(super) fn reload_file(&self) {
        self.jwks.reload_file();
    }

    fn decode(&self, token: &str, algorithm: Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Claims> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = !self.config.audience.is_empty();
        let mut required = vec!["exp"];
        if validation.validate_aud {
            validation.set_audience(&self.config.audience);
            required.push("aud");
        }
        if let Some(issuer) = &self.config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        decode::<Claims>(token, key, &validation).map(|data| data.claims)
    }

    fn functions_of(&self, claims: Claims) -> Result<Functions, Error> {
        let parsed = match claims.functions {
            Some(Names::List(names)) => Functions::parse(names.iter().map(String::as_str)),
            Some(Names::Words(names)) => Functions::parse(names.split_whitespace()),
            None if self.config.without_functions == WithoutFunctions::All => Ok(Functions::All),
            None => Functions::parse([]),
        };
        parsed.map_err(|why| Error::invalid_token(format!("the claim `functions` of the token: {why}")))
    }
}

/// Says what is wrong with a token.
fn invalid(kind: &TokenError) -> Error {
    let why = match kind {
        TokenError::ExpiredSignature => "has expired".into(),
        TokenError::ImmatureSignature => "is not valid yet".into(),
        TokenError::InvalidIssuer => "is of another issuer".into(),
        TokenError::InvalidAudience => "is for another audience".into(),
        TokenError::InvalidSignature => "has a wrong signature".into(),
        TokenError::MissingRequiredClaim(claim) => format!("lacks the claim `{claim}`"),
        _ => "is not well-formed".into(),
    };
    Error::invalid_token(format!("the token {why}"))
}
