//! What the gateway writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use drover_gateway::Settings;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::house::House;

/// Counts warnings of the gateway.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("drover_gateway")
    }

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_storm_of_failures_does_not_fill_the_log_and_a_client_s_mistakes_are_not_in_it() {
    let written = Arc::new(AtomicUsize::new(0));
    // The gateway's tasks run on this thread.
    let _counting = tracing::subscriber::set_default(Warnings(Arc::clone(&written)));
    let house = House::start(Settings { cold_start_timeout: std::time::Duration::ZERO, ..Settings::default() }).await;
    house.script.show(&[]);
    for _ in 0..100 {
        assert_eq!(house.get("/functions/unknown/").await.0, 404);
    }
    assert_eq!(written.load(Ordering::SeqCst), 0);
    for _ in 0..200 {
        assert!(house.get("/functions/penguins/").await.0 >= 500);
    }
    // 20 at once and 10 a second.
    let n = written.load(Ordering::SeqCst);
    assert!((20..=100).contains(&n), "{n} of 200 were written");
}
