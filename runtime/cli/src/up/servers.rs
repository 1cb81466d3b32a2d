//! Servers that `drover up` starts beside the gateway: said when they are ready, ended with it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::terminal::Terminal;

/// How long one may take until it answers; Grafana makes its database first.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long one may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What was started; it is ended by [`Servers::stop`], or killed when this is dropped.
#[derive(Debug, Clone, Default)]
pub(super) struct Servers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A server, before it runs.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) command: Command,
    /// Where people look.
    pub(super) url: String,
    /// The path that is answered once it is ready.
    pub(super) ready: &'static str,
    /// What it writes.
    pub(super) log: PathBuf,
}

impl Servers {
    /// Starts `server`, and says when it is ready, or that it has ended. The task that is returned ends with it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn run(&self, mut server: Server, terminal: Terminal) -> anyhow::Result<JoinHandle<()>> {
        let log = fs::File::create(&server.log).with_context(|| format!("cannot write {}", server.log.display()))?;
        server.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = server.command.spawn().with_context(|| format!("cannot start {}", server.name))?;
        Ok(self.tasks.spawn(tend(server, child, self.stop.clone(), terminal)))
    }

    /// Ends all and waits for it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Says when a server is ready, or that it has ended; ends it when that is asked for.
async fn tend(server: Server, mut child: Child, stop: CancellationToken, terminal: Terminal) {
    let (name, url) = (server.name, &server.url);
    let welcome = async {
        match tokio::time::timeout(READY_LIMIT, ready(url, server.ready)).await {
            Ok(()) => terminal.say(&format!("{name} at {url}")),
            Err(_) => terminal.warn(&format!("{name} does not answer at {url}, see {}", server.log.display())),
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        status = child.wait() => {
            let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
            terminal.warn(&format!("{name} has ended ({status}), see {}", server.log.display()));
            return;
        }
        () = welcome => {}
        () = stop.cancelled() => {}
    }
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    // It may have ended meanwhile, by the same Ctrl-C.
    let _gone = id.map(|id| kill_process(id, Signal::TERM));
    if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}

/// Waits until `path` is answered well.
pub(super) async fn ready(url: &str, path: &str) {
    // Nothing but this machine is asked.
    let Ok(client) = reqwest::Client::builder().no_proxy().build() else { return };
    loop {
        let answer = client.get(format!("{url}{path}")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the address on this machine with the port that people know, or with a free one if it is taken.
pub(super) fn free_near(port: u16) -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    bound.and_then(|listener| listener.local_addr()).context("no port is free")
}
