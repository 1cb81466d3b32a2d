//! What the gateway writes.

use std::cell::Cell;

use drover_gateway::Settings;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::house::House;

thread_local! {
    static WRITTEN: Cell<usize> = const { Cell::new(0) };
}

/// Counts the gateway's warnings of this thread.
///
/// It stands for the whole process: where there is but one subscriber and it is a thread's, a place
/// that logs and is first reached on another thread is taken for one that nobody listens to.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("drover_gateway")
    }

    fn event(&self, _: &Event<'_>) {
        WRITTEN.set(WRITTEN.get() + 1);
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
    tracing::subscriber::set_global_default(Warnings).expect("the only subscriber of these tests");
    tracing::callsite::rebuild_interest_cache();
    // The gateway's tasks run on this thread.
    let house = House::start(Settings { cold_start_timeout: std::time::Duration::ZERO, ..Settings::default() }).await;
    house.script.show(&[]);
    for _ in 0..100 {
        assert_eq!(house.get("/functions/unknown/").await.0, 404);
    }
    assert_eq!(WRITTEN.get(), 0);
    for _ in 0..200 {
        assert!(house.get("/functions/penguins/").await.0 >= 500);
    }
    // 20 at once and 10 a second.
    let n = WRITTEN.get();
    assert!((20..=100).contains(&n), "{n} of 200 were written");
}
