//! Where Consul or Nomad answers, and with what right it is asked.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Certificate, Client, Identity, Url};

/// A server that nobody answers for this long is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A connection on which nothing comes back for this long is checked: its host may be gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where Consul or Nomad answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Such as `http://127.0.0.1:8500`.
    pub url: String,
    /// The access token; none by default.
    pub token: Option<Secret>,
    /// The certificates, PEM, of those who may have signed the server's; those of the system by default.
    pub ca_file: Option<PathBuf>,
    /// The certificate, PEM, that the server sees; none by default.
    pub client_cert: Option<PathBuf>,
    /// The key of `client_cert`, PEM.
    pub client_key: Option<PathBuf>,
}

/// A text that nobody sees in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why the engine of a cluster cannot start. A server that does not answer is no reason: it is asked
/// until it does.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nobody to ask.
    #[error("neither Consul nor Nomad is configured: give the URL of one of them")]
    NoServer,
    /// A URL is none.
    #[error("the URL of {server} is `{url}`, not one such as http://127.0.0.1:8500")]
    Url {
        /// Whose URL.
        server: &'static str,
        /// What it is.
        url: String,
    },
    /// A file cannot be read.
    #[error("{file}, for {server}: {source}")]
    File {
        /// For whom.
        server: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Only one of certificate and key was given.
    #[error("{server}: a client certificate needs its key, and a key its certificate")]
    HalfIdentity {
        /// For whom.
        server: &'static str,
    },
    /// Certificates cannot be used.
    #[error("TLS to {server}: {why}")]
    Tls {
        /// For whom.
        server: &'static str,
        /// Why not.
        why: String,
    },
}

impl Secret {
    /// Returns the text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Endpoint {
    /// Returns an endpoint without token and certificates.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Reads the files and returns a client, and the URL that all paths come after.
    pub(super) fn open(&self, server: &'static str) -> Result<(Client, Url), StartError> {
        let bad_url = || StartError::Url { server, url: self.url.clone() };
        let url = Url::parse(&self.url).map_err(|_| bad_url())?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(bad_url());
        }
        let tls = |e: reqwest::Error| StartError::Tls { server, why: super::api::cause(&e) };
        // Another library of cryptography may be chosen already, which then stays.
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().no_proxy().connect_timeout(CONNECT_LIMIT).tcp_keepalive(KEEP_ALIVE);
        if let Some(file) = &self.ca_file {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(&read(server, file)?).map_err(tls)?);
        }
        match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => {
                let mut pem = read(server, certificate)?;
                pem.push(b'\n');
                pem.extend(read(server, key)?);
                builder = builder.identity(Identity::from_pem(&pem).map_err(tls)?);
            }
            (None, None) => {}
            _ => return Err(StartError::HalfIdentity { server }),
        }
        Ok((builder.build().map_err(tls)?, url))
    }
}

fn read(server: &'static str, file: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(file).map_err(|source| StartError::File { server, file: file.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_in_no_log() {
        let endpoint = Endpoint { token: Some("hush".to_owned().into()), ..Endpoint::new("http://localhost") };
        assert!(!format!("{endpoint:?}").contains("hush"), "{endpoint:?}");
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said() {
        let said = |endpoint: Endpoint| endpoint.open("Consul").unwrap_err().to_string();
        let url = said(Endpoint::new("127.0.0.1:8500"));
        assert_eq!(url, "the URL of Consul is `127.0.0.1:8500`, not one such as http://127.0.0.1:8500");
        let good = Endpoint::new("https://localhost");
        let file = said(Endpoint { ca_file: Some("/nowhere/ca.pem".into()), ..good.clone() });
        assert!(file.starts_with("/nowhere/ca.pem, for Consul: "), "{file}");
        let half = said(Endpoint { client_cert: Some("/nowhere".into()), ..good });
        assert_eq!(half, "Consul: a client certificate needs its key, and a key its certificate");
    }
}
