//! A fleet's command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use loadgen::fleet::Key;
use loadgen::guard::Reach;

use super::RunArgs;

/// Where a master listens unless somebody says otherwise: Locust's port.
pub(crate) const MASTER_PORT: u16 = 5557;

/// A run on the workers of a fleet.
#[derive(Debug, Args)]
pub(crate) struct MasterArgs {
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Fleet")]
pub(crate) struct FleetArgs {
    /// Workers that are waited for before the run begins; more may come while it goes on.
    #[arg(long, value_name = "WORKERS", default_value_t = 1)]
    pub(crate) expect_workers: usize,
    /// Where the master listens. Other machines reach it only at another address, which needs a key.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, MASTER_PORT)))]
    pub(crate) bind: SocketAddr,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// The master, HOST or HOST:PORT. Default: the service `loadgen-master` in Consul.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) master: Option<String>,
    /// Consul's URL; CONSUL_HTTP_TOKEN is its token.
    #[arg(long, env = "CONSUL_HTTP_ADDR", value_name = "URL", default_value = "http://127.0.0.1:8500")]
    pub(crate) consul: String,
    /// The worker's name in reports. Default: the first digits of Nomad's allocation, or the host's name and the
    /// process's number.
    #[arg(long, env = "LOADGEN_NAME")]
    pub(crate) name: Option<String>,
    /// Loads what the master names, even if neither it nor the cluster that has it is on this machine or in a private
    /// network. What the master was told of that does not count here.
    #[arg(long)]
    i_own_this_target: bool,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// A file that holds the fleet's key, the same for all of it. Default: LOADGEN_KEY, in the environment.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// Reads the key; one that is not there is for this machine alone.
    pub(crate) fn read(&self) -> Result<Key> {
        match (&self.key_file, std::env::var("LOADGEN_KEY")) {
            (Some(file), _) => Key::read(file).context("--key-file"),
            (None, Ok(text)) if !text.is_empty() => Key::new(&text).context("LOADGEN_KEY"),
            _ => Ok(Key::none()),
        }
    }
}

impl WorkerArgs {
    /// Says how far a load of this worker may reach.
    pub(crate) fn reach(&self) -> Reach {
        if self.i_own_this_target { Reach::Anywhere } else { Reach::Near }
    }

    /// Returns the worker's name.
    pub(crate) fn name(&self) -> String {
        let alloc = || std::env::var("NOMAD_ALLOC_ID").ok().map(|id| id.chars().take(8).collect());
        let host = || {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            format!("{host}-{}", std::process::id())
        };
        self.name.clone().or_else(alloc).unwrap_or_else(host)
    }
}
