//! `drover feedback`: keeps users' verdicts, for gateways.

use std::process::ExitCode;

use anyhow::Context;
use drover_core::config::EXIT_BAD_CONFIG;
use drover_feedback::{Retention, Service, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::FeedbackArgs;
use crate::signals::Signals;

/// Opens the store, listens, serves, and drains at the first signal.
pub(crate) async fn feedback(args: &FeedbackArgs) -> anyhow::Result<ExitCode> {
    let key = match &args.key_file {
        Some(file) => Some(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?),
        None => std::env::var("DROVER_FEEDBACK_KEY").ok(),
    };
    let key = key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    if key.is_none() && !args.open && !args.listen.ip().to_canonical().is_loopback() {
        eprintln!(
            "drover feedback: {} can be reached from other machines, and no key is set: set --key-file or \
             DROVER_FEEDBACK_KEY, or --open if everybody may read and write",
            args.listen
        );
        return Ok(ExitCode::from(EXIT_BAD_CONFIG));
    }
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let store = Store::open(&args.store, Retention { keep: args.keep, rows: args.rows }).await?;
    eprintln!("drover feedback: listens on {}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let server = drover_feedback::serve(listener, Service { store, key }, stop.clone());
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => return Ok(ExitCode::SUCCESS),
        () = signals.next() => stop.cancel(),
    }
    tokio::select! {
        () = server => Ok(ExitCode::SUCCESS),
        // Asked twice: at once.
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}
