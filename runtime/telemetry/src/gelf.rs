//! Log lines for Graylog: every event of `tracing` as a message of the Graylog Extended Log Format, version 1.1.
//!
//! A field of an event is a field of the message, with its type: a number can be compared and drawn in Graylog, a text
//! looked for.

mod queue;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Number, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use self::queue::Queue;
pub use self::queue::{dropped, flush};
pub use self::wire::Server;

/// Where the kernel says what this machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Sends every event to a Graylog; a layer of a `tracing` subscriber.
pub struct Gelf {
    queue: Arc<Queue>,
    /// What every message holds.
    base: Map<String, Value>,
}

impl Gelf {
    /// Begins to send to `server`, from a thread of its own. Each message carries `fields` beside its own.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(server: Server, fields: &[(&str, &str)]) -> std::io::Result<Self> {
        let host = std::fs::read_to_string(HOSTNAME).map(|name| name.trim().to_owned());
        let mut base = Map::new();
        base.insert("version".into(), "1.1".into());
        base.insert("host".into(), host.unwrap_or_else(|_| "unknown".into()).into());
        base.extend(fields.iter().map(|(name, value)| (format!("_{name}"), Value::from(*value))));
        Ok(Self { queue: Queue::start(server)?, base })
    }
}

impl<S: Subscriber> Layer<S> for Gelf {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(self.base.clone());
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        message.0.insert("level".into(), level.into());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        message.number("timestamp", (now.as_secs_f64() * 1e3).round() / 1e3);
        event.record(&mut message);
        // The format demands one.
        message.0.entry("short_message").or_insert_with(|| event.metadata().name().into());
        if let Ok(bytes) = serde_json::to_vec(&message.0) {
            self.queue.put(bytes);
        }
    }
}

/// One message, as far as it is known.
struct Message(Map<String, Value>);

impl Message {
    fn add(&mut self, field: &Field, value: Value) {
        let name = match field.name() {
            "message" => "short_message".into(),
            // Graylog has a field of this name of its own.
            "id" => "_event_id".into(),
            name => format!("_{name}"),
        };
        self.0.insert(name, value);
    }

    fn number(&mut self, name: &str, value: f64) {
        self.0.extend(Number::from_f64(value).map(|number| (name.to_owned(), Value::Number(number))));
    }
}

impl Visit for Message {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is no number has no place in JSON.
        if let Some(number) = Number::from_f64(value) {
            self.add(field, Value::Number(number));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, u64::try_from(value).unwrap_or(u64::MAX).into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Texts and numbers only: a truth value is a text here, too.
        self.add(field, format!("{value:?}").into());
    }
}
