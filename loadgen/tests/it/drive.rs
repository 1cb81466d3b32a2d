//! Users, arrivals and connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use loadgen::control::Control;
use loadgen::drive::{Course, Drive, Protocol, Settings, Share, Tls};
use loadgen::plan::{Arrivals, Load, Plan, Stage, Wait};
use loadgen::stats::{Snapshot, Tally};
use loadgen::target::Target;
use loadgen::work::{Answer, Ask, Failure, Reads, Script, Work};
use proptest::prelude::*;

use crate::server::{Server, target};

/// Asks for one path, over and over.
pub(crate) struct Get {
    tasks: Vec<String>,
    ask: Ask,
}

struct User {
    ask: Ask,
    has_answer: bool,
}

impl Get {
    pub(crate) fn work(path: &'static str) -> Arc<dyn Work> {
        let ask = Ask {
            task: 0,
            method: Method::POST,
            path: Bytes::from_static(path.as_bytes()),
            headers: Arc::default(),
            body: Bytes::from_static(b"hello"),
            timeout: None,
            reads: Reads::Body,
        };
        Arc::new(Self { tasks: vec!["get".into()], ask })
    }
}

impl Work for Get {
    fn tasks(&self) -> &[String] {
        &self.tasks
    }

    fn user(&self, _seed: u64) -> Box<dyn Script> {
        Box::new(User { ask: self.ask.clone(), has_answer: false })
    }
}

impl Script for User {
    fn next(&mut self) -> Result<Option<Ask>, Failure> {
        let has_answer = std::mem::take(&mut self.has_answer);
        Ok((!has_answer).then(|| self.ask.clone()))
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.has_answer = answer.status.is_success();
        if self.has_answer {
            return Ok(());
        }
        Err(Failure { kind: format!("http_{}", answer.status.as_u16()), detail: "not a success".into() })
    }
}

pub(crate) fn users(count: f64, seconds: f64) -> Plan {
    Plan {
        load: Load::Users(vec![Stage::step(count)]),
        run_time: Some(Duration::from_secs_f64(seconds)),
        stop_timeout: Duration::from_secs(5),
        ..Plan::default()
    }
}

pub(crate) fn rate(rate: f64, seconds: f64, connections: usize) -> Plan {
    Plan {
        load: Load::Rate { stages: vec![Stage::step(rate)], arrivals: Arrivals::Constant, connections },
        ..users(1.0, seconds)
    }
}

pub(crate) fn two_threads() -> Settings {
    Settings { threads: 2, ..Settings::default() }
}

async fn run(target: &Target, plan: &Plan, settings: &Settings) -> Snapshot {
    let drive = begin(target, plan, settings, Course::new(plan));
    drain(drive).await
}

fn begin(target: &Target, plan: &Plan, settings: &Settings, course: Course) -> Drive {
    Drive::start(&Get::work("/x"), target, plan, settings, Instant::now(), course).unwrap()
}

/// Waits for the end, and returns all that was seen; all that holds of every run is checked.
async fn drain(mut drive: Drive) -> Snapshot {
    let mut all = Snapshot::new(1);
    while let Some(second) = drive.second().await {
        all.add(&second.seen);
        (all.users, all.in_flight) = (second.seen.users, second.seen.in_flight);
    }
    assert_eq!(drive.join(), 0, "threads were lost");
    let tally = all.all();
    assert_eq!(all.sent, tally.requests, "sent = answered + failed");
    assert_eq!(all.in_flight, 0);
    assert_eq!(tally.failures, all.failures.by_count().iter().map(|(_, seen)| seen.count).sum::<u64>());
    all
}

fn kinds(all: &Snapshot) -> Vec<(String, u64)> {
    all.failures.by_count().into_iter().map(|(kind, seen)| (kind.kind.clone(), seen.count)).collect()
}

fn p(tally: &Tally, quantile: f64) -> f64 {
    tally.latency.value_at_quantile(quantile) as f64 / 1e3
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn users_ask_again_and_again_on_their_connections() {
    let server = Server::ok().await;
    let all = run(&server.target(), &users(7.0, 0.5), &two_threads()).await;
    assert_eq!(all.sent, server.requests());
    assert_eq!(server.connections(), 7);
    assert!(all.sent > 100, "{}", all.sent);
    assert_eq!(kinds(&all), []);
    let tally = all.all();
    assert_eq!((tally.bytes, tally.method), (2 * all.sent, Some(Method::POST)));
    assert_eq!(all.endpoints, [(server.address, all.sent)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pacing_is_held_and_idle_connections_are_kept() {
    let server = Server::ok().await;
    let plan = Plan { wait: Wait::Pacing(Duration::from_millis(100)), ..users(20.0, 1.95) };
    let all = run(&server.target(), &plan, &two_threads()).await;
    assert_eq!(all.sent, 400, "20 users ask at 0.0, 0.1 .. 1.9 s");
    assert_eq!(server.connections(), 20);
    assert_eq!(kinds(&all), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_keep_alive_each_request_has_its_connection() {
    let server = Server::ok().await;
    let plan = Plan { wait: Wait::Constant(Duration::from_millis(20)), ..users(2.0, 0.5) };
    let all = run(&server.target(), &plan, &Settings { keep_alive: false, ..two_threads() }).await;
    assert_eq!(all.sent, server.connections());
    assert_eq!(kinds(&all), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn h2c_and_tls() {
    let server = Server::ok().await;
    let all = run(&server.target(), &users(3.0, 0.3), &Settings { protocol: Protocol::H2, ..two_threads() }).await;
    assert_eq!((all.sent, server.connections()), (server.requests(), 3));
    assert_eq!(kinds(&all), []);

    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .unwrap();
    let ok = async |_| Response::new(Full::from("ok"));
    let server = Server::start(ok, Some(Arc::new(config).into())).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pair.cert.der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Tls { config: Arc::new(config), name: "localhost".try_into().unwrap() };
    let plan = Plan { wait: Wait::Constant(Duration::from_millis(60)), ..users(3.0, 0.5) };
    let target = Target { tls: true, ..server.target() };
    let all = run(&target, &plan, &Settings { tls: Some(tls), ..two_threads() }).await;
    assert_eq!((all.sent, server.connections()), (server.requests(), 3));
    assert_eq!(kinds(&all), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_connection_is_a_failure_and_tried_again() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let all = run(&target(&[gone]), &users(2.0, 0.55), &two_threads()).await;
    // Each of two users every 100 ms, or later on a busy machine.
    assert!((6..=12).contains(&all.sent), "{}", all.sent);
    assert_eq!(kinds(&all), [("connect".to_owned(), all.sent)]);
    assert_eq!(all.failures.by_count()[0].0.detail, "connection refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn failures_have_their_kinds() {
    let answer = async |request: Request<Bytes>| {
        assert_eq!(request.body(), "hello");
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut answer = Response::new(Full::from("full"));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        answer
    };
    let server = Server::start(answer, None).await;
    let all = run(&server.target(), &users(2.0, 0.2), &two_threads()).await;
    assert_eq!(kinds(&all), [("http_503".to_owned(), server.requests())]);
    assert_eq!(all.failures.by_count()[0].1.samples, ["full", "full", "full"]);

    let plan = Plan { timeout: Duration::from_millis(10), ..users(2.0, 0.2) };
    let all = run(&server.target(), &plan, &two_threads()).await;
    assert_eq!(all.failures.by_count()[0].0.detail, "no answer within 10ms");
    assert!((10.0..15.0).contains(&p(&all.all(), 0.5)), "{}", p(&all.all(), 0.5));

    let plan = Plan { stop_timeout: Duration::from_millis(5), ..users(2.0, 0.2) };
    let slow = Server::start(
        async |_| {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Response::default()
        },
        None,
    )
    .await;
    let all = run(&slow.target(), &plan, &two_threads()).await;
    assert_eq!(kinds(&all), [("unfinished".to_owned(), 2)]);
}

/// Users whose code is wrong: each of their second requests.
struct Wrong(Vec<String>);

struct WrongUser(User, u32);

impl Work for Wrong {
    fn tasks(&self) -> &[String] {
        &self.0
    }

    fn user(&self, seed: u64) -> Box<dyn Script> {
        assert!(seed != 2, "no user has seed {seed}");
        let ask = Ask {
            task: 0,
            method: Method::GET,
            path: Bytes::from_static(b"/"),
            headers: Arc::default(),
            body: Bytes::new(),
            timeout: None,
            reads: Reads::Body,
        };
        Box::new(WrongUser(User { ask, has_answer: false }, 0))
    }
}

impl Script for WrongUser {
    fn next(&mut self) -> Result<Option<Ask>, Failure> {
        self.0.next()
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.1 += 1;
        assert!(self.1 < 2, "the second answer is too much");
        self.0.judge(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_panic_is_a_failure_with_its_words_and_the_run_goes_on() {
    let server = Server::ok().await;
    let work: Arc<dyn Work> = Arc::new(Wrong(vec!["get".into()]));
    // To write what a panic says takes a while.
    let plan = Plan { wait: Wait::Constant(Duration::from_millis(10)), ..users(2.0, 4.0) };
    let settings = Settings { threads: 1, ..Settings::default() };
    let course = Course::new(&plan);
    let drive = Drive::start(&work, &server.target(), &plan, &settings, Instant::now(), course).unwrap();
    let all = drain(drive).await;
    let count = |what: &str| {
        let found = all.failures.by_count().into_iter().find(|(kind, _)| kind.kind == "panic" && kind.detail == what);
        found.map_or(0, |(_, seen)| seen.count)
    };
    // The first user fails with every other answer, the other one without having asked.
    let (judged, unmade) = (count("the second answer is too much"), count("no user has seed 2"));
    assert!(judged >= 2 && server.requests() >= 2 * judged, "{judged} of {}", server.requests());
    assert!((2..=41).contains(&unmade), "it waits 100 ms after each: {unmade}");
    assert_eq!(judged + unmade, all.all().failures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_are_read_as_they_are_framed() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // One after the other, each on a connection of its own, in pieces; and one that says too early that it is enough.
    let answers: [&[&str]; 4] = [
        &["HTTP/1.1 200 OK\r\ntransfer-", "encoding: chunked\r\n\r\n5\r\nab", "cde\r\n0\r\n\r\n"],
        &["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", "cde"],
        &["HTTP/1.1 200 OK\r\n\r\nab", "cde"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcde"],
    ];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for pieces in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            assert!(request.starts_with("POST /x HTTP/1.1\r\nhost: localhost\r\n"), "{request}");
            assert!(request.ends_with("content-length: 5\r\n\r\nhello"), "{request}");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let plan = Plan { wait: Wait::Constant(Duration::from_millis(80)), ..rate(10.0, 0.35, 1) };
    let all = run(&target(&[address]), &plan, &Settings { threads: 1, ..Settings::default() }).await;
    assert_eq!((all.sent, all.all().bytes), (4, 15));
    let failed = all.failures.by_count();
    assert_eq!((failed.len(), &*failed[0].0.detail), (1, "connection was closed within the answer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_closed_while_idle_are_no_failures() {
    let answer = async |_| {
        let mut answer = Response::new(Full::from("bye"));
        answer.headers_mut().insert("connection", "close".parse().unwrap());
        answer
    };
    let server = Server::start(answer, None).await;
    for wait in [0, 5, 60] {
        let plan = Plan { wait: Wait::Constant(Duration::from_millis(wait)), ..users(2.0, 0.3) };
        assert_eq!(kinds(&run(&server.target(), &plan, &two_threads()).await), [], "{wait} ms");
    }
    assert_eq!(server.connections(), server.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_rate_is_held_and_spread_over_places() {
    let (one, two) = (Server::ok().await, Server::ok().await);
    let all = run(&target(&[one.address, two.address]), &rate(500.0, 1.0, 100), &two_threads()).await;
    assert_eq!(all.sent, 500);
    assert_eq!(one.requests() + two.requests(), 500);
    assert!(one.requests() > 0 && two.requests() > 0);
    assert_eq!(kinds(&all), []);
    assert_eq!(all.unsent, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_waits_for_a_connection_counts_from_when_it_was_due() {
    let slow = async |_| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Response::new(Full::from("ok"))
    };
    let server = Server::start(slow, None).await;
    // Two connections hold 20 requests a second.
    let all = run(&server.target(), &rate(40.0, 1.0, 2), &two_threads()).await;
    assert_eq!(server.connections(), 2);
    let tally = all.all();
    assert_eq!(all.sent + all.unsent, 40);
    assert!(all.unsent >= 15, "{}", all.unsent);
    assert!(all.waited >= 15, "{}", all.waited);
    assert!(all.late < 5, "{} of 40 on a busy machine", all.late);
    assert!(tally.latency.max() > 400_000, "{} us from when it was due", tally.latency.max());
    assert!(tally.service.max() < 200_000, "{} us from when it was sent", tally.service.max());
}

/// Asks as [`Get`] does, and holds its whole thread up at one answer, as a machine does that is short of cores.
struct HoldsUp {
    inner: Arc<dyn Work>,
    answers: Arc<AtomicU64>,
}

struct HeldUser {
    inner: Box<dyn Script>,
    answers: Arc<AtomicU64>,
}

impl Work for HoldsUp {
    fn tasks(&self) -> &[String] {
        self.inner.tasks()
    }

    fn user(&self, seed: u64) -> Box<dyn Script> {
        Box::new(HeldUser { inner: self.inner.user(seed), answers: Arc::clone(&self.answers) })
    }
}

impl Script for HeldUser {
    fn next(&mut self) -> Result<Option<Ask>, Failure> {
        self.inner.next()
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Failure> {
        if self.answers.fetch_add(1, Ordering::Relaxed) == 35 {
            std::thread::sleep(Duration::from_millis(100));
        }
        self.inner.judge(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_generator_holds_up_is_late() {
    let server = Server::ok().await;
    let held = async |plan: &Plan| {
        let work: Arc<dyn Work> = Arc::new(HoldsUp { inner: Get::work("/x"), answers: Arc::default() });
        let settings = Settings { threads: 1, ..two_threads() };
        drain(Drive::start(&work, &server.target(), plan, &settings, Instant::now(), Course::new(plan)).unwrap()).await
    };
    // One every 5 ms: those that were due in the first 90 ms of 100.
    let by_rate = held(&rate(200.0, 1.0, 100)).await;
    assert!((15..190).contains(&by_rate.late), "{}", by_rate.late);
    assert_eq!((by_rate.sent, by_rate.waited), (200, 0));
    let tally = by_rate.all();
    assert!(tally.latency.max() > 80_000, "{} us from when it was due", tally.latency.max());
    // Of ten that begin together, those that rest already when the sixth of them is held up.
    let by_users = held(&Plan { wait: Wait::Constant(Duration::from_millis(50)), ..users(10.0, 1.0) }).await;
    assert!(by_users.late >= 2, "{} of {}", by_users.late, by_users.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_person_changes_users_and_ends_the_run() {
    let server = Server::ok().await;
    let plan = Plan { run_time: None, wait: Wait::Constant(Duration::from_millis(10)), ..users(2.0, 1.0) };
    let settings = Settings { threads: 1, ..two_threads() };
    let mut drive = begin(&server.target(), &plan, &settings, Course::new(&plan));
    assert_eq!(drive.second().await.unwrap().seen.users, 2);
    drive.follow(Control::Users { count: 5, spawn_rate: 0.0 });
    drive.follow(Control::Rate(7.0));
    assert_eq!(drive.second().await.unwrap().seen.users, 5);
    drive.follow(Control::Users { count: 1, spawn_rate: 100.0 });
    assert_eq!(drive.second().await.unwrap().seen.users, 1);
    assert_eq!(server.connections(), 5);
    assert_eq!(drive.stands().2, None);
    drive.follow(Control::Stop);
    let mut n_left = 0;
    while drive.second().await.is_some() {
        n_left += 1;
    }
    assert_eq!(n_left, 1);
    assert_eq!(drive.join(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn shares_of_workers_are_the_whole() {
    let server = Server::ok().await;
    let plan = rate(101.0, 1.0, 10);
    let mut sent = 0;
    for worker in 0..3 {
        let course = Course::new(&plan).of(|_| Some(Share { index: worker, of: 3 }));
        sent += drain(begin(&server.target(), &plan, &two_threads(), course)).await.sent;
    }
    assert_eq!((sent, server.requests()), (101, 101));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Whatever the server does, and whenever the run ends: `drain` checks the sum.
    #[test]
    fn counts_add_up(
        delay_ms in 0u64..40,
        fail_every in 1u64..5,
        seconds in 0.05f64..0.3,
        level in 1u32..40,
        is_open in any::<bool>(),
        timeout_ms in 5u64..60,
        stop_timeout_ms in 0u64..30,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let n = Arc::new(std::sync::atomic::AtomicU64::new(0));
            let server = Server::start(move |_| {
                let n = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                async move {
                    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
                    let mut answer = Response::new(Full::from("body"));
                    if n.is_multiple_of(fail_every) {
                        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    }
                    answer
                }
            }, None).await;
            let level = f64::from(level);
            let plan = if is_open { rate(level * 20.0, seconds, 5) } else { users(level, seconds) };
            let plan = Plan {
                timeout: Duration::from_millis(timeout_ms),
                stop_timeout: Duration::from_millis(stop_timeout_ms),
                ..plan
            };
            let all = run(&server.target(), &plan, &two_threads()).await;
            if is_open {
                let due = all.sent + all.unsent;
                prop_assert!((due as f64 - (level * 20.0 * seconds).ceil()).abs() <= 1.0, "{due}");
            }
            Ok(())
        })?;
    }
}
