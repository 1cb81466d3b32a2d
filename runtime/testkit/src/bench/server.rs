//! A server on a core of its own, as a process that ends when it is dropped.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use super::Result;
use super::machine::tree;
use super::wire::Wire;
use crate::Instance;

/// How long a server may take to be ready; scikit-learn takes seconds to be imported.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// Its process.
    pub id: u32,
    child: Child,
    log: NamedTempFile,
}

impl Server {
    /// Starts the yardstick: hyper on one thread of a core, which answers `ok` to everything.
    pub async fn bare(core: &str) -> Result<Self> {
        let mut command = on_core(core, std::env::current_exe()?);
        command.arg("--bare");
        Self::start(command).await
    }

    /// Starts a server that says as JSON on standard error where it listens.
    pub async fn start(command: Command) -> Result<Self> {
        let mut server = Self::spawn(command, String::new())?;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            if let Some(address) = server.said()?.lines().find_map(listening) {
                server.address = address;
                return Ok(server);
            }
            server.wait("does not listen", deadline).await?;
        }
    }

    /// Starts a server that will listen on `address`, and waits until it answers `request` with 200.
    pub async fn start_at(command: Command, address: &str, request: &str) -> Result<Self> {
        let mut server = Self::spawn(command, address.to_owned())?;
        let deadline = Instant::now() + READY_LIMIT;
        while Wire::connect(address).await.is_err() {
            server.wait("does not listen", deadline).await?;
        }
        server.ready(request).await?;
        Ok(server)
    }

    /// Waits until `request` is answered with 200.
    pub async fn ready(&self, request: &str) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let (status, body) = Wire::connect(&self.address).await?.call(request.as_bytes()).await?;
            if status == 200 {
                return Ok(());
            }
            if status != 503 || Instant::now() > deadline {
                let said = self.said()?;
                return Err(format!("{status} from {}: {}\n{said}", self.address, text(&body)).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn spawn(mut command: Command, address: String) -> Result<Self> {
        let log = NamedTempFile::new()?;
        let child = command.stderr(log.reopen()?).spawn().map_err(|e| format!("{:?}: {e}", command.as_std()))?;
        let id = child.id().ok_or("the server has ended")?;
        Ok(Self { address, id, child, log })
    }

    /// Waits a moment, unless the server has ended or `deadline` has passed.
    async fn wait(&mut self, what: &str, deadline: Instant) -> Result<()> {
        if self.child.try_wait()?.is_some() || Instant::now() > deadline {
            return Err(format!("the server {what}:\n{}", self.said()?).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(())
    }

    /// Returns what it has written to standard error.
    fn said(&self) -> Result<String> {
        Ok(text(&std::fs::read(self.log.path())?))
    }
}

impl Drop for Server {
    /// Ends what descends from it too: nginx's worker would outlive a master that was killed.
    fn drop(&mut self) {
        // Once it was waited for, its id may be another's.
        let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        let ids = tree(id).unwrap_or_default().into_iter().map(|process| process.pid.to_string());
        let _ = std::process::Command::new("kill").arg("-KILL").args(ids).stderr(Stdio::null()).status();
    }
}

/// Returns the command that runs `program` on a core with room for many connections and nothing of
/// this process's environment; it is killed when dropped.
pub fn on_core(core: &str, program: impl AsRef<OsStr>) -> Command {
    // A proxy has two descriptors for a client; less than 20,000 may be allowed.
    const ROOM: &str = "for n in 24000 20000 12000; do ulimit -n $n 2>/dev/null && break; done";
    // `exec` all the way, so that the process that was started is the server itself.
    let mut command = Instance::command(Path::new("sh"));
    command.args(["-c", &format!("{ROOM}; exec taskset -c \"$0\" \"$@\""), core]).arg(program);
    command.stderr(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// What a server says once it listens; a function says more, in lines like it.
#[derive(serde::Deserialize)]
pub struct Line {
    /// What happened.
    pub message: String,
    /// `host:port`.
    pub address: Option<String>,
}

fn listening(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok()?;
    line.address.filter(|_| line.message == "listening")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
