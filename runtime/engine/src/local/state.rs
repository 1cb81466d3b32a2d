//! What the engine keeps on disk: a lock, what must be cleaned up after a kill, instance directories.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use drover_core::InstanceId;
use procfs::process::all_processes;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::cgroup::Parent;
use super::signal;

/// Directories of ended instances that are kept, for their logs.
const INSTANCE_DIRS_KEPT: usize = 20;

/// What is written down so that others find this engine, and the next one cleans up after it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The process of the engine.
    pub pid: u32,
    /// Where its gateway listens.
    pub gateway: Option<SocketAddr>,
    /// The cgroups that it made.
    pub cgroups: Vec<PathBuf>,
}

/// The directory `.drover`, held by one engine at a time.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    _lock: File,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another engine uses it.
    #[error("drover already runs here (process {pid}); its state is in {dir}")]
    InUse {
        /// The other engine's process; 0 if it is not known yet.
        pid: u32,
        /// The directory.
        dir: PathBuf,
    },
    /// It cannot be written.
    #[error("the state directory {dir} cannot be used: {source}")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StateDir {
    /// Takes the directory, making it if needed, and cleans up what a killed engine left in it.
    ///
    /// # Errors
    /// [`StateError::InUse`] while another engine runs; [`StateError::Io`] if it cannot be written.
    pub fn take(dir: &Path) -> Result<Self, StateError> {
        let io = |source| StateError::Io { dir: dir.into(), source };
        fs::create_dir_all(dir.join("alloc")).map_err(io)?;
        let dir = &std::path::absolute(dir).map_err(io)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = Record::read(dir).map_or(0, |record| record.pid);
                return Err(StateError::InUse { pid, dir: dir.clone() });
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let state = Self { dir: dir.clone(), _lock: lock };
        state.clean_up();
        Ok(state)
    }

    /// Writes down what others and a later clean-up need.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let temporary = self.dir.join("up.json.new");
        fs::write(&temporary, serde_json::to_vec_pretty(record)?)?;
        fs::rename(temporary, self.dir.join("up.json"))
    }

    /// Forgets the record: everything has been cleaned up.
    pub fn forget(&self) {
        let _gone = fs::remove_file(self.dir.join("up.json"));
    }

    /// Returns the directory of an instance.
    pub(crate) fn instance_dir(&self, id: &InstanceId) -> PathBuf {
        self.dir.join("alloc").join(id.as_str())
    }

    fn clean_up(&self) {
        if let Some(record) = Record::read(&self.dir) {
            self.kill_orphans();
            Parent::left_behind(record.cgroups).remove();
            self.forget();
        }
        let entries = fs::read_dir(self.dir.join("alloc")).into_iter().flatten().flatten();
        let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut dirs: Vec<_> = entries.map(|e| (age(&e.path()), e.path())).collect();
        dirs.sort();
        let n_old = dirs.len().saturating_sub(INSTANCE_DIRS_KEPT);
        for (_, dir) in dirs.into_iter().take(n_old) {
            let _gone = fs::remove_dir_all(dir);
        }
    }

    /// Kills processes of instances whose engine was killed: those whose `NOMAD_ALLOC_DIR` is in here.
    fn kill_orphans(&self) {
        let ours = |process: &procfs::process::Process| {
            let env = process.environ().ok();
            let dir = env.as_ref().and_then(|env| env.get(std::ffi::OsStr::new("NOMAD_ALLOC_DIR")));
            dir.is_some_and(|value| Path::new(value).starts_with(&self.dir))
        };
        for process in all_processes().into_iter().flatten().flatten().filter(ours) {
            if let Ok(pid) = u32::try_from(process.pid) {
                signal::send(pid, Signal::KILL);
            }
        }
    }
}

impl Record {
    /// Reads the record of the engine that uses, or used, the state directory `dir`.
    #[must_use]
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join("up.json")).ok()?).ok()
    }
}
