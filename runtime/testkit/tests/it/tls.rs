//! The engine for a cluster asks a real Consul that speaks TLS only to whom it knows.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_engine::Catalog as _;
use drover_engine::cluster::{Cluster, Endpoint};
use drover_testkit::{Consul, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::catalog::{address, said, settings};

/// How long the engine may take to see an instance, or to say that it cannot ask.
const SEEN: Duration = Duration::from_secs(30);

/// Files of an authority, and of a server and a client that it vouches for.
struct Files(PathBuf);

impl Files {
    fn make(dir: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self(dir.into());
        std::fs::write(files.at("ca.pem"), authority.pem()).unwrap();
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        for (name, usage) in [("server", &both[..]), ("client", &both[1..])] {
            let mut params = CertificateParams::new(names.clone()).unwrap();
            params.extended_key_usages = usage.to_vec();
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            std::fs::write(files.at(&format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(files.at(&format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        files
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[tokio::test]
async fn a_consul_that_wants_certificates_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::make(dir.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        r#"
server                = true
bootstrap             = true
disable_update_check  = true
verify_incoming_https = true
ca_file               = "{ca}"
cert_file             = "{cert}"
key_file              = "{key}"
ports {{
  https = {port}
}}
"#,
        ca = files.at("ca.pem").display(),
        cert = files.at("server.pem").display(),
        key = files.at("server.key").display(),
    );
    std::fs::write(files.at("consul.hcl"), config).unwrap();
    let Some(consul) = Consul::from_files(&[&files.at("consul.hcl")], None).await else { return };
    consul.register("penguins", "a", address(10), &["drover"], "passing").await;

    let known = Endpoint {
        url: format!("https://localhost:{port}"),
        ca_file: Some(files.at("ca.pem")),
        client_cert: Some(files.at("client.pem")),
        client_key: Some(files.at("client.key")),
        ..Endpoint::default()
    };
    let stranger = Endpoint { client_cert: None, client_key: None, ..known.clone() };
    let mistrustful = Endpoint { ca_file: None, ..known.clone() };

    let with =
        |endpoint| drover_engine::cluster::Settings { consul: Some(endpoint), ..settings(None, None, address(1)) };
    let cluster = Cluster::start(with(known)).await.unwrap();
    let view = cluster.watch();
    eventually("the instance is seen", SEEN, || {
        let is_seen = said(&view.borrow()) == ["0 10 ready"];
        async move { is_seen.then_some(()) }
    })
    .await;
    for (endpoint, why) in [(stranger, "certificate"), (mistrustful, "certificate")] {
        let cluster = Cluster::start(with(endpoint)).await.unwrap();
        let view = cluster.watch();
        // A server that hangs up on a stranger may do so before its reason is read: then the next attempt says it.
        eventually("it is said why Consul cannot be asked", SEEN, || {
            let lost = view.borrow().lost.clone();
            async move { lost.filter(|lost| lost.to_lowercase().contains(why)) }
        })
        .await;
        assert_eq!(said(&view.borrow()), Vec::<String>::new());
    }
}
