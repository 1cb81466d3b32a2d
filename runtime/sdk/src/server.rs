//! From a process's start to its end: listen, load, serve, drain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use drover_core::config::Source;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batch::Queue;
use crate::config::Config;
use crate::cpu;
use crate::cpu::CpuLimit;
use crate::decode::Decoder;
use crate::function::{Failure, Function};
use crate::load::Loader;
use crate::memory;
use crate::metrics::{FOLD_EVERY, Metrics};
use crate::schema::RequestSchema;
use crate::service::{Phase, Service};

/// How long a start may use more CPU than the instance has afterwards.
const START_BOOST: Duration = Duration::from_secs(10);

/// How often is looked whether limits were changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why an instance ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The function's types or model cannot be used.
    #[error("cannot load: {0}")]
    Load(Failure),
    /// Something of the operating system is missing.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Serves `F` until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// [`ServeError`] if it cannot listen or load; the process should then exit with code 1.
pub fn run<F: Function>(config: Config, env: &dyn Source) -> Result<(), ServeError> {
    let limit = CpuLimit::read(env);
    let mut runtime = match limit.threads() {
        1 => tokio::runtime::Builder::new_current_thread(),
        n => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(n);
            builder
        }
    };
    let workers = config.workers.unwrap_or_else(|| limit.threads());
    tracing::info!(function = F::NAME, cores = limit.cores, cores_from = ?limit.from, workers, "starting");
    runtime.enable_all().max_blocking_threads(8).build()?.block_on(serve::<F>(config, workers, limit, env))
}

async fn serve<F: Function>(
    config: Config,
    workers: usize,
    limit: CpuLimit,
    env: &dyn Source,
) -> Result<(), ServeError> {
    let started = Instant::now();
    let (service, loader) = assemble::<F>(config, workers)?;
    if let Err(why) = drover_telemetry::start(F::NAME, service.config().instance.as_deref()) {
        tracing::warn!("no traces: {why}");
    }
    let memory_bytes = memory::limit_bytes(env);
    loader.metrics.limits(limit.cores, memory_bytes);
    let config = service.config();
    let listener = listen(config.listen)?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    service.listening();

    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let accepting = tokio::spawn(accept(listener, Arc::clone(&service), stop.clone(), connections.clone()));
    tokio::spawn(fold(Arc::clone(&loader.metrics), limit.cores, memory_bytes));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let mut loading =
        tokio::task::spawn_blocking(move || loader.first().map(|(model, placement)| (loader, model, placement)));
    let loading = async {
        // A start under a small quota is throttled for most of its time, and somebody may wait for it.
        let soon = tokio::time::timeout(START_BOOST, &mut loading).await;
        cpu::cap_self(env);
        match soon {
            Ok(loaded) => loaded,
            Err(_) => loading.await,
        }
    };
    tokio::select! {
        loaded = loading => {
            let (loader, model, placement) = loaded.map_err(|e| ServeError::Load(e.into()))?.map_err(ServeError::Load)?;
            tracing::info!(model = model.name(), version = model.version(), took_ms = started.elapsed().as_millis(), "ready");
            service.ready(model.clone());
            let rest = tokio::task::spawn_blocking(move || {
                if let Err(e) = loader.rest(&model, placement) {
                    tracing::error!("fewer inference workers than cores: {e}");
                }
            });
            tokio::spawn(async move {
                let _loaded = rest.await;
                memory::give_back().await;
            });
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = drain(&service, &stop, &connections) => {}
        _ = terminate.recv() => tracing::warn!("told to stop a second time: leaving at once"),
        _ = interrupt.recv() => tracing::warn!("told to stop a second time: leaving at once"),
    }
    accepting.abort();
    drover_telemetry::finish().await;
    Ok(())
}

/// Makes the service of `F`, which is not ready, and what loads it.
pub(crate) fn assemble<F: Function>(
    config: Config,
    workers: usize,
) -> Result<(Arc<Service<F>>, Loader<F>), ServeError> {
    let schema = RequestSchema::of::<F::Request>().map_err(|e| ServeError::Load(e.into()))?;
    let decoder = Decoder::new(schema, config.request_rows);
    let metrics = Arc::new(Metrics::new().map_err(|e| ServeError::Load(e.into()))?);
    let queue = Queue::<F>::new();
    let loader = Loader { config: config.clone(), queue: Arc::clone(&queue), metrics: Arc::clone(&metrics), workers };
    Ok((Arc::new(Service::new(config, decoder, queue, metrics)), loader))
}

/// Not ready, wait for the catalog, finish what runs.
async fn drain<F: Function>(service: &Service<F>, stop: &CancellationToken, connections: &TaskTracker) {
    let config = service.config();
    tracing::info!(wait = ?config.drain_wait, "draining");
    service.leave(Phase::Leaving);
    tokio::time::sleep(config.drain_wait).await;
    service.leave(Phase::Draining);
    let finished = async {
        service.emptied().await;
        stop.cancel();
        connections.close();
        connections.wait().await;
    };
    match tokio::time::timeout(config.drain_timeout, finished).await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!(limit = ?config.drain_timeout, open = connections.len(), "not drained in time"),
    }
}

fn listen(address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Ten thousand clients may come back within one moment.
        socket.listen(4096)?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|source| ServeError::Listen { address, source })
}

/// Takes connections, never more than the limit at once.
async fn accept<F: Function>(
    listener: TcpListener,
    service: Arc<Service<F>>,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(service.config().connections));
    let limits = service.limits();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let serving = drover_connection::serve(stream, Arc::clone(&service), limits, stop.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: what is open must end first.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Keeps the memory of recorded samples small, and the limits that are shown true: an engine may change them under a
/// process that runs, so the control group's word counts before what was promised at the start.
async fn fold(metrics: Arc<Metrics>, cores: f64, memory_bytes: Option<u64>) {
    let mut tick = tokio::time::interval(FOLD_EVERY);
    let mut looked = Instant::now();
    loop {
        tick.tick().await;
        metrics.fold();
        // Finding the control group costs more than folding.
        if looked.elapsed() < LOOK_EVERY {
            continue;
        }
        looked = Instant::now();
        metrics.limits(cpu::quota().unwrap_or(cores), memory::group_limit_bytes().or(memory_bytes));
    }
}
