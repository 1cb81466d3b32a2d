//! A server that a test starts, with its log, ended when dropped.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(30);

/// A server's process; SIGTERM when dropped, if it has not had it yet, and SIGKILL if that does not help.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// SIGTERM was sent: a second one would cut short what the server still finishes.
    is_asked: AtomicBool,
}

impl Process {
    /// Starts `command` with its output in `log`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let other = file.try_clone().unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        command.stdin(Stdio::null()).stdout(file).stderr(other);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self { child, log: log.into(), is_asked: AtomicBool::new(false) }
    }

    /// Returns whether the process still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal by its name, e.g. `KILL`.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
        self.is_asked.fetch_or(name == "TERM", Ordering::Relaxed);
    }

    /// Returns the end of the log.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(20)).fold(String::new(), |all, line| all + line + "\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() && !self.is_asked.load(Ordering::Relaxed) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        }
        let deadline = Instant::now() + END_LIMIT;
        while self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ends:\n{}", self.log.display(), self.last_lines());
        }
    }
}

/// Returns `N` free ports of the loopback interface. Somebody else may take one before it is used:
/// hardly ever, since the system hands out others meanwhile.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn free_ports<const N: usize>() -> [u16; N] {
    let bound = [(); N].map(|()| {
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap_or_else(|e| panic!("no free port: {e}"))
    });
    bound.map(|listener| listener.local_addr().map_or(0, |address| address.port()))
}

/// Returns where `program`, which a test wants, is on `PATH`, or nothing, and says so.
#[must_use]
pub fn installed(program: &str) -> Option<PathBuf> {
    let found = on_path(program);
    if found.is_none() {
        eprintln!("skipped: {program} is not on PATH");
    }
    found
}

/// Returns where `program` is on `PATH`.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}
