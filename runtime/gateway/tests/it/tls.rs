//! TLS with real certificates and clients, and new certificates under use.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use drover_engine::Peers;
use drover_gateway::Settings;
use drover_gateway::tls::{Tls, TlsError, is_http2};
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::house::{House, eventually};

/// Files of a certificate for `localhost`.
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    dir: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let files = Self { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem"), dir };
        files.renew();
        files
    }

    /// Writes another certificate and returns it.
    fn renew(&self) -> String {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.replace(&self.key, &signing_key.serialize_pem());
        self.replace(&self.cert, &cert.pem());
        cert.pem()
    }

    fn replace(&self, file: &Path, text: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    fn pem(&self) -> String {
        std::fs::read_to_string(&self.cert).unwrap()
    }
}

/// Answers every request with the HTTP version that it came by; counts handshakes that failed.
async fn serve(tls: Tls) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, n_failed) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let failed = Arc::clone(&n_failed);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (handshake, failed) = (tls.accept(stream), Arc::clone(&failed));
            tokio::spawn(async move {
                let Ok(stream) = handshake.await else {
                    failed.fetch_add(1, Ordering::SeqCst);
                    return;
                };
                let agreed = is_http2(&stream);
                let answer = service_fn(move |request: Request<Incoming>| async move {
                    assert_eq!(agreed, request.version() == Version::HTTP_2);
                    Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(format!(
                        "{:?}",
                        request.version()
                    ))))
                });
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    (port, n_failed)
}

fn client(trusted: &str) -> reqwest::ClientBuilder {
    let trusted = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([trusted]).timeout(Duration::from_secs(10))
}

async fn get(client: &reqwest::Client, port: u16) -> Result<String, reqwest::Error> {
    client.get(format!("https://localhost:{port}/")).send().await?.text().await
}

#[tokio::test]
async fn http_2_and_1_1_are_agreed_upon() {
    let files = Files::new();
    let (port, _) = serve(Tls::open(&files.cert, &files.key).unwrap()).await;
    let pem = files.pem();
    assert_eq!(get(&client(&pem).build().unwrap(), port).await.unwrap(), "HTTP/2.0");
    assert_eq!(get(&client(&pem).http1_only().build().unwrap(), port).await.unwrap(), "HTTP/1.1");
    assert!(get(&client(&Files::new().pem()).build().unwrap(), port).await.is_err(), "a stranger is trusted");
}

#[tokio::test]
async fn who_speaks_no_tls_is_turned_away() {
    let files = Files::new();
    let (port, n_failed) = serve(Tls::open(&files.cert, &files.key).unwrap()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    eventually("the handshake fails", async || (n_failed.load(Ordering::SeqCst) == 1).then_some(())).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_under_use_and_a_broken_one_is_not() {
    let files = Files::new();
    let (port, n_failed) = serve(Tls::open(&files.cert, &files.key).unwrap()).await;
    let old = files.pem();
    let kept = client(&old).build().unwrap();
    assert!(get(&kept, port).await.is_ok());
    // A certificate without its key, and one that is none.
    files.replace(&files.key, &std::fs::read_to_string(Files::new().key).unwrap());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(get(&client(&old).build().unwrap(), port).await.is_ok(), "a key of another certificate is used");
    files.replace(&files.cert, "-----BEGIN CERTIFICATE-----\nnonsense\n");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(get(&client(&old).build().unwrap(), port).await.is_ok(), "a broken certificate is used");
    let new = files.renew();
    let shown = async || get(&client(&new).build().unwrap(), port).await.ok();
    eventually("the new certificate is shown", shown).await;
    // The connection from before goes on.
    assert_eq!(get(&kept, port).await.unwrap(), "HTTP/2.0");
    assert!(get(&client(&old).build().unwrap(), port).await.is_err(), "the old certificate is still shown");
    assert!(n_failed.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let (files, other) = (Files::new(), Files::new());
    let missing = files.dir.path().join("missing.pem");
    let open = |cert: &Path, key: &Path| Tls::open(cert, key).unwrap_err();
    assert!(open(&missing, &files.key).to_string().contains("missing.pem"));
    assert!(matches!(open(&files.key, &files.key), TlsError::File { file, .. } if file == files.key));
    assert!(matches!(open(&files.cert, &files.cert), TlsError::File { file, .. } if file == files.cert));
    assert!(matches!(open(&files.cert, &other.key), TlsError::Pair { .. }));
}

/// The gateways beside one, as the test says.
struct Party(watch::Sender<Arc<drover_engine::Party>>);

impl Party {
    fn new(leads: bool, leader: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(Arc::new(drover_engine::Party { leads, leader, others: Vec::new() }))))
    }
}

impl Peers for Party {
    fn watch(&self) -> watch::Receiver<Arc<drover_engine::Party>> {
        self.0.subscribe()
    }
}

/// Starts a gateway with the certificate of `files` that knows a function without instances.
async fn gateway(files: &Files, party: Arc<Party>) -> House {
    let settings = Settings { scale_interval: Duration::from_millis(50), ..Settings::default() };
    let tls = Tls::open(&files.cert, &files.key).unwrap();
    let house = House::start_with(settings, Some(tls), party).await;
    house.script.scales.store(true, Ordering::SeqCst);
    house.script.set_count(0);
    house.script.show(&[]);
    house
}

/// Leaves a request waiting at `house`.
fn wait_at(house: &House, files: &Files) -> tokio::task::JoinHandle<()> {
    let (client, url) = (client(&files.pem()).build().unwrap(), format!("https://localhost:{}", house.address.port()));
    tokio::spawn(async move { drop(client.post(format!("{url}/functions/penguins/predict")).body("{}").send().await) })
}

#[tokio::test]
async fn gateways_with_one_certificate_tell_each_other_their_load() {
    let (files, others_files) = (Files::new(), Files::new());
    let party = Party::new(true, None);
    let leader = gateway(&files, Arc::clone(&party)).await;
    let asked = || leader.script.asked.lock().unwrap().clone();

    // A stranger, whose certificate is another, is not believed.
    let stranger = gateway(&others_files, Party::new(false, None)).await;
    let at_stranger = wait_at(&stranger, &others_files);
    party.0.send_modify(|party| Arc::make_mut(party).others = vec![stranger.address]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(asked(), [], "a stranger is believed");

    // A request waits at a gateway that does not scale: the one that does learns of it.
    let follower = gateway(&files, Party::new(false, Some(leader.address))).await;
    let at_follower = wait_at(&follower, &files);
    party.0.send_modify(|party| Arc::make_mut(party).others = vec![stranger.address, follower.address]);
    eventually("the gateway that scales asks for an instance", async || (!asked().is_empty()).then_some(())).await;
    assert_eq!(asked()[0], ("penguins".to_owned(), 1));
    assert!(follower.script.asked.lock().unwrap().is_empty(), "only one scales");
    at_stranger.abort();
    at_follower.abort();
}
