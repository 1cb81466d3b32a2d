//! The feedback service of `drover up`: in this process, with SQLite in the state directory.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context;
use drover_feedback::{Retention, Service, Store};
use drover_gateway::FeedbackSettings;
use drover_gateway::access::{Functions, NewKey};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The file of users' verdicts in the state directory.
const FILE: &str = "feedback.sqlite";

/// Where users' verdicts go.
pub(super) struct Feedback {
    /// What the gateway has to know of it.
    pub(super) settings: FeedbackSettings,
    server: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Feedback {
    /// Starts the service in this process, unless another one, or none, is asked for.
    pub(super) async fn start(asked: Option<&str>, state_dir: &Path) -> anyhow::Result<Self> {
        let mut settings = FeedbackSettings::default();
        match asked {
            Some("off") => return Ok(Self { settings, server: None }),
            Some(url) => {
                settings.url = Some(url.trim_end_matches('/').to_owned());
                settings.key = std::env::var("DROVER_FEEDBACK_KEY").ok();
                return Ok(Self { settings, server: None });
            }
            None => {}
        }
        let file = state_dir.join(FILE);
        let store = Store::open(&format!("sqlite:{}", file.display()), Retention::default())
            .await
            .context("users' verdicts cannot be kept (see --feedback off)")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        settings.url = Some(format!("http://{}", listener.local_addr()?));
        // Whoever else is on this machine has to ask the gateway.
        let key = NewKey::new("feedback", &Functions::All)?.secret;
        settings.key = Some(key.clone());
        let stop = CancellationToken::new();
        let serving = drover_feedback::serve(listener, Service { store, key: Some(key) }, stop.clone());
        Ok(Self { settings, server: Some((tokio::spawn(serving), stop)) })
    }

    /// Stops the service, once the gateway has nothing more for it.
    pub(super) async fn stop(self) {
        if let Some((server, stop)) = self.server {
            stop.cancel();
            let _ended = server.await;
        }
    }
}
