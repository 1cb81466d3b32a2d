//! The limits in the job file are real.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drover_testkit::{client, eventually};
use serde_json::Value;

use crate::cluster::{Cluster, READY, row};

/// How long the instance is kept busy.
const BUSY: Duration = Duration::from_secs(4);

/// The clock of `/proc/PID/stat` on Linux, for all that a program can see.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::test]
async fn a_quarter_of_a_core_is_a_quarter_of_a_core() {
    let Some(cluster) = Cluster::start(&["penguins"]).await else { return };
    cluster.run("penguins", &[&quarter_of_a_core(&cluster).await]);
    let address = cluster.passing("penguins", 1).await.remove(0).address;
    let process = process_of(&address).await;

    let quota = quota_of(&process);
    assert!((quota - 0.25).abs() < 0.01, "its control group has a quota of {quota} cores");

    let used = cores_under_load(&address, &process).await;
    assert!((0.15..0.30).contains(&used), "it used {used:.3} cores of 0.25");
    eprintln!("held to {used:.3} cores of 0.25");
}

/// Returns the variable that gives a quarter of a core of the cluster's one node.
pub(crate) async fn quarter_of_a_core(cluster: &Cluster) -> String {
    let nodes = cluster.nomad.get("/v1/nodes").await;
    let node = cluster.nomad.get(&format!("/v1/node/{}", nodes[0]["ID"].as_str().unwrap())).await;
    let core_mhz: f64 = node["Attributes"]["cpu.frequency"].as_str().unwrap().parse().unwrap();
    format!("cpu={}", (core_mhz / 4.0).round())
}

/// Returns how many cores an instance uses that is asked for more than it can do.
pub(crate) async fn cores_under_load(address: &str, process: &str) -> f64 {
    // Four connections ask for as much as it gives.
    let end = Instant::now() + BUSY;
    let body: Vec<Value> = vec![row("penguins"); 500];
    let asking = (0..4).map(|_| {
        let (url, body) = (format!("http://{address}/predict"), body.clone());
        tokio::spawn(async move {
            while Instant::now() < end {
                client().post(&url).json(&body).send().await.unwrap().bytes().await.unwrap();
            }
        })
    });
    let asking: Vec<_> = asking.collect();
    tokio::time::sleep(BUSY / 8).await;
    let (began, before) = (Instant::now(), cpu_seconds(process));
    tokio::time::sleep(BUSY / 2).await;
    let used = (cpu_seconds(process) - before) / began.elapsed().as_secs_f64();
    for task in asking {
        task.await.unwrap();
    }
    used
}

/// Returns the id of the process that Nomad gave `address`.
pub(crate) async fn process_of(address: &str) -> String {
    let given = format!("NOMAD_ADDR_http={address}");
    eventually(&format!("a process has {address}"), READY, || {
        let found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let dir = entry.ok()?.path();
            let environment = std::fs::read(dir.join("environ")).ok()?;
            let has = environment.split(|&byte| byte == 0).any(|variable| variable == given.as_bytes());
            has.then(|| dir.file_name().unwrap_or_default().to_string_lossy().into_owned())
        });
        let found = found.last();
        async { found }
    })
    .await
}

/// Returns the time that a process has been on a core.
fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).unwrap();
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let (user, system) = (fields.split(' ').nth(11).unwrap(), fields.split(' ').nth(12).unwrap());
    (user.parse::<f64>().unwrap() + system.parse::<f64>().unwrap()) / TICKS_PER_SECOND
}

/// Returns the CPU quota of a process's control group, in cores; 0 if there is none.
fn quota_of(process: &str) -> f64 {
    let groups = std::fs::read_to_string(Path::new("/proc").join(process).join("cgroup")).unwrap();
    let group = |controller: &str| groups.lines().find_map(|line| line.split_once(controller).map(|(_, path)| path));
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or(0.0);
    if let Some(path) = group(":cpu:/").or_else(|| group(":cpu,cpuacct:/")) {
        let dir = PathBuf::from("/sys/fs/cgroup/cpu").join(path);
        let read = |file| std::fs::read_to_string(dir.join(file)).unwrap();
        number(&read("cpu.cfs_quota_us")) / number(&read("cpu.cfs_period_us"))
    } else {
        let max = Path::new("/sys/fs/cgroup").join(group("0::/").unwrap()).join("cpu.max");
        let text = std::fs::read_to_string(max).unwrap();
        let (quota, period) = text.split_once(' ').unwrap();
        number(quota) / number(period)
    }
}
