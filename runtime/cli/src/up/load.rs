//! The load generator of `drover up`: a `loadgen --web`, started when the console's page of load tests first asks for
//! it, and built before that where this is a checkout and it is not there yet.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use drover_gateway::LoadGenerator;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::build;
use super::servers::{Server, Servers, free_near, ready};
use super::terminal::Terminal;

/// The port that people know.
const PORT: u16 = 8089;
/// The path that is answered once it is ready.
const READY: &str = "/health";
/// What a checkout has.
const SOURCE: &str = "loadgen/Cargo.toml";

/// Knows how the load generator stands, and starts it.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    gateway: SocketAddr,
    log: PathBuf,
    /// Beside the binary of this process.
    binary: PathBuf,
    may_build: bool,
    servers: Servers,
    terminal: Terminal,
    stand: Arc<watch::Sender<Stand>>,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq)]
enum Stand {
    /// Nobody has asked for it, or it has ended.
    Idle,
    Coming,
    /// At this URL.
    Runs(String),
    Failed(String),
}

impl Generator {
    /// Returns one that puts its load on the gateway at `gateway`. Nothing is started yet.
    ///
    /// # Errors
    /// If this process does not know where its own binary is.
    pub(super) fn new(
        gateway: SocketAddr,
        state_dir: &Path,
        may_build: bool,
        servers: Servers,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let binary = std::env::current_exe()?.with_file_name("loadgen");
        let log = state_dir.join("loadgen.log");
        let stand = Arc::new(watch::Sender::new(Stand::Idle));
        Ok(Self { gateway, log, binary, may_build, servers, terminal, stand })
    }

    /// Starts it, and follows it until it ends.
    async fn run(self) {
        let stand = match self.begin().await {
            Ok((url, mut ended)) => {
                let came = tokio::select! {
                    () = ready(&url, READY) => true,
                    _ = &mut ended => false,
                };
                if came {
                    self.stand.send_replace(Stand::Runs(url));
                    let _ended = ended.await;
                    Stand::Idle
                } else {
                    Stand::Failed(format!("loadgen has ended at its start, see {}", self.log.display()))
                }
            }
            Err(why) => Stand::Failed(format!("loadgen cannot be started: {why:#}")),
        };
        self.stand.send_replace(stand);
    }

    async fn begin(&self) -> anyhow::Result<(String, JoinHandle<()>)> {
        if !self.binary.is_file() {
            self.build().await?;
        }
        let address = free_near(PORT)?;
        let mut command = Command::new(&self.binary);
        command.args(["--web", "--web-port", &address.port().to_string()]);
        command.args(["--gateway", &format!("http://{}", self.gateway)]);
        let url = format!("http://{address}");
        let server = Server { name: "loadgen", command, url: url.clone(), ready: READY, log: self.log.clone() };
        Ok((url, self.servers.run(server, self.terminal)?))
    }

    async fn build(&self) -> anyhow::Result<()> {
        let dir = self.binary.parent().filter(|dir| dir.ends_with("release"));
        match dir.and_then(Path::parent).filter(|_| self.may_build && Path::new(SOURCE).is_file()) {
            Some(target) => build::release(target, &["loadgen"], &self.terminal).await.context("see the terminal"),
            None => bail!("{} is not there; `cargo build --release -p loadgen` makes it", self.binary.display()),
        }
    }
}

impl LoadGenerator for Generator {
    fn url(&self) -> Result<String, String> {
        let begins = self.stand.send_if_modified(|stand| {
            let begins = *stand == Stand::Idle;
            if begins {
                *stand = Stand::Coming;
            }
            begins
        });
        if begins {
            tokio::spawn(self.clone().run());
        }
        match &*self.stand.borrow() {
            Stand::Runs(url) => Ok(url.clone()),
            Stand::Failed(why) => Err(why.clone()),
            Stand::Idle | Stand::Coming if self.binary.is_file() => Err("loadgen is being started".into()),
            Stand::Idle | Stand::Coming => Err("loadgen is being built, which takes a minute or two".into()),
        }
    }
}
