//! Limits of CPU and memory that hold.

use std::time::{Duration, Instant};

use drover_engine::local::Host;
use drover_engine::{InstanceState, Resize, Scheduler, SchedulerError, Size};
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

/// Returns the CPU quota and the memory limit of the cgroup of `pid`: cores and MiB.
fn limits(pid: u32) -> (f64, u64) {
    let process = Process::new(i32::try_from(pid).unwrap()).unwrap();
    let groups = process.cgroups().unwrap().0;
    let read = |controller: &str, file: &str| {
        let group = groups.iter().find(|g| g.controllers.iter().any(|c| c == controller))?;
        std::fs::read_to_string(format!("/sys/fs/cgroup/{controller}{}/{file}", group.pathname)).ok()
    };
    let number = |text: &str| text.trim().parse::<f64>().unwrap();
    let mib = |bytes: &str| bytes.trim().parse::<u64>().unwrap() >> 20;
    if let (Some(quota), Some(bytes)) = (read("cpu", "cpu.cfs_quota_us"), read("memory", "memory.limit_in_bytes")) {
        return (number(&quota) / 1e5, mib(&bytes));
    }
    let group = groups.iter().find(|g| g.hierarchy == 0).unwrap();
    let read = |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup{}/{file}", group.pathname)).unwrap();
    let quota = read("cpu.max");
    (number(quota.split(' ').next().unwrap()) / 1e5, mib(&read("memory.max")))
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_holds_at_once_and_for_those_to_come() {
    let herder = Herder::start();
    let mhz = Host::read().core_mhz;
    let resources = format!("cpu = {}\nmemory = 64\nmemory_max = 256", mhz / 2);
    let function = herder.add("f", &Spec { resources, ..Spec::default() });
    if !permitted(&herder) {
        return herder.finish().await;
    }
    let is = |found: (f64, u64), wanted: (f64, u64)| (found.0 - wanted.0).abs() < 0.01 && found.1 == wanted.1;
    let pid = herder.until_ready(&function, 1).await[0].pid.unwrap();
    assert!(is(limits(pid), (0.5, 256)), "{:?}", limits(pid));
    let size = |cpu_cores, memory_mib| Size { cpu_cores, memory_mib, memory_max_mib: None };

    // Smaller and larger, in the same process.
    for (cores, mib) in [(0.25, 128), (0.75, 192)] {
        herder.engine.resize(&function, size(cores, mib), Resize::InPlace).await.unwrap();
        assert!(is(limits(pid), (cores, mib)), "{:?}", limits(pid));
        assert_eq!(herder.until_ready(&function, 1).await[0].pid, Some(pid));
    }
    herder.engine.scale(&function, 2).await.unwrap();
    let second = herder.until_ready(&function, 2).await[1].pid.unwrap();
    assert!(is(limits(second), (0.75, 192)), "{:?}", limits(second));
    let shown = herder.engine.status().await.unwrap()[0].size.unwrap();
    assert!((shown.cpu_cores - 0.75).abs() < 0.001 && shown.limit_mib() == 192, "{shown}");

    // By new processes, which are made for it.
    herder.engine.resize(&function, size(0.3, 96), Resize::Replace).await.unwrap();
    let all = herder.until_ready(&function, 2).await;
    for instance in &all {
        let new = instance.pid.unwrap();
        assert!(new != pid && new != second && is(limits(new), (0.3, 96)), "{:?}", limits(new));
    }
    let in_env = crate::herder::get(all[0].address.unwrap(), "/env/NOMAD_MEMORY_LIMIT").await;
    assert_eq!(in_env, "96");

    // Too little to live with: what runs goes on.
    let wrong = herder.engine.resize(&function, size(0.01, 1), Resize::InPlace).await.unwrap_err();
    assert!(matches!(wrong, SchedulerError::Size(_)), "{wrong}");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_no_instance_can_live_with_leaves_what_runs() {
    let herder = Herder::start();
    let function = herder.add("f", &Spec { probe: "heavy", ..Spec::default() });
    if !permitted(&herder) {
        return herder.finish().await;
    }
    let pid = herder.until_ready(&function, 1).await[0].pid.unwrap();
    let size = Size { cpu_cores: 0.5, memory_mib: 32, memory_max_mib: None };
    for (how, words) in
        [(Resize::InPlace, "MiB of memory now, more than 32 MiB"), (Resize::Replace, "killed: out of memory")]
    {
        let wrong = herder.engine.resize(&function, size, how).await.unwrap_err().to_string();
        assert!(wrong.contains(words), "{wrong}");
        assert_eq!(herder.until_ready(&function, 1).await[0].pid, Some(pid));
    }
    herder.finish().await;
}
