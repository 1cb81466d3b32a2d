//! A gateway before instances that live in this process.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_core::{FunctionName, InstanceId};
use drover_engine::{
    Alone, Catalog, EngineKind, Function, FunctionStatus, Instance, InstanceState, LogLine, LogQuery, Peers, Resize,
    Scheduler, SchedulerError, Size, Snapshot, Stream,
};
use drover_gateway::access::{Access, AccessConfig};
use drover_gateway::tls::Tls;
use drover_gateway::{Gateway, Parts, Settings, serve};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Waits until `check` returns something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An instance in this process. `/hold` waits until it is released; a header `x-answer` is answered with what it says,
/// as JSON; anything else is echoed.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) n_connections: Arc<AtomicUsize>,
    pub(crate) n_held: Arc<AtomicUsize>,
    pub(crate) release: CancellationToken,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            n_connections: Arc::default(),
            n_held: Arc::default(),
            release: CancellationToken::new(),
        };
        let (n_connections, n_held) = (Arc::clone(&backend.n_connections), Arc::clone(&backend.n_held));
        let release = backend.release.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                n_connections.fetch_add(1, Ordering::SeqCst);
                let (n_held, release) = (Arc::clone(&n_held), release.clone());
                let service = service_fn(move |r| echo(r, Arc::clone(&n_held), release.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        backend
    }
}

async fn echo(
    request: Request<Incoming>,
    n_held: Arc<AtomicUsize>,
    release: CancellationToken,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().starts_with("/health") {
        return Ok(Response::new(Full::from("{}")));
    }
    if request.uri().path() == "/hold" {
        n_held.fetch_add(1, Ordering::SeqCst);
        release.cancelled().await;
        n_held.fetch_sub(1, Ordering::SeqCst);
    }
    if let Some(answer) = request.headers().get("x-answer") {
        let mut response = Response::new(Full::from(answer.as_bytes().to_vec()));
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        return Ok(response);
    }
    let mut seen = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        seen.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    seen.push_str(&format!("\n{}", String::from_utf8_lossy(&body)));
    let mut response = Response::new(Full::from(seen));
    response.headers_mut().insert("x-instance", "yes".parse().unwrap());
    Ok(response)
}

/// A catalog and scheduler that do what the test says.
pub(crate) struct Script {
    snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) asked: Mutex<Vec<(String, u32)>>,
    /// Whether the job says that the count changes by itself, and what it is.
    pub(crate) scales: AtomicBool,
    count: AtomicU32,
    version: AtomicU64,
    size: Mutex<Option<Size>>,
}

impl Script {
    /// Shows `instances` as those of the function `penguins`, which is pure.
    pub(crate) fn show_pure(&self, instances: &[(SocketAddr, InstanceState)]) {
        self.show(instances);
        self.snapshot.send_modify(|snapshot| {
            let all = &mut Arc::make_mut(snapshot).functions;
            all.values_mut().for_each(|f| drop(Arc::make_mut(f).meta.insert("pure".into(), "true".into())));
        });
    }

    /// Gives the function `penguins`, and its instances, a meta.
    pub(crate) fn describe(&self, key: &str, value: &str) {
        self.snapshot.send_modify(|snapshot| {
            for function in Arc::make_mut(snapshot).functions.values_mut() {
                let function = Arc::make_mut(function);
                function.meta.insert(key.into(), value.into());
                for instance in &mut function.instances {
                    Arc::make_mut(instance).meta.insert(key.into(), value.into());
                }
            }
        });
    }

    /// Gives the function `penguins` tags.
    pub(crate) fn tag(&self, tags: &[&str]) {
        self.snapshot.send_modify(|snapshot| {
            let all = &mut Arc::make_mut(snapshot).functions;
            all.values_mut().for_each(|f| Arc::make_mut(f).tags = tags.iter().map(|&t| t.into()).collect());
        });
    }

    /// Sets the count, as a person may; returns the version.
    pub(crate) fn set_count(&self, count: u32) -> u64 {
        self.count.store(count, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Shows `instances` as those of the function `penguins`.
    pub(crate) fn show(&self, instances: &[(SocketAddr, InstanceState)]) {
        let function: FunctionName = "penguins".parse().unwrap();
        let one = |(index, (address, state)): (usize, &(SocketAddr, InstanceState))| {
            Arc::new(Instance {
                id: InstanceId::from(format!("i{index}").as_str()),
                function: function.clone(),
                index: u32::try_from(index).unwrap(),
                address: Some(*address),
                state: *state,
                reason: None,
                restarts: 0,
                node: Some("here".into()),
                pid: None,
                meta: BTreeMap::new(),
            })
        };
        let instances = instances.iter().enumerate().map(one).collect();
        let all = Arc::new(Function { instances, ..Function::default() });
        self.snapshot.send_replace(Arc::new(Snapshot { functions: [(function.clone(), all)].into(), lost: None }));
    }
}

impl Catalog for Script {
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }
}

impl Scheduler for Script {
    fn scale<'a>(&'a self, function: &'a FunctionName, count: u32) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move {
            if count > 5 {
                let function = function.clone();
                return Err(SchedulerError::OutOfRange { function, count, min: 0, max: 5 });
            }
            self.asked.lock().unwrap().push((function.to_string(), count));
            Ok(self.set_count(count))
        }
        .boxed()
    }

    fn resize<'a>(&'a self, _: &'a FunctionName, size: Size, _: Resize) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        async move {
            *self.size.lock().unwrap() = Some(size.checked()?);
            Ok(self.version.fetch_add(1, Ordering::SeqCst) + 1)
        }
        .boxed()
    }

    fn stop<'a>(&'a self, function: &'a FunctionName) -> BoxFuture<'a, Result<(), SchedulerError>> {
        async move { self.scale(function, 0).await.map(|_| ()) }.boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<Vec<FunctionStatus>, SchedulerError>> {
        let status = |function: &FunctionName| FunctionStatus {
            function: function.clone(),
            engine: EngineKind::Local,
            size: *self.size.lock().unwrap(),
            count: self.count.load(Ordering::SeqCst),
            version: self.version.load(Ordering::SeqCst),
            min: 0,
            max: 5,
            policy: BTreeMap::new(),
            scales: self.scales.load(Ordering::SeqCst),
            trouble: None,
        };
        let all = self.snapshot.borrow().functions.keys().map(status).collect();
        async move { Ok(all) }.boxed()
    }

    fn logs<'a>(
        &'a self,
        function: &'a FunctionName,
        query: LogQuery,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>, SchedulerError>> {
        let line = |n: usize| LogLine {
            function: function.clone(),
            instance: InstanceId::from("i0"),
            index: 0,
            stream: Stream::Stdout,
            text: format!("line {n}"),
        };
        let past: Vec<_> = (0..query.tail.min(3)).map(line).collect();
        let future = if query.follow { stream::pending().boxed() } else { stream::empty().boxed() };
        async move { Ok(stream::iter(past).chain(future).boxed()) }.boxed()
    }
}

/// A gateway and what it stands before.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) script: Arc<Script>,
    pub(crate) stop: CancellationToken,
    pub(crate) server: tokio::task::JoinHandle<()>,
}

impl House {
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::start_with(settings, None, Arc::new(Alone::default())).await
    }

    /// Starts a gateway with a certificate, and others beside it.
    pub(crate) async fn start_with(settings: Settings, tls: Option<Tls>, peers: Arc<dyn Peers>) -> Self {
        let script = Arc::new(Script {
            snapshot: watch::Sender::new(Arc::default()),
            asked: Mutex::default(),
            scales: AtomicBool::new(false),
            count: AtomicU32::new(1),
            version: AtomicU64::new(1),
            size: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let gateway = Gateway::new(Parts {
            catalog: Arc::clone(&script) as _,
            scheduler: Arc::clone(&script) as _,
            peers,
            access: Access::open(AccessConfig::default()).await.unwrap(),
            settings,
            load: None,
            stop: stop.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(vec![listener], tls, gateway.unwrap(), stop.clone()));
        Self { address, script, stop, server }
    }

    /// Begins a request; the answer's body is read by the caller.
    pub(crate) async fn open(&self, request: http::request::Builder, body: Vec<u8>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
    }

    /// Sends a request and checks what every answer has.
    pub(crate) async fn send(&self, request: http::request::Builder, body: Vec<u8>) -> (u16, HeaderMap, String) {
        let (parts, body) = self.open(request, body).await.into_parts();
        assert!(parts.headers.contains_key("x-request-id"), "{parts:?}");
        if !parts.status.is_success() {
            assert_eq!(parts.headers["content-type"], "application/problem+json");
        }
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (parts.status.as_u16(), parts.headers, text)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, HeaderMap, String) {
        self.send(Request::get(path).header("host", "localhost"), Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (u16, HeaderMap, String) {
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
        self.send(request, body.into()).await
    }
}
