//! The flags of `drover feedback`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use drover_core::units::parse_duration;

/// Where users' verdicts are kept.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  drover feedback
  drover feedback --store postgres://drover@db.example/feedback --key-file feedback.key --listen 10.0.0.7:8090")]
pub(crate) struct FeedbackArgs {
    /// Where to listen; beyond this machine only with a key, or --open.
    #[arg(short, long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where verdicts are kept: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`, with `?sslmode=verify-full` by TLS,
    /// and `&sslrootcert=FILE` for an authority of your own. A password is better off in the variable than on the command
    /// line, which others on the machine can read.
    #[arg(long, env = "DROVER_FEEDBACK_STORE", default_value = "sqlite:feedback.sqlite", hide_env_values = true)]
    pub(crate) store: String,
    /// The file with the key that gateways show, their setting feedback.key. The key itself may stand in the variable
    /// DROVER_FEEDBACK_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Answer everybody who reaches the port.
    #[arg(long)]
    pub(crate) open: bool,
    /// Delete verdicts on older answers.
    #[arg(long, default_value = "90days", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) keep: Duration,
    /// Keep at most so many verdicts, the newest.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) rows: u64,
}
