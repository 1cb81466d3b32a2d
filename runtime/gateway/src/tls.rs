//! TLS of the gateway's clients: certificates that may be replaced while it runs.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as RustlsError, ServerConfig, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::changed::{POLL, Watched};

/// How long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes ring the library of all TLS of this process, unless another was chosen before.
pub(crate) fn install_crypto() {
    // It fails if one is installed already, which then stays.
    let _ = default_provider().install_default();
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or holds no such thing in PEM.
    #[error("{}: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key is not that of the certificate, or of a kind that cannot be used.
    #[error("{} and {}: {why}", cert.display(), key.display())]
    Pair {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        why: String,
    },
}

/// Accepts TLS 1.2 and 1.3 with HTTP/2 or HTTP/1.1 inside. Certificate and key are read again when their
/// files change; broken ones are logged, and those before stay. Open connections are not touched.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    to_others: TlsConnector,
    pair: Arc<Pair>,
}

impl Tls {
    /// Reads the certificate with its chain from `cert`, its private key from `key`, both PEM, and starts
    /// to look for changes.
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        install_crypto();
        let watched = Watched::new([cert, key]);
        let provider = Arc::new(default_provider());
        let current = RwLock::new(Arc::new(read(cert, key, &provider)?));
        let pair = Arc::new(Pair { cert: cert.into(), key: key.into(), current, provider: Arc::clone(&provider) });
        let to_others = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| pair.unusable(e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&pair) as _)
            .with_no_client_auth();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| pair.unusable(e))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&pair) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        tokio::spawn(follow(Arc::downgrade(&pair), watched));
        Ok(Self { acceptor: Arc::new(config).into(), to_others: Arc::new(to_others).into(), pair })
    }

    /// Returns what connects to gateways that have the same certificate, and to nobody else.
    pub(crate) fn to_others(&self) -> TlsConnector {
        self.to_others.clone()
    }

    /// Does the handshake on a new connection, within 10 s. [`is_http2`] says what was agreed upon.
    ///
    /// # Errors
    /// What went wrong; the client may have closed the connection, or not speak TLS.
    pub fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<TlsStream<TcpStream>>> + Send + use<> {
        let handshake = self.acceptor.accept(stream);
        async move {
            tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| {
                let why = format!("no TLS handshake within {} s", HANDSHAKE_TIMEOUT.as_secs());
                io::Error::new(io::ErrorKind::TimedOut, why)
            })?
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.pair.cert).finish()
    }
}

/// Returns whether client and gateway agreed upon HTTP/2.
#[must_use]
pub fn is_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Certificate and key as they were read last.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

impl Pair {
    fn reload(&self) {
        match read(&self.cert, &self.key, &self.provider) {
            Ok(pair) => {
                tracing::info!("{}: certificate read again", self.cert.display());
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
            }
            Err(e) => tracing::error!("{e}; the certificate stays as it was"),
        }
    }

    fn unusable(&self, why: impl fmt::Display) -> TlsError {
        TlsError::Pair { cert: self.cert.clone(), key: self.key.clone(), why: why.to_string() }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pair").field(&self.cert).finish()
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Whoever shows this very certificate, and proves by the handshake's signature to have its key, has what the
/// gateway itself has: no name and no authority need to say more.
impl ServerCertVerifier for Pair {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let own = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        if own.cert.first().is_some_and(|own| own == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(RustlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Looks for changes until the last [`Tls`] is dropped.
async fn follow(pair: Weak<Pair>, mut watched: Watched) {
    loop {
        tokio::time::sleep(POLL).await;
        let Some(pair) = pair.upgrade() else { return };
        if watched.has_changed() {
            pair.reload();
        }
    }
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let wrong = |file: &Path, e: pem::Error| {
        let why = match e {
            pem::Error::NoItemsFound => "holds no certificate, or no private key, in PEM".into(),
            other => other.to_string(),
        };
        TlsError::File { file: file.into(), why }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|e| wrong(cert, e))?;
    if chain.is_empty() {
        return Err(wrong(cert, pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, e))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|e| TlsError::Pair {
        cert: cert.into(),
        key: key.into(),
        why: e.to_string(),
    })
}
