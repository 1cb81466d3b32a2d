//! `drover up --observe` with the real Prometheus.

use std::fs;
use std::process::Command;

use drover_testkit::process::installed;
use drover_testkit::{checkout, client};
use serde_json::Value;

use crate::running::{Place, eventually};

/// Returns the URL that a line such as `drover Prometheus at http://...` ends with.
fn announced(said: &str, name: &str) -> Option<String> {
    said.lines().find_map(|line| line.split_once(&format!("{name} at "))).map(|(_, url)| url.trim().to_owned())
}

async fn value(prometheus: &str, query: &str) -> Option<String> {
    let form = format!("query={}", query.replace('=', "%3D").replace('"', "%22"));
    let request = client().post(format!("{prometheus}/api/v1/query")).body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer: Value = request.send().await.ok()?.json().await.ok()?;
    answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
}

#[test]
fn what_runs_is_seen_in_a_prometheus_of_its_own_that_ends_with_it() {
    if installed("prometheus").is_none() {
        return;
    }
    let place = Place::new();
    std::os::unix::fs::symlink(checkout().join("grafana"), place.dir.path().join("grafana")).unwrap();
    let mut up = place.up(&["--observe"], 2);
    let prometheus = eventually("it says where Prometheus is", || announced(&place.text("err.txt"), "Prometheus"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (query, wanted) in
        [(r#"count(up{job="functions", function="herd"})"#, "2"), (r#"count(up{job="gateways"} == 1)"#, "1")]
    {
        eventually(query, || runtime.block_on(value(&prometheus, query)).filter(|found| found == wanted));
    }
    let rules = runtime.block_on(async {
        let answer = client().get(format!("{prometheus}/api/v1/rules")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["data"]["groups"].as_array().unwrap().len()
    });
    assert!(rules > 4, "{rules} groups of rules");
    let gateway = eventually("it says where the gateway is", || {
        let said = place.text("out.txt");
        said.lines().find_map(|line| line.strip_prefix("gateway ")).map(|url| url.trim().to_owned())
    });
    // What the console's dashboards ask.
    let panel = format!("{gateway}/api/dashboards/drover-overview/4?minutes=15");
    eventually("a panel has three series: ready, asked for, wanted", || {
        let answer = runtime.block_on(async { client().get(&panel).send().await.ok()?.json::<Value>().await.ok() })?;
        answer["series"].as_array().filter(|series| series.len() == 3).map(drop)
    });
    up.signal("TERM");
    assert_eq!(up.end(), Some(0));
    assert!(runtime.block_on(async { client().get(&prometheus).send().await }).is_err(), "Prometheus goes on");
}

#[test]
fn without_prometheus_it_says_how_to_get_one_and_goes_on() {
    let place = Place::new();
    std::os::unix::fs::symlink(checkout().join("grafana"), place.dir.path().join("grafana")).unwrap();
    // Nothing is on this PATH but what instances need.
    let bin = place.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let sh = Command::new("sh").args(["-c", "command -v sh"]).output().unwrap();
    std::os::unix::fs::symlink(String::from_utf8(sh.stdout).unwrap().trim(), bin.join("sh")).unwrap();
    let mut up = place.up_with(&["--observe"], 2, &[("PATH", bin.to_str().unwrap())]);
    eventually("it says how", || place.text("err.txt").contains("apt-get install prometheus").then_some(()));
    up.signal("TERM");
    assert_eq!(up.end(), Some(0));
}
