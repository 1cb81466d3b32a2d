//! What goes wrong in a cluster, under a steady load that loses nothing: every request is sent once and
//! answered once, and the gateway counts as many as the client.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{Gateway, Load, Scrape, built, eventually};
use tempfile::TempDir;

use crate::cluster::{Cluster, READY, row};
use crate::limits::process_of;
use crate::release::ids;

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests a second.
const RATE: u32 = 100;

/// A cluster with the function `penguins` and gateways before it.
struct Town {
    cluster: Cluster,
    dir: TempDir,
}

/// A gateway, on a port that it may share and on one of its own.
struct Door {
    process: Process,
    gateway: Gateway,
    own: SocketAddr,
}

impl Town {
    async fn start(variables: &[&str]) -> Option<Self> {
        let cluster = Cluster::start(&["penguins", "drover-cli"]).await?;
        cluster.run("penguins", variables);
        Some(Self { cluster, dir: TempDir::new().unwrap() })
    }

    /// Starts a gateway and waits until it has `n` instances in service.
    async fn door(&self, shared: u16, n: usize) -> Door {
        let [own] = free_ports();
        let own = SocketAddr::from(([127, 0, 0, 1], own));
        let mut command = Command::new(built(&["drover-cli"]).join("drover"));
        command.args(["gateway", "--listen", &own.to_string(), "--listen", &format!("127.0.0.1:{shared}")]);
        command.args(["--consul", &self.cluster.nomad.consul.url, "--nomad", &self.cluster.nomad.url]);
        // What this test sets by hand stays, however slow the machine.
        command.args(["--set", "scale.hold_for=1h"]);
        let process = Process::start(command, &self.dir.path().join(format!("gateway-{}.txt", own.port())));
        let gateway = Gateway::new(&format!("http://{own}"), "penguins");
        gateway.serves(n).await;
        Door { process, gateway, own }
    }

    /// Waits until `n` instances pass that are not of `old`, and no other.
    async fn replaced(&self, old: &std::collections::BTreeSet<String>, n: usize) {
        eventually("all instances were replaced", 2 * READY, || async {
            let found = ids(&self.cluster.nomad.consul.passing("penguins").await);
            (found.len() == n && found.is_disjoint(old)).then_some(())
        })
        .await;
    }

    async fn instances(&self, n: usize) -> Vec<String> {
        self.cluster.passing("penguins", n).await.into_iter().map(|instance| instance.address).collect()
    }
}

impl Door {
    fn load(&self) -> Load {
        self.gateway.load(&row("penguins").to_string(), RATE)
    }

    async fn leads(&self) -> bool {
        Scrape::try_of(&self.gateway.url).await.is_some_and(|seen| seen.sum("drover_gateway_leads", &[]) == 1.0)
    }
}

fn signal(process: &str, name: &str) {
    assert!(Command::new("kill").args(["-s", name, process]).status().unwrap().success());
}

#[tokio::test]
async fn instances_come_and_go_and_hang_and_die() {
    let rolling = "max_parallel=1";
    let Some(town) = Town::start(&["min=1", "max=5", "count=3"]).await else { return };
    let [shared] = free_ports();
    let door = town.door(shared, 3).await;

    let (ledger, load) = (door.gateway.ledger().await, door.load());
    load.goes_on(100).await;
    let victim = process_of(&town.instances(3).await[0]).await;
    signal(&victim, "KILL");
    load.goes_on(300).await;
    door.gateway.serves(3).await;
    ledger.close("kill -9 of 1 of 3 instances", &load.stop().await).await;

    let (ledger, load) = (door.gateway.ledger().await, door.load());
    load.goes_on(100).await;
    let hung = process_of(&town.instances(3).await[0]).await;
    signal(&hung, "STOP");
    load.goes_on(400).await;
    signal(&hung, "CONT");
    door.gateway.serves(3).await;
    ledger.close("SIGSTOP of 1 of 3 instances", &load.stop().await).await;

    let (ledger, load) = (door.gateway.ledger().await, door.load());
    load.goes_on(100).await;
    for (count, n) in [("5", 5), ("1", 1), ("3", 3)] {
        town.cluster.nomad(&["job", "scale", "-detach", "penguins", count]);
        door.gateway.serves(n).await;
        load.goes_on(200).await;
    }
    ledger.close("scale 3 -> 5 -> 1 -> 3", &load.stop().await).await;

    // Another CPU each time: a new version alone changes the instances in place.
    for (what, update, cpu) in [("all at once", "max_parallel=0", "cpu=600"), ("one by one", rolling, "cpu=620")] {
        let (ledger, load) = (door.gateway.ledger().await, door.load());
        load.goes_on(100).await;
        let old = ids(&town.cluster.passing("penguins", 3).await);
        let version = format!("version={}", update.replace('=', "-"));
        town.cluster.run("penguins", &["min=1", "max=5", cpu, update, &version]);
        town.replaced(&old, 3).await;
        load.goes_on(200).await;
        ledger.close(&format!("redeploy of 3 instances {what}"), &load.stop().await).await;
    }
}

#[tokio::test]
async fn the_first_ones_come_and_gateways_and_consul_go() {
    let Some(mut town) = Town::start(&["min=0", "max=3", "count=0", "slots=8"]).await else { return };
    let [shared, other] = free_ports();
    let door = town.door(shared, 0).await;
    let body = row("penguins").to_string();

    let ledger = door.gateway.ledger().await;
    let counts = Load::burst(&door.gateway.predict(), &body, 500).await;
    ledger.close("burst of 500 at zero instances", &counts).await;
    for instance in town.cluster.nomad.consul.registered("penguins").await {
        let Some(seen) = Scrape::try_of(&format!("http://{}", instance.address)).await else { continue };
        assert_eq!(seen.sum("drover_invocations_total", &[r#"code="429""#]), 0.0, "more came than it has slots");
    }

    let (ledger, load) = (door.gateway.ledger().await, door.load());
    load.goes_on(100).await;
    town.cluster.nomad.consul.stop();
    let lost = || async { Scrape::of(&door.gateway.url).await.sum("drover_gateway_catalog_lost", &[]) };
    let gone = Instant::now();
    eventually("the gateway says so", PATIENCE, || async { (lost().await == 1.0).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(gone.elapsed())).await;
    town.cluster.nomad.consul.start_again().await;
    eventually("it is back by itself", PATIENCE, || async { (lost().await == 0.0).then_some(()) }).await;
    load.goes_on(200).await;
    ledger.close("Consul stopped for 30 s", &load.stop().await).await;

    // Nothing can ask both for the sum: one has ended.
    let load = Load::start(&format!("http://127.0.0.1:{shared}/functions/penguins/predict"), &body, RATE);
    load.goes_on(100).await;
    let n = town.cluster.nomad.consul.passing("penguins").await.len();
    let new = town.door(shared, n).await;
    load.goes_on(100).await;
    door.process.signal("TERM");
    drop(door);
    load.goes_on(200).await;
    let counts = load.stop().await;
    println!("gateway restarted: {counts}");
    counts.all_answered();

    let second = town.door(other, n).await;
    for (id, door) in [("first", &new), ("second", &second)] {
        town.cluster.nomad.consul.register("drover-gateway", id, door.own, &[], "passing").await;
    }
    eventually("one leads", PATIENCE, || async { (new.leads().await != second.leads().await).then_some(()) }).await;
    let (leader, follower) = if new.leads().await { (new, second) } else { (second, new) };
    let (ledger, load) = (follower.gateway.ledger().await, follower.load());
    load.goes_on(100).await;
    leader.process.signal("KILL");
    let killed = Instant::now();
    eventually("the other leads", PATIENCE, || async { follower.leads().await.then_some(()) }).await;
    println!("the leader was killed: another leads after {:?}", killed.elapsed());
    load.goes_on(200).await;
    ledger.close("leader killed", &load.stop().await).await;
}
