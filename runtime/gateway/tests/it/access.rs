//! Who may use the gateway, with real files, tokens and servers of public keys.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use drover_core::{ErrorKind, FunctionName};
use drover_gateway::Error;
use drover_gateway::access::{
    Access, AccessConfig, Admin, Digest, Functions, Grant, JwksSource, JwtConfig, NewKey, WithoutFunctions,
};
use drover_gateway::tls::Tls;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::house::eventually;
use crate::tls::Files;

fn headers(secret: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {secret}")).unwrap();
    [(header::AUTHORIZATION, value)].into_iter().collect()
}

async fn check(access: &Access, function: &str, headers: &HeaderMap) -> Result<Grant, Error> {
    access.check(&function.parse::<FunctionName>().unwrap(), headers).await
}

/// Returns the kind of failure of a request with this key or token, if it fails.
async fn refused(access: &Access, function: &str, secret: &str) -> Option<ErrorKind> {
    check(access, function, &headers(secret)).await.err().map(|e| e.kind)
}

fn new_key(functions: &[&str]) -> NewKey {
    NewKey::new("shop", &Functions::parse(functions.iter().copied()).unwrap()).unwrap()
}

/// Replaces `file` as Nomad and Consul do.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

async fn with_keys(dir: &TempDir, text: &str) -> (Arc<Access>, PathBuf) {
    let file = dir.path().join("keys.toml");
    std::fs::write(&file, text).unwrap();
    let config = AccessConfig { keys: Some(file.clone()), ..AccessConfig::default() };
    (Access::open(config).await.unwrap(), file)
}

#[tokio::test]
async fn without_keys_everybody_may() {
    let access = Access::open(AccessConfig::default()).await.unwrap();
    assert_eq!(check(&access, "penguins", &HeaderMap::new()).await.unwrap().name(), "anyone");
}

#[tokio::test]
async fn a_key_is_for_its_functions() {
    let dir = TempDir::new().unwrap();
    let key = new_key(&["penguins", "iris"]);
    assert!(key.secret.len() > 64 && !key.toml.contains(&key.secret));
    let (access, _) = with_keys(&dir, &key.toml).await;
    let grant = check(&access, "penguins", &headers(&key.secret)).await.unwrap();
    assert_eq!(grant.name(), "shop");
    let lower: HeaderMap =
        [(header::AUTHORIZATION, format!("bearer {}", key.secret).parse().unwrap())].into_iter().collect();
    assert!(check(&access, "iris", &lower).await.is_ok());
    assert_eq!(refused(&access, "covertype", &key.secret).await, Some(ErrorKind::Forbidden));
    let none = check(&access, "penguins", &HeaderMap::new()).await.unwrap_err();
    assert_eq!((none.kind, none.invalid_token), (ErrorKind::Unauthorized, false));
    let wrong = check(&access, "penguins", &headers("drover_00")).await.unwrap_err();
    assert_eq!((wrong.kind, wrong.invalid_token), (ErrorKind::Unauthorized, true));
    let digest = Digest::of(key.secret.as_bytes()).to_string();
    assert_eq!(refused(&access, "penguins", &digest).await, Some(ErrorKind::Unauthorized));
    let mut two = headers(&key.secret);
    two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    assert_eq!(check(&access, "penguins", &two).await.unwrap_err().kind, ErrorKind::Unauthorized);
    let basic = [(header::AUTHORIZATION, HeaderValue::from_static("Basic eDp5"))].into_iter().collect();
    assert_eq!(check(&access, "penguins", &basic).await.unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(refused(&access, "penguins", &"x".repeat(9000)).await, Some(ErrorKind::Unauthorized));
    assert!(!format!("{access:?}").contains(&digest), "a digest is shown");
}

#[tokio::test]
async fn a_key_s_rate_holds_and_the_wait_is_true() {
    let dir = TempDir::new().unwrap();
    let key = new_key(&["*"]);
    let (access, _) = with_keys(&dir, &format!("{}rate = \"5/s\"\nburst = 2\n", key.toml)).await;
    for _ in 0..2 {
        assert_eq!(refused(&access, "penguins", &key.secret).await, None);
    }
    let limited = check(&access, "penguins", &headers(&key.secret)).await.unwrap_err();
    assert_eq!(limited.kind, ErrorKind::RateLimited);
    let wait = limited.retry_after.unwrap();
    assert!(wait <= Duration::from_millis(200), "{wait:?}");
    tokio::time::sleep(wait + Duration::from_millis(5)).await;
    assert_eq!(refused(&access, "penguins", &key.secret).await, None);
}

#[tokio::test]
async fn a_key_s_requests_at_once_are_limited_until_one_ends() {
    let dir = TempDir::new().unwrap();
    let key = new_key(&["*"]);
    let (access, _) = with_keys(&dir, &format!("{}concurrency = 2\n", key.toml)).await;
    let first = check(&access, "penguins", &headers(&key.secret)).await.unwrap();
    let _second = check(&access, "penguins", &headers(&key.secret)).await.unwrap();
    assert_eq!(refused(&access, "penguins", &key.secret).await, Some(ErrorKind::RateLimited));
    drop(first);
    assert_eq!(refused(&access, "penguins", &key.secret).await, None);
}

#[tokio::test]
async fn a_changed_file_counts_and_a_broken_one_does_not() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (new_key(&["*"]), new_key(&["*"]));
    let (access, file) = with_keys(&dir, &old.toml).await;
    replace(&file, "[[keys]]\nname = ");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(refused(&access, "penguins", &old.secret).await, None);
    replace(&file, &new.toml);
    eventually("the new key is known", async || {
        refused(&access, "penguins", &new.secret).await.is_none().then_some(())
    })
    .await;
    assert_eq!(refused(&access, "penguins", &old.secret).await, Some(ErrorKind::Unauthorized));
}

#[tokio::test]
async fn a_broken_file_at_the_start_is_an_error_with_its_name() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("keys.toml");
    let open = || Access::open(AccessConfig { keys: Some(file.clone()), ..AccessConfig::default() });
    assert!(open().await.unwrap_err().to_string().contains("keys.toml"));
    std::fs::write(&file, "[[keys]]\nname = \"a\"\nsha256 = \"x\"\nfunctions = []\n").unwrap();
    let message = open().await.unwrap_err().to_string();
    assert!(message.contains("keys.toml: key `a`: sha256 is not a SHA-256"), "{message}");
}

#[tokio::test]
async fn the_control_api_asks_for_its_key() {
    let (near, far): (SocketAddr, SocketAddr) = ("127.0.0.1:5".parse().unwrap(), "10.0.0.9:5".parse().unwrap());
    let open = Access::open(AccessConfig::default()).await.unwrap();
    assert!(open.check_admin(&HeaderMap::new(), near).is_ok());
    assert!(open.check_admin(&HeaderMap::new(), "[::ffff:127.0.0.1]:5".parse().unwrap()).is_ok());
    assert_eq!(open.check_admin(&HeaderMap::new(), far).unwrap_err().kind, ErrorKind::Forbidden);

    let dir = TempDir::new().unwrap();
    let file = dir.path().join("admin");
    std::fs::write(&file, format!("{}\n", Digest::of(b"old"))).unwrap();
    let config = AccessConfig { admin: Some(Admin::File(file.clone())), ..AccessConfig::default() };
    let access = Access::open(config).await.unwrap();
    assert!(access.has_admin_key());
    assert!(access.check_admin(&headers("old"), far).is_ok());
    for (headers, client) in [(HeaderMap::new(), near), (headers("new"), near), (headers("new"), far)] {
        assert_eq!(access.check_admin(&headers, client).unwrap_err().kind, ErrorKind::Unauthorized);
    }
    replace(&file, &Digest::of(b"new").to_string());
    let changed = async || access.check_admin(&headers("new"), far).ok();
    eventually("the new admin key is known", changed).await;
    assert!(access.check_admin(&headers("old"), far).is_err());
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let one = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        [18, 12, 6, 0].into_iter().take(chunk.len() + 1).map(|at| digit(bits >> at)).collect::<String>()
    };
    bytes.chunks(3).map(one).collect()
}

/// Whoever signs tokens.
enum Signer {
    Ed(Ed25519KeyPair),
    Es(EcdsaKeyPair),
}

impl Signer {
    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn es() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Es(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64url(pair.public_key().as_ref()) })
            }
            Self::Es(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": id, "x": base64url(x), "y": base64url(y) })
            }
        }
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        let algorithm = match self {
            Self::Ed(_) => "EdDSA",
            Self::Es(_) => "ES256",
        };
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&json!({ "alg": algorithm, "kid": id })), part(claims));
        let signature = match self {
            Self::Ed(pair) => pair.sign(text.as_bytes()).as_ref().to_vec(),
            Self::Es(pair) => pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{text}.{}", base64url(&signature))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn good() -> Value {
    json!({ "iss": "us", "aud": ["drover"], "exp": now() + 60, "functions": ["penguins"] })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = good();
    claims[key] = value;
    claims
}

fn jwt(jwks: JwksSource) -> AccessConfig {
    let jwt = JwtConfig {
        jwks,
        ca: None,
        issuer: Some("us".into()),
        audience: vec!["drover".into()],
        leeway: Duration::from_secs(5),
        without_functions: WithoutFunctions::None,
    };
    AccessConfig { jwt: Some(jwt), ..AccessConfig::default() }
}

#[tokio::test]
async fn a_token_is_taken_if_everything_about_it_is_right() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("jwks.json");
    let (ed, es, stranger) = (Signer::ed(), Signer::es(), Signer::ed());
    // Keys of other kinds are no mistake, and a key for encryption signs nothing.
    let mut encryption = stranger.jwk("enc");
    encryption["use"] = "enc".into();
    let other = json!({ "kty": "quantum", "kid": "q" });
    let set = json!({ "keys": [other, ed.jwk("ed"), es.jwk("es"), encryption] });
    std::fs::write(&file, set.to_string()).unwrap();
    let access = Access::open(jwt(JwksSource::File(file))).await.unwrap();

    let grant = check(&access, "penguins", &headers(&ed.token("ed", &good()))).await.unwrap();
    assert_eq!(grant.name(), "jwt");
    assert_eq!(refused(&access, "penguins", &es.token("es", &good())).await, None);
    for functions in [json!("iris penguins"), json!("*"), json!(["*"])] {
        assert_eq!(refused(&access, "penguins", &ed.token("ed", &with("functions", functions))).await, None);
    }
    for (function, claims) in [("iris", good()), ("penguins", with("functions", Value::Null))] {
        assert_eq!(refused(&access, function, &ed.token("ed", &claims)).await, Some(ErrorKind::Forbidden));
    }
    let mut forged = ed.token("ed", &good());
    forged.insert(forged.find('.').unwrap() + 3, 'A');
    let none = format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(good().to_string().as_bytes()));
    let hmac = format!("{}.{}.AA", base64url(br#"{"alg":"HS256"}"#), base64url(good().to_string().as_bytes()));
    for (why, token) in [
        ("expired", ed.token("ed", &with("exp", json!(now() - 60)))),
        ("without an end", ed.token("ed", &with("exp", Value::Null))),
        ("too early", ed.token("ed", &with("nbf", json!(now() + 600)))),
        ("of another issuer", ed.token("ed", &with("iss", json!("them")))),
        ("without issuer", ed.token("ed", &with("iss", Value::Null))),
        ("for another audience", ed.token("ed", &with("aud", json!("shop")))),
        ("without audience", ed.token("ed", &with("aud", Value::Null))),
        ("signed by a stranger", stranger.token("ed", &good())),
        ("signed by an unknown key", stranger.token("unknown", &good())),
        ("signed by a key for encryption", stranger.token("enc", &good())),
        ("of the other algorithm's key", ed.token("es", &good())),
        ("forged", forged),
        ("not signed", none),
        ("signed by a shared secret", hmac),
        ("no token at all", "a.b.c".into()),
        ("no token of ours", "drover_abc".into()),
    ] {
        let error = check(&access, "penguins", &headers(&token)).await.unwrap_err();
        assert_eq!((error.kind, error.invalid_token), (ErrorKind::Unauthorized, true), "{why}");
    }
    // Within the leeway.
    assert_eq!(refused(&access, "penguins", &ed.token("ed", &with("exp", json!(now() - 2)))).await, None);
}

/// Serves what `set` says as a set of keys, and counts how often.
async fn provider(set: Arc<std::sync::Mutex<Value>>, asked: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = set.lock().unwrap().to_string();
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            let _ = stream.write_all((head + &text).as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn an_unknown_key_id_asks_the_provider_at_most_once_a_minute() {
    let (first, second, third) = (Signer::ed(), Signer::es(), Signer::ed());
    let set = Arc::new(std::sync::Mutex::new(json!({ "keys": [first.jwk("1")] })));
    let asked = Arc::new(AtomicUsize::new(0));
    let address = provider(Arc::clone(&set), Arc::clone(&asked)).await;
    let access = Access::open(jwt(JwksSource::Url(format!("http://{address}/jwks.json")))).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(refused(&access, "penguins", &first.token("1", &good())).await, None);
    *set.lock().unwrap() = json!({ "keys": [first.jwk("1"), second.jwk("2")] });
    assert_eq!(refused(&access, "penguins", &second.token("2", &good())).await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    *set.lock().unwrap() = json!({ "keys": [third.jwk("3")] });
    for _ in 0..20 {
        assert_eq!(refused(&access, "penguins", &third.token("3", &good())).await, Some(ErrorKind::Unauthorized));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a minute has not passed");
}

#[tokio::test]
async fn public_keys_come_over_tls_from_whom_the_ca_vouches_for() {
    let (files, signer) = (Files::new(), Signer::ed());
    let tls = Tls::open(&files.cert, &files.key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = json!({ "keys": [signer.jwk("1")] }).to_string();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate ends the handshake.
            let Ok(stream) = tls.accept(stream).await else { continue };
            let text = text.clone();
            let answer = service_fn(move |_: Request<Incoming>| {
                let text = text.clone();
                async { Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from(text))) }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    let stranger = Files::new();
    for (ca, wanted) in [(&files.cert, None), (&stranger.cert, Some(ErrorKind::NotReady))] {
        let mut config = jwt(JwksSource::Url(format!("https://localhost:{port}/jwks.json")));
        config.jwt.as_mut().unwrap().ca = Some(ca.clone());
        let access = Access::open(config).await.unwrap();
        assert_eq!(refused(&access, "penguins", &signer.token("1", &good())).await, wanted);
    }
}

#[tokio::test]
async fn a_provider_that_is_down_is_told_apart_from_a_wrong_token() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let access = Access::open(jwt(JwksSource::Url(format!("http://{free}/jwks.json")))).await.unwrap();
    let token = Signer::ed().token("1", &good());
    assert_eq!(refused(&access, "penguins", &token).await, Some(ErrorKind::NotReady));
}
