//! The command line.

mod feedback;
mod gateway;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use drover_engine::local::{Launch, Record};

pub(crate) use feedback::FeedbackArgs;
pub(crate) use gateway::GatewayArgs;

use crate::client::{Client, Door};

/// ML models as small functions, on this machine or on Nomad.
#[derive(Debug, Parser)]
#[command(name = "drover", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where `drover up` keeps its state, and where it listens.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Where `drover up` keeps its state and logs.
    #[arg(long, env = "DROVER_STATE_DIR", default_value = ".drover", value_name = "DIR", global = true)]
    pub(crate) state_dir: PathBuf,
    /// The gateway to talk to, HOST:PORT or a URL; unless set, that of the `drover up` that runs here.
    #[arg(long, env = "DROVER_GATEWAY", value_name = "ADDRESS", global = true)]
    gateway: Option<String>,
    /// The file with the key for that gateway: its admin key, or that of a function to invoke. The key itself may
    /// stand in the variable DROVER_KEY.
    #[arg(long, env = "DROVER_KEY_FILE", value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// Who vouches for that gateway's certificate, PEM; unless set, whom this machine trusts.
    #[arg(long, env = "DROVER_CA_FILE", value_name = "FILE", global = true)]
    ca_file: Option<PathBuf>,
}

impl Place {
    /// Returns a client of the gateway to talk to.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let running = || {
            let record: Option<SocketAddr> = Record::read(&self.state_dir).and_then(|record| record.gateway);
            record.map_or_else(|| "127.0.0.1:8080".into(), |address| address.to_string())
        };
        let key = match &self.key_file {
            Some(file) => {
                Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
            }
            // No option: what stands on a command line, others on the machine can read.
            None => std::env::var("DROVER_KEY").ok(),
        };
        let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        let gateway = self.gateway.clone().unwrap_or_else(running);
        Client::new(Door { gateway, key, ca_file: self.ca_file.clone() })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run functions on this machine, from the same job files as on Nomad.
    Up(Up),
    /// Run the front door of a cluster: finds, queues, balances.
    Gateway(Box<GatewayArgs>),
    /// Keep users' verdicts on answers, for gateways.
    Feedback(FeedbackArgs),
    /// Make keys for the gateway.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show functions and instances.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask for so many instances of a function.
    Scale {
        /// The function.
        name: String,
        /// How many instances.
        count: u32,
    },
    /// Give each instance of a function another size: on this machine while it runs, on Nomad by a redeploy.
    #[command(after_help = "An instance prepares for its CPU when it starts: one that gets more whole cores while it \
        runs uses them for inference only after --replace. A job file is not changed by it.")]
    Resize {
        /// The function.
        name: String,
        /// CPU of one instance, in cores; as it is unless given.
        #[arg(long, value_name = "CORES", required_unless_present = "memory")]
        cpu: Option<f64>,
        /// Memory of one instance, MiB, above which it is killed; as it is unless given.
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
        /// Replace the instances one by one by new ones of that size.
        #[arg(long)]
        replace: bool,
    },
    /// Show what a function's instances wrote.
    Logs {
        /// The function.
        name: String,
        /// Go on with what they write from now on.
        #[arg(short, long)]
        follow: bool,
        /// At most so many of the newest lines.
        #[arg(short = 'n', long, default_value_t = 100)]
        tail: usize,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send one request to a function.
    Invoke {
        /// The function.
        name: String,
        /// The request as JSON; `@FILE` reads it from a file and `-` from standard input.
        #[arg(value_name = "JSON")]
        body: String,
    },
    /// Stop a function's instances, or all of `drover up`.
    Stop {
        /// The function; all if not given.
        name: Option<String>,
    },
    /// Check what this machine has and lacks.
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a new function in this checkout: it builds and answers at once.
    New {
        /// What it is called: a-z, 0-9 and -.
        name: String,
    },
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Become a task's program, tied to its parent and inside its cgroups.
    #[command(hide = true)]
    Launch(LaunchArgs),
}

/// Keys of the gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a new key to standard error, once, and what goes into the file of keys to standard output.
    New {
        /// Whose key it is: shown in logs and metrics.
        name: String,
        /// The functions that it is for, with commas between; `*` is all.
        #[arg(long, value_name = "NAMES", default_value = "*", value_delimiter = ',')]
        functions: Vec<String>,
    },
}

/// What `drover up` runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  drover up
  drover up -var count=2 jobs/predict.nomad
  drover up -var function=penguins -var cpu=250 --port 0 jobs/predict.nomad")]
pub(crate) struct Up {
    /// Job files; unless given, the functions of this checkout through jobs/predict.nomad.
    #[arg(value_name = "JOBFILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Set a variable of the job files; also written -var.
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(crate) vars: Vec<String>,
    /// Read variables from a file; also written -var-file.
    #[arg(long = "var-file", value_name = "FILE")]
    pub(crate) var_files: Vec<PathBuf>,
    /// The port of the gateway on 127.0.0.1; 0 takes a free one.
    #[arg(long, env = "DROVER_PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// Start so many instances of each function, whatever the job files say.
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u32>,
    /// The feedback service to use, a URL, or `off`; unless given, one runs inside, and keeps users' verdicts in the
    /// state directory.
    #[arg(long, value_name = "URL")]
    pub(crate) feedback: Option<String>,
    /// Run what is built already.
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Build a function again when its source changes, and replace its instances one by one.
    #[arg(long, conflicts_with = "no_build")]
    pub(crate) watch: bool,
    /// Start Prometheus too, and Grafana, where they are installed, with the files in grafana/.
    #[arg(long)]
    pub(crate) observe: bool,
    /// Do not show what the instances write.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    join: Vec<PathBuf>,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl LaunchArgs {
    pub(crate) fn into_launch(self) -> Launch {
        Launch { parent: self.parent, join: self.join, command: self.command }
    }
}

/// Writes Nomad's `-var` and `-var-file` as the long flags that they are here.
pub(crate) fn with_long_flags(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut after_the_end = false;
    args.map(|arg| {
        after_the_end |= arg == "--";
        match arg.to_str() {
            Some(text) if !after_the_end && (text.starts_with("-var")) => format!("-{text}").into(),
            _ => arg,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nomad_s_flags_are_understood() {
        let line = "drover up -var a=1 -var=b=2 -var-file f.hcl --var c=3 x.nomad";
        let cli = Cli::parse_from(with_long_flags(line.split(' ').map(OsString::from)));
        let Command::Up(up) = cli.command else { panic!("not up") };
        assert_eq!((up.vars, up.var_files), (vec!["a=1".into(), "b=2".into(), "c=3".into()], vec!["f.hcl".into()]));
    }
}
