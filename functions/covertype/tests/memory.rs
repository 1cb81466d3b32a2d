//! What an instance keeps of what loading its model took.

use std::path::Path;
use std::time::Duration;

use drover_testkit::{Instance, Scrape};

/// While it loads, it touches 70 MB.
const KEPT_MOST_BYTES: f64 = 55e6;

#[tokio::test]
async fn an_instance_that_nobody_asks_lets_go_of_what_loading_took() {
    let mut command = Instance::command(Path::new(env!("CARGO_BIN_EXE_covertype")));
    command.env("DROVER_CPU", "1").env("DROVER_MODEL", Path::new(env!("CARGO_MANIFEST_DIR")).join("model"));
    let instance = Instance::start(command).await;
    // One look, and late: whoever asks makes it allocate, and so look for what is free.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let resident =
        Scrape::of(&format!("http://{}", instance.address())).await.sum("process_resident_memory_bytes", &[]);
    assert!(resident > 0.0 && resident < KEPT_MOST_BYTES, "{resident} bytes");
}
