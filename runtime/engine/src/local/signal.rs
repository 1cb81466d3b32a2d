//! Signals by name, and how they are sent.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Returns the signal called `name`, e.g. `SIGTERM`.
pub(crate) fn by_name(name: &str) -> Option<Signal> {
    Some(match name {
        "SIGHUP" => Signal::HUP,
        "SIGINT" => Signal::INT,
        "SIGQUIT" => Signal::QUIT,
        "SIGKILL" => Signal::KILL,
        "SIGUSR1" => Signal::USR1,
        "SIGUSR2" => Signal::USR2,
        "SIGTERM" => Signal::TERM,
        _ => return None,
    })
}

/// Returns the name of a signal number, for messages.
pub(crate) fn name_of(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.into()
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

/// Sends `signal` to the process `id`; a process that is gone is no failure.
pub(crate) fn send(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _gone = kill_process(pid, signal);
    }
}

/// Sends SIGKILL to every process of the group that `id` leads.
pub(crate) fn kill_group(id: u32) {
    if let Some(pid) = pid(id) {
        let _gone = kill_process_group(pid, Signal::KILL);
    }
}
