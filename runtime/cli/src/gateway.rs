//! `drover gateway`: the front door of a cluster.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use drover_core::config::EXIT_BAD_CONFIG;
use drover_engine::cluster::{self, Cluster};
use drover_engine::{Alone, Catalog, Fixed, Peers, Scheduler};
use drover_gateway::access::Access;
use drover_gateway::config::GatewayConfig;
use drover_gateway::tls::Tls;
use drover_gateway::{Gateway, Parts, RunsAt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::GatewayArgs;
use crate::control::print;
use crate::signals::Signals;

/// Connections that wait to be accepted; the kernel may allow fewer.
const BACKLOG: i32 = 4096;
/// How long giving up the lead may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// Reads the settings, listens, serves, and drains at the first signal.
pub(crate) async fn gateway(args: &GatewayArgs) -> anyhow::Result<ExitCode> {
    let layers = args.layers();
    let config = match GatewayConfig::read(&layers) {
        Ok(config) => config,
        Err(e) => return Ok(bad_config(&e)),
    };
    if args.print_config {
        print(&config.print(&layers));
        return Ok(ExitCode::SUCCESS);
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let access = match Access::open(config.access.clone()).await {
        Ok(access) => access,
        Err(e) => return Ok(bad_config(&e)),
    };
    let tls = match config.tls.as_ref().map(|files| Tls::open(&files.cert, &files.key)).transpose() {
        Ok(tls) => tls,
        Err(e) => return Ok(bad_config(&e)),
    };
    if let Err(why) = drover_telemetry::start("drover-gateway", None) {
        return Ok(bad_config(&why));
    }
    let mut signals = Signals::new()?;
    let listeners = config.listen.iter().map(|address| listen(*address)).collect::<anyhow::Result<Vec<_>>>()?;
    let engine = Engine::start(&config).await?;
    let stop = CancellationToken::new();
    let gateway = Gateway::new(Parts {
        catalog: Arc::clone(&engine.catalog),
        scheduler: Arc::clone(&engine.scheduler),
        peers: Arc::clone(&engine.peers),
        access,
        settings: config.settings,
        load: config.load.map(|url| Arc::new(RunsAt(url)) as _),
        stop: stop.clone(),
    })?;
    for listener in &listeners {
        eprintln!("drover gateway: listens on {}", listener.local_addr()?);
    }
    let server = drover_gateway::serve(listeners, tls, gateway, stop.clone());
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => return Ok(ExitCode::SUCCESS),
        () = signals.next() => stop.cancel(),
        () = stop.cancelled() => {}
    }
    // Another gateway scales while this one finishes.
    let leave = async {
        if let Some(cluster) = &engine.cluster {
            let _slow = tokio::time::timeout(LEAVE_LIMIT, cluster.leave()).await;
        }
    };
    tokio::select! {
        _ = futures_util::future::join(server, leave) => Ok(ExitCode::SUCCESS),
        // Asked twice: at once.
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}

/// Who runs where, how many, and which gateways there are.
struct Engine {
    catalog: Arc<dyn Catalog>,
    scheduler: Arc<dyn Scheduler>,
    peers: Arc<dyn Peers>,
    cluster: Option<Arc<Cluster>>,
}

impl Engine {
    /// Follows the cluster if one is configured, and shows the fixed functions otherwise.
    async fn start(config: &GatewayConfig) -> anyhow::Result<Self> {
        if config.cluster.consul.is_none() && config.cluster.nomad.is_none() {
            let fixed = Fixed::start(config.functions.clone()).await;
            return Ok(Self {
                catalog: Arc::clone(&fixed) as _,
                scheduler: fixed,
                peers: Arc::new(Alone::default()),
                cluster: None,
            });
        }
        anyhow::ensure!(config.functions.is_empty(), "give either [functions.NAME] or Consul and Nomad, not both");
        let own_address =
            config.advertise.context("set `advertise` to the address where other gateways reach this one")?;
        let settings = cluster::Settings {
            consul: config.cluster.consul.as_ref().map(endpoint),
            nomad: config.cluster.nomad.as_ref().map(endpoint),
            datacenter: config.cluster.datacenter.clone(),
            namespace: config.cluster.namespace.clone().unwrap_or_else(|| "default".into()),
            own_address,
            service: "drover-gateway".into(),
        };
        let cluster = Arc::new(Cluster::start(settings).await?);
        Ok(Self {
            catalog: Arc::clone(&cluster) as _,
            scheduler: Arc::clone(&cluster) as _,
            peers: Arc::clone(&cluster) as _,
            cluster: Some(cluster),
        })
    }
}

fn endpoint(given: &drover_gateway::config::Endpoint) -> cluster::Endpoint {
    cluster::Endpoint {
        token: given.token.clone().map(Into::into),
        ca_file: given.ca.clone(),
        ..cluster::Endpoint::new(&given.url)
    }
}

/// Says what is wrong with the settings.
fn bad_config(why: &impl std::fmt::Display) -> ExitCode {
    eprintln!("drover gateway: {why}");
    ExitCode::from(EXIT_BAD_CONFIG)
}

/// Listens on `address`. Another gateway may do so at the same time: a new one takes over the address
/// while the old one finishes what it has.
fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().with_context(|| format!("the gateway cannot listen on {address}"))
}
