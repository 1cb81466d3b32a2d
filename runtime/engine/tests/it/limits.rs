//! Limits of CPU and memory that hold.

use std::time::{Duration, Instant};

use drover_engine::InstanceState;
use drover_engine::local::Host;
use procfs::process::Process;

use crate::herder::{Herder, Spec};

/// Returns whether limits can be set here; says so if not.
fn permitted(herder: &Herder) -> bool {
    match herder.engine.limits_warning() {
        None => true,
        Some(why) => {
            eprintln!("skipped: {why}");
            false
        }
    }
}

/// Returns the CPU time that the cgroup of `pid` has used.
fn cpu_time(pid: u32) -> Duration {
    let read = |controller: &str, file: &str| {
        let process = Process::new(i32::try_from(pid).unwrap()).unwrap();
        let groups = process.cgroups().unwrap().0;
        let group = groups.iter().find(|g| g.controllers.iter().any(|c| c == controller) || g.hierarchy == 0)?;
        let root = if controller.is_empty() { "/sys/fs/cgroup".into() } else { format!("/sys/fs/cgroup/{controller}") };
        std::fs::read_to_string(format!("{root}{}/{file}", group.pathname)).ok()
    };
    if let Some(text) = read("cpuacct", "cpuacct.usage") {
        return Duration::from_nanos(text.trim().parse().unwrap());
    }
    let text = read("", "cpu.stat").unwrap();
    let usec = text.lines().find_map(|l| l.strip_prefix("usage_usec ")).unwrap();
    Duration::from_micros(usec.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_loop_is_held_to_a_quarter_of_a_core() {
    let herder = Herder::start();
    let resources = format!("cpu = {}\nmemory = 256", Host::read().core_mhz / 4);
    let function = herder.add("spin", &Spec { probe: "spin", resources, ..Spec::default() });
    if !permitted(&herder) {
        return herder.finish().await;
    }
    let pid = herder.until_ready(&function, 1).await[0].pid.unwrap();
    let (before, started) = (cpu_time(pid), Instant::now());
    // Time itself is measured here.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let cores = (cpu_time(pid) - before).as_secs_f64() / started.elapsed().as_secs_f64();
    assert!((0.05..0.29).contains(&cores), "it used {cores:.3} cores, limit is 0.25");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_killed_and_that_is_said() {
    let herder = Herder::start();
    let (resources, group) = (
        "cpu = 1000\nmemory = 32\nmemory_max = 48".into(),
        "restart {\n attempts = 0\n }\n reschedule {\n attempts = 0\n }",
    );
    let function = herder.add("hog", &Spec { probe: "hog", resources, group, ..Spec::default() });
    if !permitted(&herder) {
        return herder.finish().await;
    }
    let instance = herder.until_reason(&function, "memory").await;
    assert_eq!(instance.reason.as_deref(), Some("killed: out of memory, limit is 48 MiB"));
    assert_eq!(instance.state, InstanceState::Failed);
    herder.finish().await;
}
