//! TLS to PostgreSQL, in the words of its own clients: `sslmode` and `sslrootcert` in the URL.
//!
//! With `require`, `verify-ca` or `verify-full` the server must prove its name by a certificate, of an authority in the
//! file `sslrootcert` or of one that the system believes. Without one of these the connection is plain: a certificate
//! that nobody checks keeps nobody out.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Reads a URL; returns how TLS is spoken, if it is.
pub(super) fn read(url: &str) -> Result<(Config, Option<MakeRustlsConnect>), String> {
    let (url, root) = without_root(url);
    let config: Config = url.parse().map_err(|e| super::postgres::said(&e))?;
    match (config.get_ssl_mode(), root) {
        (SslMode::Require, root) => Ok((config, Some(tls(root.as_deref().map(Path::new))?))),
        (_, None) => Ok((config, None)),
        (_, Some(_)) => Err("sslrootcert says whose certificates are believed: say sslmode=verify-full, too".into()),
    }
}

/// Takes what tokio-postgres does not know out of the URL: the file of authorities, and modes that ask for no more than
/// `require` does here.
fn without_root(url: &str) -> (String, Option<String>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let mut root = None;
    let mut kept = form_urlencoded::Serializer::new(String::new());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*key, &*value) {
            ("sslrootcert", file) => root = Some(file.to_owned()),
            ("sslmode", "verify-ca" | "verify-full") => drop(kept.append_pair(&key, "require")),
            _ => drop(kept.append_pair(&key, &value)),
        }
    }
    // As spaces PostgreSQL knows only %20.
    (format!("{place}?{}", kept.finish().replace('+', "%20")), root)
}

fn tls(root: Option<&Path>) -> Result<MakeRustlsConnect, String> {
    let failed = |e: rustls::Error| format!("TLS: {e}");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    let builder = match root {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.with_platform_verifier().map_err(failed)?,
    };
    Ok(MakeRustlsConnect::new(builder.with_no_client_auth()))
}

fn authorities(file: &Path) -> Result<RootCertStore, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("sslrootcert={}: {e}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| wrong(&e))? {
        roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    }
    if roots.is_empty() { Err(wrong(&"no certificate is in it")) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_whether_tls_is_spoken() {
        let refused = |url: &str| read(url).err().unwrap_or_default();
        for (url, is_tls) in [
            ("postgres://drover@db/feedback", false),
            ("postgres://drover@db/feedback?sslmode=prefer", false),
            ("postgres://drover@db/feedback?sslmode=disable", false),
            ("postgres://drover@db/feedback?sslmode=require", true),
            ("postgres://drover@db/feedback?sslmode=verify-full&application_name=a%20b", true),
        ] {
            let (config, tls) = read(url).unwrap();
            assert_eq!(tls.is_some(), is_tls, "{url}");
            assert_eq!(config.get_dbname(), Some("feedback"), "{url}");
        }
        assert!(refused("postgres://drover@db/feedback?sslrootcert=/x.pem").contains("say sslmode=verify-full"));
        let missing = refused("postgres://drover@db/feedback?sslmode=require&sslrootcert=%2Fno%20such.pem");
        assert!(missing.starts_with("sslrootcert=/no such.pem: "), "{missing}");
        assert!(refused("postgres://drover@db/feedback?sslmode=perhaps").contains("sslmode"));
    }
}
