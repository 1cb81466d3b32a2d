//! What goes wrong on one machine, under a steady load that loses nothing: every request is sent once
//! and answered once, and the gateway counts as many as the client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Gateway, Ledger, Load, Scrape, built, checkout, eventually};

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
    gateway: Gateway,
    ledger: Ledger,
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
        Self::of(place, place.start(&args, &[]), n).await
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
        let gateway = Gateway::new(&url, "penguins");
        gateway.serves(n).await;
        let ledger = gateway.ledger().await;
        Self { up, gateway, ledger }
    }

    fn load(&self) -> Load {
        self.gateway.load(ROW, RATE)
    }

    async fn ends(&self, what: &str, load: Load) {
        self.ledger.close(what, &load.stop().await).await;
    }

    /// Waits until there are `n` processes, none of them of `old`, and all in service.
    async fn has(&self, n: usize, old: &[u32]) {
        eventually(&format!("{n} new instances"), PATIENCE, || async {
            let pids = self.up.pids();
            (pids.len() == n && !pids.iter().any(|pid| old.contains(pid))).then_some(())
        })
        .await;
        self.gateway.serves(n).await;
    }

    /// Returns the addresses of the instances.
    fn addresses(&self) -> Vec<String> {
        let address = |instance: &serde_json::Value| instance["address"].as_str().map(str::to_owned);
        self.up.instances().iter().filter_map(address).collect()
    }

    /// Returns what its instances have counted: requests answered with 200, and those turned away since
    /// more came than there are slots.
    async fn run_and_refused(&self) -> (f64, f64) {
        let (mut run, mut refused) = (0.0, 0.0);
        for address in self.addresses() {
            let seen = Scrape::of(&format!("http://{address}")).await;
            run += seen.sum("drover_invocations_total", &[r#"code="200""#]);
            refused += seen.sum("drover_invocations_total", &[r#"code="429""#]);
        }
        (run, refused)
    }
}

/// A `drover gateway` before fixed instances, on a port that it shares and on one of its own.
struct Door {
    process: Process,
    gateway: Gateway,
}

impl Door {
    async fn start(place: &Place, shared: u16) -> Self {
        let [own] = free_ports();
        let [listen, alone] = [shared, own].map(|port| format!("127.0.0.1:{port}"));
        let command = place.command(&["gateway", "--config", "gateway.toml", "--listen", &listen, "--listen", &alone]);
        let process = Process::start(command, &place.dir.path().join(format!("gateway-{own}.txt")));
        let gateway = Gateway::new(&format!("http://{alone}"), "penguins");
        gateway.serves(2).await;
        Self { process, gateway }
    }

    /// Asks it to stop, and waits until it has.
    async fn ends(&mut self) {
        self.process.signal("TERM");
        let process = std::cell::RefCell::new(&mut self.process);
        eventually("the gateway has ended", PATIENCE, || async { (!process.borrow_mut().runs()).then_some(()) }).await;
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn an_instance_is_killed() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=3", "max=3", "count=3"], 3).await;
    let load = stand.load();
    load.goes_on(300).await;
    for victim in stand.up.pids() {
        signal(victim, "KILL");
        stand.has(3, &[victim]).await;
        load.goes_on(200).await;
    }
    stand.ends("kill -9 of 3 instances, one after another", load).await;
}

/// Also for a function that is not pure, none of whose requests is sent twice.
#[tokio::test]
async fn the_count_falls_from_five_to_one() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=1", "max=5", "count=5", "pure=false"], 5).await;
    let load = stand.load();
    load.goes_on(300).await;
    good(&place.drover(&["scale", "penguins", "1"]));
    stand.gateway.serves(1).await;
    load.goes_on(300).await;
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
    load.goes_on(300).await;
    fs::write(function.join("src/main.rs"), "changed").unwrap();
    eventually("all were replaced", PATIENCE, || async {
        place.text("err.txt").contains("penguins: 3 of 3 replaced").then_some(())
    })
    .await;
    eventually("the old ones have ended", PATIENCE, || async { (!old.iter().copied().any(lives)).then_some(()) }).await;
    stand.gateway.serves(3).await;
    load.goes_on(200).await;
    stand.ends("rolling replacement of 3 instances", load).await;
}

#[tokio::test]
async fn many_come_at_once_and_nobody_is_there() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=0", "max=3", "count=0", "slots=8"], 0).await;
    let counts = Load::burst(&stand.gateway.predict(), ROW, 500).await;
    stand.ledger.close("burst of 500 at zero instances", &counts).await;
    assert_eq!(stand.run_and_refused().await, (500.0, 0.0), "what the instances have counted");
    assert_eq!(stand.gateway.sum("drover_gateway_retries_total", &[]).await, 0.0);
}

#[tokio::test]
async fn an_instance_accepts_and_never_answers() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=3", "max=3", "count=3"], 3).await;
    let (load, hung) = (stand.load(), stand.up.pids()[0]);
    load.goes_on(300).await;
    signal(hung, "STOP");
    load.goes_on(600).await;
    assert!(stand.gateway.sum("drover_gateway_ejections_total", &[]).await >= 1.0, "it goes on to get requests");
    signal(hung, "CONT");
    stand.gateway.serves(3).await;
    load.goes_on(200).await;
    stand.ends("SIGSTOP of 1 of 3 instances", load).await;
}

/// A new gateway takes the port over while the old one finishes what it has. Nothing is sent twice.
#[tokio::test]
async fn the_gateway_is_restarted() {
    let place = Place::new();
    let stand = Stand::start(&place, &["min=2", "max=2", "count=2"], 2).await;
    let config = format!("[functions.penguins]\ninstances = {:?}\n", stand.addresses());
    fs::write(place.dir.path().join("gateway.toml"), config).unwrap();
    let (before, _) = stand.run_and_refused().await;
    let [shared] = free_ports();
    let mut door = Door::start(&place, shared).await;
    let url = format!("http://127.0.0.1:{shared}/functions/penguins/predict");
    let (load, anew) = (Load::start(&url, ROW, RATE), Load::on_new_connections(&url, ROW, RATE));
    for _ in 0..5 {
        load.goes_on(100).await;
        let mut old = std::mem::replace(&mut door, Door::start(&place, shared).await);
        load.goes_on(100).await;
        old.ends().await;
    }
    load.goes_on(100).await;
    let (counts, anew) = (load.stop().await, anew.stop().await);
    println!("gateway restarted 5 times: {counts}; none retried by the gateway");
    println!("gateway restarted 5 times, each request on a new connection: {anew}; none retried by the gateway");
    counts.all_answered();
    anew.all_answered();
    assert!(door.gateway.sum("drover_gateway_requests_total", &[]).await > 0.0, "the last gateway has taken over");
    let (after, _) = stand.run_and_refused().await;
    assert_eq!(after - before, (counts.sent + anew.sent) as f64, "what the instances have counted");
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
