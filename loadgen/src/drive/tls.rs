//! How TLS is spoken, and whom it believes.

use std::sync::Arc;

use bytes::Bytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::here::Protocol;

/// How TLS is spoken, and with whom.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Whom it believes, and what it offers.
    pub config: Arc<ClientConfig>,
    /// Whose certificate is wanted.
    pub name: ServerName<'static>,
}

/// Certificates, PEM.
#[derive(Debug, Clone)]
pub struct Pem {
    /// Where they are from, in words.
    pub file: String,
    /// What stands there.
    pub text: Bytes,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of certificates cannot be used.
    #[error("{file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// Why not.
        reason: String,
    },
    /// The host cannot have a certificate.
    #[error("`{0}` is not a host that can have a certificate")]
    Name(String),
    /// rustls refuses.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Tls {
    /// Makes it for `host`, which may have a port. Believes those whose certificates are in `ca`, or
    /// whom the system believes, or anybody if it is `insecure`.
    ///
    /// # Errors
    /// A file or a host that cannot be used.
    pub fn new(host: &str, ca: Option<&Pem>, insecure: bool, protocol: Protocol) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let mut config = if insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
        } else if let Some(pem) = ca {
            builder.with_root_certificates(roots(pem)?).with_no_client_auth()
        } else {
            builder.with_platform_verifier()?.with_no_client_auth()
        };
        config.alpn_protocols = vec![if protocol == Protocol::H2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let wrong = || TlsError::Name(host.to_owned());
        let authority: http::uri::Authority = host.parse().map_err(|_| wrong())?;
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|_| wrong())?;
        Ok(Self { config: Arc::new(config), name })
    }
}

fn roots(pem: &Pem) -> Result<RootCertStore, TlsError> {
    let wrong = |reason: &dyn std::fmt::Display| TlsError::File { file: pem.file.clone(), reason: reason.to_string() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem.text) {
        roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    }
    if roots.is_empty() { Err(wrong(&"there is no certificate in it")) } else { Ok(roots) }
}

/// Believes anybody, whose signatures must still be right.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
