//! What goes wrong on one machine, under a steady load that loses nothing: every request is sent once
//! and answered once, and the gateway counts as many as the client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drover_testkit::{Counts, Load, Scrape, built, checkout, eventually};

use crate::running::{Place, Up, good, lives};

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests a second.
const RATE: u32 = 200;
/// A row of a penguin.
const ROW: &str = r#"{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181.0,"body_mass_g":3750.0}"#;

/// `drover up` with the function `penguins`.
struct Stand<'a> {
    up: Up<'a>,
    url: String,
    place: &'a Place,
    before: Scrape,
}

impl<'a> Stand<'a> {
    /// Runs `jobs/predict.nomad` of the checkout with further variables, and waits for `n` instances.
    async fn start(place: &'a Place, variables: &[&str], n: usize) -> Self {
        let binaries = format!("binary_dir={}", built(&["penguins"]).display());
        let models = format!("model_dir={}", checkout().join("functions").display());
        let job = checkout().join("jobs/predict.nomad");
        let mut args = vec!["--no-build", job.to_str().unwrap()];
        let given = ["function=penguins", "cpu=2000", &binaries, &models];
        args.extend(given.iter().chain(variables).flat_map(|v| ["-var", v]));
        let up = place.start(&args, &[]);
        Self::of(place, up, n).await
    }

    /// Waits for `n` instances and for what `drover up` asks them at its start.
    async fn of(place: &'a Place, up: Up<'a>, n: usize) -> Self {
        let url = eventually("drover up says where it listens", PATIENCE, || async {
            let text = place.text("out.txt");
            let is_whole = n == 0 || text.contains("\ncurl ");
            let url = text.lines().find_map(|line| line.strip_prefix("gateway    ")).map(str::to_owned);
            url.filter(|_| is_whole)
        })
        .await;
        let mut stand = Self { up, url, place, before: Scrape::default() };
        stand.serves(n).await;
        stand.before = Scrape::of(&stand.url).await;
        stand
    }

    fn predict(&self) -> String {
        format!("{}/functions/penguins/predict", self.url)
    }

    fn load(&self) -> Load {
        Load::start(&self.predict(), ROW, RATE)
    }

    /// Waits until the gateway has `n` instances in service.
    async fn serves(&self, n: usize) {
        eventually(&format!("{n} instances are in service"), PATIENCE, || async {
            let in_service = Scrape::of(&self.url).await.sum("drover_gateway_instances_ready", &["penguins"]);
            (in_service == n as f64 && self.up.instances().len() == n).then_some(())
        })
        .await;
    }

    /// Ends the load and checks that client and gateway have counted the same.
    async fn ends(&self, what: &str, load: Load) -> Counts {
        let counts = load.stop().await;
        self.balanced(what, &counts).await;
        counts
    }

    async fn balanced(&self, what: &str, counts: &Counts) {
        let now = Scrape::of(&self.url).await.since(&self.before);
        let n = |name, labels: &[&str]| now.sum(name, &[&[r#"function="penguins""#], labels].concat());
        let retried = n("drover_gateway_retries_total", &[]);
        println!("{what}: {counts}; {retried} retried by the gateway");
        counts.all_answered();
        let (all, good) =
            (n("drover_gateway_requests_total", &[]), n("drover_gateway_requests_total", &[r#"code="200""#]));
        assert_eq!((all, good), (counts.sent as f64, counts.sent as f64), "what the gateway has counted");
    }
}

impl Drop for Stand<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.place.text("err.txt");
            let last: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- drover up, the last first:\n{}", last.join("\n"));
        }
    }
}

/// Waits until a load has had `n` more answers.
async fn goes_on(load: &Load, n: u64) {
    let least = load.answered() + n;
    eventually("requests are answered", PATIENCE, || async { (load.answered() >= least).then_some(()) }).await;
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn an_instance_is_killed() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=3", "max=3", "count=3"], 3).await;
    let load = stand.load();
    goes_on(&load, 300).await;
    for victim in stand.up.pids() {
        signal(victim, "KILL");
        stand.serves(3).await;
        eventually("it is another process", PATIENCE, || async {
            let pids = stand.up.pids();
            (pids.len() == 3 && !pids.contains(&victim)).then_some(())
        })
        .await;
        goes_on(&load, 200).await;
    }
    stand.ends("kill -9 of 3 instances, one after another", load).await;
}

/// Also for a function that is not pure, none of whose requests is sent twice.
#[tokio::test]
async fn the_count_falls_from_five_to_one() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=1", "max=5", "count=5", "pure=false"], 5).await;
    let load = stand.load();
    goes_on(&load, 300).await;
    good(&place.drover(&["scale", "penguins", "1"]));
    stand.serves(1).await;
    goes_on(&load, 300).await;
    stand.ends("scale 5 -> 1", load).await;
}

#[tokio::test]
async fn all_instances_are_replaced_one_by_one() {
    let place = Place::new();
    let dir = fs::canonicalize(place.dir.path()).unwrap();
    let (release, function) = (dir.join("target/release"), dir.join("functions/penguins"));
    fs::create_dir_all(&release).unwrap();
    fs::create_dir_all(function.join("src")).unwrap();
    fs::copy(built(&["penguins"]).join("penguins"), release.join("penguins")).unwrap();
    std::os::unix::fs::symlink(checkout().join("functions/penguins/model"), function.join("model")).unwrap();
    fs::write(function.join("Cargo.toml"), "").unwrap();
    let cargo = dir.join("cargo");
    executable(&cargo, "#!/bin/sh\n");
    let job = checkout().join("jobs/predict.nomad");
    let mut args = vec!["--watch", job.to_str().unwrap()];
    args.extend(
        ["function=penguins", "cpu=2000", "min=3", "max=3", "count=3", "pure=false"].iter().flat_map(|v| ["-var", v]),
    );
    let up = place.start(&args, &[("CARGO", cargo.to_str().unwrap())]);

    let stand = Stand::of(&place, up, 3).await;
    let (old, load) = (stand.up.pids(), stand.load());
    goes_on(&load, 300).await;
    fs::write(function.join("src/main.rs"), "changed").unwrap();
    eventually("all were replaced", PATIENCE, || async {
        place.text("err.txt").contains("penguins: 3 of 3 replaced").then_some(())
    })
    .await;
    eventually("the old ones have ended", PATIENCE, || async { (!old.iter().copied().any(lives)).then_some(()) }).await;
    stand.serves(3).await;
    goes_on(&load, 200).await;
    stand.ends("rolling replacement of 3 instances", load).await;
}

#[tokio::test]
async fn many_come_at_once_and_nobody_is_there() {
    let place = Place::new();
    let slots = 8;
    let slots_given = format!("slots={slots}");
    let stand = Stand::start(&place, &["min=0", "max=3", "count=0", &slots_given], 0).await;
    let counts = Load::burst(&stand.predict(), ROW, 500).await;
    stand.balanced("burst of 500 at zero instances", &counts).await;
    // An instance that gets more than its slots says 429, and counts that.
    let retried = Scrape::of(&stand.url).await.sum("drover_gateway_retries_total", &[r#"why="full""#]);
    let mut n_run = 0.0;
    for instance in stand.up.instances() {
        let Some(address) = instance["address"].as_str() else { continue };
        let seen = Scrape::of(&format!("http://{address}")).await;
        assert_eq!(seen.sum("drover_invocations_total", &[r#"code="429""#]), 0.0);
        assert_eq!(seen.sum("drover_slots", &[]), f64::from(slots));
        n_run += seen.sum("drover_invocations_total", &[r#"code="200""#]);
    }
    assert_eq!((n_run, retried), (500.0, 0.0), "what the instances have counted");
}

#[tokio::test]
async fn an_instance_accepts_and_never_answers() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=3", "max=3", "count=3"], 3).await;
    let (load, hung) = (stand.load(), stand.up.pids()[0]);
    goes_on(&load, 300).await;
    signal(hung, "STOP");
    goes_on(&load, 600).await;
    let ejected = Scrape::of(&stand.url).await.sum("drover_gateway_ejections_total", &["penguins"]);
    assert!(ejected >= 1.0, "it goes on to get requests");
    signal(hung, "CONT");
    stand.serves(3).await;
    goes_on(&load, 200).await;
    stand.ends("SIGSTOP of 1 of 3 instances", load).await;
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
