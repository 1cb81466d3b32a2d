//! The local engine with real processes, ports and cgroups.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy sees the functions that tests share as production code"
)]

mod herder;
mod life;
mod limits;
mod probe;
mod state;

use std::ffi::OsString;

use drover_engine::local::Launch;

/// Becomes a task's program, as `drover launch` does.
#[test]
#[ignore = "not a test: what the engine runs as its launcher"]
fn launch_process() {
    let args: Vec<OsString> = std::env::args_os().skip_while(|a| a != "launch_process").skip(1).collect();
    let mut launch = Launch { parent: 0, join: Vec::new(), command: Vec::new() };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--parent") => launch.parent = args.next().unwrap().to_str().unwrap().parse().unwrap(),
            Some("--join") => launch.join.push(args.next().unwrap().into()),
            Some("--") => launch.command = args.by_ref().collect(),
            other => panic!("{other:?}"),
        }
    }
    if !launch.command.is_empty() {
        eprintln!("{}", launch.exec());
        std::process::exit(1);
    }
}
