//! What happens, for whoever listens: server-sent events.

use drover_core::{FunctionName, InstanceId};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::decisions::Decided;
use crate::gateway::unix_ms;

/// Events that a slow listener may be behind before it misses some.
const BEHIND_MAX: usize = 1024;

/// What happens, for whoever listens.
pub(crate) struct Events(broadcast::Sender<Event>);

/// One event: its name, and its data as JSON.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    name: &'static str,
    data: String,
}

#[derive(Serialize)]
struct Happened<'a> {
    at_unix_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    text: &'a str,
}

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Events {
    /// An instance came into or went out of service.
    pub(crate) fn instance(&self, function: &FunctionName, instance: &InstanceId, text: &str) {
        let (function, instance) = (Some(function.as_str()), Some(instance.as_str()));
        self.send("instance", &Happened { at_unix_ms: unix_ms(), function, instance, text });
    }

    /// The catalog was lost or is back.
    pub(crate) fn catalog(&self, text: &str) {
        self.send("catalog", &Happened { at_unix_ms: unix_ms(), function: None, instance: None, text });
    }

    /// Another gateway scales now, or this one does.
    pub(crate) fn leader(&self, text: &str) {
        self.send("leader", &Happened { at_unix_ms: unix_ms(), function: None, instance: None, text });
    }

    /// The number of instances was decided anew.
    pub(crate) fn decision(&self, decided: &Decided) {
        self.send("decision", decided);
    }

    fn send(&self, name: &'static str, data: &impl Serialize) {
        if self.0.receiver_count() > 0 {
            let data = serde_json::to_string(data).unwrap_or_default();
            let _nobody_listens = self.0.send(Event { name, data });
        }
    }

    /// Returns all that happens from now on, in the format of server-sent events. A listener that is too
    /// slow is told how many it missed.
    pub(crate) fn listen(&self) -> BoxStream<'static, String> {
        let receiver = self.0.subscribe();
        futures_util::stream::unfold(receiver, |mut receiver| async move {
            let text = match receiver.recv().await {
                Ok(event) => format!("event: {}\ndata: {}\n\n", event.name, event.data),
                Err(broadcast::error::RecvError::Lagged(n)) => format!("event: missed\ndata: {{\"n_events\":{n}}}\n\n"),
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((text, receiver))
        })
        .boxed()
    }
}
