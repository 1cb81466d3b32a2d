//! A cluster of several machines that are loopback addresses: Nomad servers and clients with the configuration of
//! `jobs/cluster`, each client with a Consul agent as `consul` has it; tokens, gossip keys and certificates included.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::leftovers::Leftovers;
use crate::nomad::{TOKEN, first_token};
use crate::process::{Process, installed};
use crate::{Consul, checkout, client, eventually};

/// How long machines may take to know each other, on a busy computer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster; it ends with the test.
#[derive(Debug)]
pub struct Machines {
    /// The Nomad servers.
    pub servers: Vec<Machine>,
    /// The Nomad clients.
    pub clients: Vec<Machine>,
    /// The Consul server.
    pub consul: Consul,
    /// Nomad's token that may do everything.
    pub token: String,
    /// A token of Consul with the policy `gateway`.
    pub gateway_token: String,
    /// A token of Consul with the policy `prometheus`.
    pub prometheus_token: String,
    _dir: TempDir,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    /// What Nomad calls it.
    pub name: String,
    /// Where its Nomad answers.
    pub url: String,
    nomad: Option<Process>,
    leftovers: Option<Leftovers>,
    /// The agent beside its Nomad, if it is a client.
    consul: Option<Consul>,
}

impl Machines {
    /// Starts three servers and three clients. Returns nothing, and says so, where Nomad or Consul is not installed.
    ///
    /// # Panics
    /// If they are there, but do not start.
    pub async fn start() -> Option<Self> {
        let program = installed("nomad")?;
        installed("consul")?;
        let dir = TempDir::new().expect("a temporary directory");
        let place = Place::new(dir.path(), &program);

        let consul = Consul::from_files(&[&place.consul("server")], None).await?;
        let master = consul.first_token();
        let [agent_token, nomad_token, gateway_token, prometheus_token] =
            ["agent", "nomad", "gateway", "prometheus"].map(|policy| consul.token(&master, policy));
        consul.takes_token(&master, &agent_token).await;
        let agents = place.consul("agent");
        let own_token = format!("acl {{\n  tokens {{\n    agent = \"{agent_token}\"\n  }}\n}}\n");
        let own_token = place.write("consul-token.hcl", &own_token);

        let mut servers = Vec::new();
        for n in 1..=3 {
            let file = place.local(&format!("server-{n}"), n, &place.server());
            servers.push(place.machine(&format!("server-{n}"), n, "server", &file));
        }
        let token = first_token(&servers[0].url).await;
        let mut clients = Vec::new();
        for n in 1..=3_u8 {
            let agent = Consul::from_files(&[&agents, &own_token], Some(&consul)).await?;
            let file = place.local(&format!("client-{n}"), 10 + n, &place.client(n, agent.address(), &nomad_token));
            let machine = place.machine(&format!("client-{n}"), 10 + n, "client", &file);
            clients.push(Machine { consul: Some(agent), ..machine });
        }
        let machines = Self { servers, clients, consul, token, gateway_token, prometheus_token, _dir: dir };
        machines.nodes_are("ready", 3).await;
        Some(machines)
    }

    /// Waits until `n` clients are `ready` or `down`.
    ///
    /// # Panics
    /// If that does not come to be.
    pub async fn nodes_are(&self, status: &str, n: usize) {
        eventually(&format!("{n} nodes are {status}"), PATIENCE, || async {
            let nodes = self.get("/v1/nodes").await?;
            let found = nodes.as_array()?.iter().filter(|node| node["Status"] == status).count();
            (found == n).then_some(())
        })
        .await;
    }

    /// Returns which servers runs that leads.
    ///
    /// # Panics
    /// If none does.
    pub async fn leader(&self) -> usize {
        eventually("a server leads", PATIENCE, || async {
            let leader = self.get("/v1/status/leader").await?;
            let host = leader.as_str()?.split(':').next()?;
            self.servers.iter().position(|one| one.nomad.is_some() && one.url.contains(&format!("/{host}:")))
        })
        .await
    }

    /// Returns what the Nomad of the last client answers to `GET path`.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let url = format!("{}{path}", self.clients.last()?.url);
        client().get(url).header(TOKEN, &self.token).send().await.ok()?.json().await.ok()
    }

    /// Runs `nomad` with `args` at the last client, in the checkout.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new("nomad");
        command.args(args).current_dir(checkout()).env("NOMAD_ADDR", &self.clients[2].url);
        command.env("NOMAD_TOKEN", &self.token).env("NOMAD_CLI_NO_COLOR", "1");
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }
}

impl Machine {
    /// Ends it as a power cut would: its Nomad, its Consul and all that ran there.
    ///
    /// # Panics
    /// If it has ended before.
    pub fn kill(&mut self) {
        let nomad = self.nomad.take().expect("it runs");
        nomad.signal("KILL");
        if let Some(consul) = &mut self.consul {
            consul.kill();
        }
        self.leftovers = None;
    }
}

/// What all machines of a cluster share.
struct Place {
    dir: PathBuf,
    program: PathBuf,
    /// What its addresses begin with: nobody else uses the same.
    net: String,
    gossip: String,
}

impl Place {
    fn new(dir: &Path, program: &Path) -> Self {
        let id = std::process::id();
        let net = format!("127.{}.{}", 1 + id % 250, id / 250 % 250);
        let said = |command: &mut Command| {
            let output = command.current_dir(dir).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        for args in [&["ca", "create"][..], &["cert", "create", "-server"], &["cert", "create", "-client"]] {
            said(Command::new(program).arg("tls").args(args));
        }
        for args in [&["ca", "create"][..], &["cert", "create", "-server"]] {
            said(Command::new("consul").arg("tls").args(args));
        }
        let gossip = said(Command::new("consul").arg("keygen"));
        Self { dir: dir.into(), program: program.into(), net, gossip }
    }

    /// Writes the configuration of a Consul `server` or `agent`: the files of the checkout, and this cluster's keys.
    fn consul(&self, kind: &str) -> PathBuf {
        let read = |name: String| std::fs::read_to_string(checkout().join("consul").join(name)).expect("a file");
        let text = read(format!("{kind}.hcl")) + &read(format!("{kind}-tls.hcl"));
        let own = |name: &str| self.dir.join(name).display().to_string();
        let text = text
            .replace("/etc/consul.d/consul-agent-ca.pem", &own("consul-agent-ca.pem"))
            .replace("/etc/consul.d/consul.pem", &own("dc1-server-consul-0.pem"))
            .replace("/etc/consul.d/consul-key.pem", &own("dc1-server-consul-0-key.pem"));
        self.write(&format!("consul-{kind}.hcl"), &format!("{text}\nencrypt = \"{}\"\n", self.gossip))
    }

    /// Writes what differs between machines.
    fn local(&self, name: &str, n: u8, more: &str) -> PathBuf {
        let (address, data) = (format!("{}.{n}", self.net), self.dir.join(name));
        std::fs::create_dir(&data).expect("a directory");
        let text = format!(
            "name = \"{name}\"\nbind_addr = \"{address}\"\ndata_dir = \"{}\"\n\
             advertise {{\n  http = \"{address}\"\n  rpc = \"{address}\"\n  serf = \"{address}\"\n}}\n{more}",
            data.display()
        );
        self.write(&format!("{name}.hcl"), &text)
    }

    fn server(&self) -> String {
        let others: Vec<String> = (1..=3).map(|n| format!("\"{}.{n}\"", self.net)).collect();
        format!(
            "server {{\n  bootstrap_expect = 3\n  encrypt = \"{}\"\n  heartbeat_grace = \"2s\"\n  \
             min_heartbeat_ttl = \"2s\"\n  server_join {{\n    retry_join = [{}]\n  }}\n}}\n\
             consul {{\n  auto_advertise = false\n  server_auto_join = false\n}}\n",
            self.gossip,
            others.join(", ")
        )
    }

    fn client(&self, n: u8, consul: &str, token: &str) -> String {
        let servers: Vec<String> = (1..=3).map(|n| format!("\"{}.{n}\"", self.net)).collect();
        // Each hands out ports of its own range: they are on one computer.
        let first = 20_000 + (std::process::id() % 30) * 300 + u32::from(n) * 100;
        format!(
            "client {{\n  servers = [{}]\n  network_interface = \"lo\"\n  min_dynamic_port = {first}\n  \
             max_dynamic_port = {}\n  options = {{\n    \"fingerprint.denylist\" = \
             \"env_aws,env_azure,env_digitalocean,env_gce,cni\"\n  }}\n}}\n\
             consul {{\n  address = \"{consul}\"\n  token = \"{token}\"\n  client_auto_join = false\n}}\n",
            servers.join(", "),
            first + 99
        )
    }

    /// Starts the Nomad of a machine with the configuration of `jobs/cluster` and its own.
    fn machine(&self, name: &str, n: u8, kind: &str, local: &Path) -> Machine {
        let mut command = Command::new(&self.program);
        command.arg("agent").env_remove("AWS_CA_BUNDLE");
        for file in ["nomad", kind] {
            command.arg("-config").arg(checkout().join(format!("jobs/cluster/{file}.hcl")));
        }
        let tls = std::fs::read_to_string(checkout().join("jobs/cluster/tls.hcl")).expect("a file");
        let own = |name: &str| self.dir.join(name).display().to_string();
        let tls = tls
            .replace("/etc/nomad.d/nomad-agent-ca.pem", &own("nomad-agent-ca.pem"))
            .replace("/etc/nomad.d/nomad.pem", &own(&format!("global-{kind}-nomad.pem")))
            .replace("/etc/nomad.d/nomad-key.pem", &own(&format!("global-{kind}-nomad-key.pem")));
        command.arg("-config").arg(self.write(&format!("tls-{kind}.hcl"), &tls)).arg("-config").arg(local);
        let nomad = Process::start(command, &self.dir.join(format!("{name}.log")));
        let url = format!("http://{}.{n}:4646", self.net);
        let leftovers = Some(Leftovers(self.dir.join(name)));
        Machine { name: name.into(), url, nomad: Some(nomad), leftovers, consul: None }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.dir.join(name);
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        file
    }
}
