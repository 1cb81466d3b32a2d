//! `loadgen master` and `loadgen worker`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use loadgen::fleet::{Ended, Master, Refused, Worker, is_own};
use loadgen::run::Run;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{follow, prepare};
use crate::args::{MASTER_PORT, MasterArgs, WorkerArgs};

/// The master's name in Consul.
const SERVICE: &str = "loadgen-master";
/// How long a worker that has no master waits before it tries again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long Consul may take to answer.
const CONSUL_LIMIT: Duration = Duration::from_secs(5);

/// Loads what is asked for, by the workers that come.
pub(crate) async fn master(args: &MasterArgs) -> Result<ExitCode> {
    let (fleet, key) = (&args.fleet, args.fleet.key.read()?);
    if key.is_none() && !is_own(fleet.bind) {
        bail!("--bind {} is reached by others than this machine: give LOADGEN_KEY or --key-file", fleet.bind);
    }
    if fleet.expect_workers == 0 {
        bail!("--expect-workers is 0: a run needs one worker at least");
    }
    let listener = TcpListener::bind(fleet.bind).await.with_context(|| format!("--bind {}", fleet.bind))?;
    let address = listener.local_addr()?;
    let (mut run, brief) = prepare::for_workers(&args.run).await?;
    run.described.insert("expect-workers".to_owned(), fleet.expect_workers.to_string());
    let master = Master::start(listener, key, brief, fleet.expect_workers)?;
    eprintln!("loadgen worker --master {address}");
    let code = follow(&args.run, Some(Run { fleet: Some(master.clone()), ..run }), None).await;
    master.dismiss().await;
    code
}

/// Does what a master says. Waits for one as long as there is none.
pub(crate) async fn worker(args: &WorkerArgs) -> Result<ExitCode> {
    let worker = Worker { name: args.name(), key: args.key.read()?, leave: CancellationToken::new() };
    tokio::spawn(leave(worker.leave.clone()));
    let mut told = String::new();
    loop {
        let why = match address(args).await {
            Ok(address) => {
                let prepare = async |brief| {
                    let run = prepare::as_told(brief, args.reach()).await;
                    run.map_err(|why| format!("{why:#}"))
                };
                let ended = worker.work(&address, prepare);
                match ended.await {
                    Ok(Ended::Dismissed | Ended::Left) => return Ok(ExitCode::SUCCESS),
                    Err(Refused::Lost(why)) => format!("the master at {address}: {why}"),
                    Err(why) => bail!("the master at {address}: {why}"),
                }
            }
            Err(why) => format!("{why:#}"),
        };
        // Once, not each second.
        if why != told {
            tracing::warn!("{why}; waiting for a master");
            told = why;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = worker.leave.cancelled() => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Returns where the master listens.
async fn address(args: &WorkerArgs) -> Result<String> {
    match &args.master {
        Some(address) if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
            Ok(address.clone())
        }
        Some(host) => Ok(format!("{host}:{MASTER_PORT}")),
        None => in_consul(&args.consul).await,
    }
}

/// Returns where the master listens that Consul knows.
async fn in_consul(consul: &str) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Entry {
        node: Place,
        service: Place,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Place {
        address: String,
        #[serde(default)]
        port: u16,
    }
    // Another library of cryptography may be chosen already, which then stays.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    let consul = if consul.contains("://") { consul.to_owned() } else { format!("http://{consul}") };
    let url = format!("{}/v1/health/service/{SERVICE}?passing", consul.trim_end_matches('/'));
    let client = reqwest::Client::builder().no_proxy().timeout(CONSUL_LIMIT).build()?;
    let mut ask = client.get(&url);
    if let Ok(token) = std::env::var("CONSUL_HTTP_TOKEN") {
        ask = ask.header("x-consul-token", token);
    }
    let answer = async { ask.send().await?.error_for_status()?.json::<Vec<Entry>>().await };
    let all = answer.await.with_context(|| format!("Consul at {consul} cannot be asked; --master names a master"))?;
    let Some(Entry { node, service }) = all.into_iter().next() else {
        bail!("no service `{SERVICE}` in Consul at {consul} is healthy; --master names a master");
    };
    let host = if service.address.is_empty() { node.address } else { service.address };
    Ok(if host.contains(':') { format!("[{host}]:{}", service.port) } else { format!("{host}:{}", service.port) })
}

/// The first signal has the worker leave its share to the others and wait for its answers; the second ends it.
async fn leave(leave: CancellationToken) {
    for code in [None, Some(130)] {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if let Some(code) = code {
            std::process::exit(code);
        }
        leave.cancel();
    }
}
