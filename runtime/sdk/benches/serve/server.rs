//! A server on its own core, as a process that ends when it is dropped.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use drover_testkit::Instance;
use tokio::process::{Child, Command};

use crate::Result;
use crate::machine::SERVER_CORE;
use crate::prepare::Function;
use crate::wire::{Wire, predict};

/// How long a server may take to be ready; scikit-learn takes seconds to be imported.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What `jobs/predict.nomad` sets, so that memory which loading took goes back.
pub(crate) const MALLOC: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// A running server.
pub(crate) struct Server {
    /// `host:port`.
    pub(crate) address: String,
    /// Its process.
    pub(crate) id: u32,
    _child: Child,
    _log: tempfile::NamedTempFile,
}

impl Server {
    /// Starts a function, pinned and limited to one core, and waits until it answers `row`.
    pub(crate) async fn function(function: &Function, settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = pinned(&function.binary);
        command
            .env("DROVER_CPU", "1")
            .env("DROVER_MODEL", &function.model)
            .env(MALLOC.0, MALLOC.1)
            .envs(settings.iter().copied());
        let server = Self::start(command).await?;
        server.ready(&predict(&function.row)).await?;
        Ok(server)
    }

    /// Starts the yardstick.
    pub(crate) async fn bare() -> Result<Self> {
        let mut command = pinned(std::env::current_exe()?.as_os_str());
        command.arg("--bare");
        Self::start(command).await
    }

    /// Starts the server of another world: `mode` of `peers.py`.
    pub(crate) async fn python(python: &Path, mode: &str, row: &str) -> Result<Self> {
        let mut command = pinned(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/serve/peers.py")).arg(mode);
        command.env("OMP_NUM_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        let server = Self::start(command).await?;
        server.ready(&predict(row)).await?;
        Ok(server)
    }

    /// Starts a server that says as JSON on standard error where it listens.
    async fn start(mut command: Command) -> Result<Self> {
        let log = tempfile::NamedTempFile::new()?;
        let mut child = command.stderr(log.reopen()?).spawn()?;
        let id = child.id().ok_or("the server has ended")?;
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let text = std::fs::read_to_string(log.path())?;
            if let Some(address) = text.lines().find_map(listening) {
                return Ok(Self { address, id, _child: child, _log: log });
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(format!("{:?} does not listen:\n{text}", command.as_std()).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until `request` is answered with 200.
    async fn ready(&self, request: &[u8]) -> Result<()> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let (status, body) = Wire::connect(&self.address).await?.call(request).await?;
            if status == 200 {
                return Ok(());
            }
            if status != 503 || Instant::now() > deadline {
                return Err(format!("{status} from {}: {}", self.address, String::from_utf8_lossy(&body)).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns the command that runs `program` on the server's core with room for many connections and
/// nothing of this process's environment; it is killed when dropped.
pub(crate) fn pinned(program: impl AsRef<OsStr>) -> Command {
    // `exec` all the way, so that the process that was started is the server itself.
    let mut command = Instance::command(Path::new("sh"));
    command.args(["-c", "ulimit -n 12000 2>/dev/null; exec taskset -c \"$0\" \"$@\"", SERVER_CORE]).arg(program);
    command.stderr(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

/// What a server says once it listens; a function says more, in lines like it.
#[derive(serde::Deserialize)]
struct Line {
    message: String,
    address: Option<String>,
}

fn listening(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).ok()?;
    line.address.filter(|_| line.message == "listening")
}
