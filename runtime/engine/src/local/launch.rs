//! The last steps before a task's program runs, taken by a process of its own so that none of them
//! needs unsafe code between fork and exec.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// What to do before a task's program runs, and the program.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The process that must be the parent.
    pub parent: u32,
    /// `cgroup.procs` files to join.
    pub join: Vec<PathBuf>,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

impl Launch {
    /// Asks the kernel to kill this process when its parent ends, joins the cgroups and becomes the
    /// program. Returns only if that failed.
    #[must_use]
    pub fn exec(self) -> io::Error {
        match self.prepare() {
            Ok(mut command) => command.exec(),
            Err(e) => e,
        }
    }

    fn prepare(&self) -> io::Result<Command> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have ended before the kernel knew of the wish.
        let parent = getppid().map(Pid::as_raw_pid);
        if parent.and_then(|pid| u32::try_from(pid).ok()) != Some(self.parent) {
            return Err(io::Error::other(format!("the parent is not process {}", self.parent)));
        }
        for file in &self.join {
            fs::write(file, "0").map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        }
        let (program, args) =
            self.command.split_first().ok_or_else(|| io::Error::other("no program to launch was given"))?;
        let mut command = Command::new(program);
        command.args(args);
        Ok(command)
    }
}
