//! A Consul of the test's own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, free_ports, installed};
use crate::{checkout, client, eventually};

/// What an agent of tests says besides: its figures, as `consul/server.hcl` has them.
const DEV: &str = "disable_update_check = true\n\
                   telemetry { prometheus_retention_time = \"1m\", disable_hostname = true }";

/// A Consul; started as [`Consul::start`] does, only the services of its agent outlive a stop.
#[derive(Debug)]
pub struct Consul {
    /// Where it answers, e.g. `http://127.0.0.1:40001`.
    pub url: String,
    /// Where other agents join it.
    lan: u16,
    /// Where servers answer agents; all of a cluster have the same.
    rpc: u16,
    command: Vec<String>,
    process: Option<Process>,
    dir: TempDir,
}

/// One instance of a service as Consul knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// What the service is registered as: different for each instance, even at the same address.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// The tags of the service.
    pub tags: Vec<String>,
    /// The value of the service's meta `version`.
    pub version: Option<String>,
}

impl Consul {
    /// Starts Consul on free ports and waits until it has a leader. Returns nothing, and says so, where Consul is
    /// not installed.
    ///
    /// # Panics
    /// If Consul is there, but does not start.
    pub async fn start() -> Option<Self> {
        Self::agent(&["-dev", "-log-level", "warn", "-hcl", DEV], None).await
    }

    /// Starts an agent as the files `configs` say, joined to `server`, and waits until it knows a leader.
    ///
    /// # Panics
    /// As [`Consul::start`].
    pub async fn from_files(configs: &[&Path], server: Option<&Self>) -> Option<Self> {
        let file = |config: &&Path| ["-config-file".to_owned(), config.display().to_string()];
        let mut args: Vec<String> = configs.iter().flat_map(file).collect();
        if let Some(server) = server {
            args.extend(["-retry-join".to_owned(), format!("127.0.0.1:{}", server.lan)]);
        }
        Self::agent(&args.iter().map(String::as_str).collect::<Vec<_>>(), server).await
    }

    async fn agent(args: &[&str], server: Option<&Self>) -> Option<Self> {
        let program = installed("consul")?;
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let [http, rpc, lan] = free_ports();
        let rpc = server.map_or(rpc, |server| server.rpc);
        let mut command = vec![program.display().to_string(), "agent".into()];
        let mut add = |args: &[&str]| command.extend(args.iter().map(|&arg| arg.to_owned()));
        add(args);
        add(&["-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        add(&["-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1"]);
        for (option, port) in [("-http-port", http), ("-server-port", rpc), ("-serf-lan-port", lan)] {
            add(&[option, &port.to_string()]);
        }
        add(&["-node", &format!("node-{http}"), "-data-dir", &dir.path().join("data").display().to_string()]);
        let mut consul = Self { url: format!("http://127.0.0.1:{http}"), lan, rpc, command, process: None, dir };
        consul.start_again().await;
        Some(consul)
    }

    /// Ends Consul; nobody answers at its address then.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends Consul as a power cut would: it says goodbye to nobody.
    ///
    /// # Panics
    /// If it has ended before.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").signal("KILL");
    }

    /// Runs the command `consul` with `args` and a token, and returns the JSON that it prints, if it does.
    ///
    /// # Errors
    /// What it says if it fails.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run(&self, token: &str, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new("consul");
        command.args(args).env("CONSUL_HTTP_ADDR", self.address()).env("CONSUL_HTTP_TOKEN", token);
        let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap_or_default()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Makes the token that may do everything.
    ///
    /// # Panics
    /// If it does not ask for tokens, or has given that one away.
    #[must_use]
    pub fn first_token(&self) -> String {
        let token = self.run("", &["acl", "bootstrap", "-format=json"]).unwrap_or_else(|why| panic!("{why}"));
        token["SecretID"].as_str().expect("a token").to_owned()
    }

    /// Makes a policy as `consul/policies` has it, and returns a token with it.
    ///
    /// # Panics
    /// If `master` may not do that.
    #[must_use]
    pub fn token(&self, master: &str, policy: &str) -> String {
        let rules = format!("@{}", checkout().join(format!("consul/policies/{policy}.hcl")).display());
        let create = ["acl", "policy", "create", "-format=json", "-name", policy, "-rules", &rules];
        self.run(master, &create).unwrap_or_else(|why| panic!("{policy}: {why}"));
        let token = self.run(master, &["acl", "token", "create", "-format=json", "-policy-name", policy]);
        token.unwrap_or_else(|why| panic!("{policy}: {why}"))["SecretID"].as_str().expect("a token").to_owned()
    }

    /// Gives the agent a token for what it does of its own accord.
    pub async fn takes_token(&self, master: &str, token: &str) {
        let set = ["acl", "set-agent-token", "agent", token];
        eventually("the agent takes its token", Duration::from_secs(60), || async { self.run(master, &set).ok() })
            .await;
    }

    /// Deletes what a Consul that was stopped kept: the services of its agent.
    ///
    /// # Panics
    /// If it cannot be deleted.
    pub fn forget(&mut self) {
        let data = self.dir.path().join("data");
        std::fs::remove_dir_all(&data).unwrap_or_else(|e| panic!("{}: {e}", data.display()));
    }

    /// Starts a Consul that was stopped, where it was and with what it kept, and waits until it has a leader.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&mut self) {
        let (program, args) = self.command.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(args);
        let mut process = Process::start(command, &self.dir.path().join("consul.log"));
        let leader = format!("{}/v1/status/leader", self.url);
        eventually("consul has a leader", Duration::from_secs(60), || {
            assert!(process.runs(), "consul ended:\n{}", process.last_lines());
            async { client().get(&leader).send().await.ok()?.json::<String>().await.ok().filter(|l| !l.is_empty()) }
        })
        .await;
        self.process = Some(process);
    }

    /// Registers an instance of `service` at `address`, ready if `status` is `passing`.
    ///
    /// # Panics
    /// If Consul does not take it.
    pub async fn register(&self, service: &str, id: &str, address: SocketAddr, tags: &[&str], status: &str) {
        let check = json!({"CheckID": format!("check-{id}"), "Name": "ready", "TTL": "1h", "Status": status});
        let registration = json!({
            "Name": service, "ID": id, "Address": address.ip(), "Port": address.port(), "Tags": tags,
            "Meta": {"version": "1"}, "Check": check,
        });
        self.put("/v1/agent/service/register", &registration).await;
    }

    /// Changes what the check of the instance `id` says.
    ///
    /// # Panics
    /// If Consul does not take it.
    pub async fn set_status(&self, id: &str, status: &str, output: &str) {
        let path = format!("/v1/agent/check/update/check-{id}");
        self.put(&path, &json!({"Status": status, "Output": output})).await;
    }

    /// Takes the instance `id` out of the catalog.
    ///
    /// # Panics
    /// If Consul does not do it.
    pub async fn deregister(&self, id: &str) {
        self.put(&format!("/v1/agent/service/deregister/{id}"), &Value::Null).await;
    }

    /// Sends `body`, and returns what Consul answers.
    ///
    /// # Panics
    /// If Consul refuses.
    pub async fn put(&self, path: &str, body: &Value) -> String {
        let url = format!("{}{path}", self.url);
        let answer = client().put(&url).json(body).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{url}: {status}: {text}");
        text
    }

    /// Returns the address that servers and programs take as `CONSUL_HTTP_ADDR`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Returns the instances of `service` whose checks all pass.
    ///
    /// # Panics
    /// If Consul does not answer.
    pub async fn passing(&self, service: &str) -> Vec<Registered> {
        self.instances(&format!("{service}?passing")).await
    }

    /// Returns all instances of `service`.
    ///
    /// # Panics
    /// If Consul does not answer.
    pub async fn registered(&self, service: &str) -> Vec<Registered> {
        self.instances(service).await
    }

    async fn instances(&self, query: &str) -> Vec<Registered> {
        let url = format!("{}/v1/health/service/{query}", self.url);
        let answer = client().get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let entries: Vec<Value> = answer.json().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        entries.iter().map(|entry| registered(&entry["Service"])).collect()
    }
}

fn registered(service: &Value) -> Registered {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Registered {
        id: text(&service["ID"]),
        address: format!("{}:{}", text(&service["Address"]), service["Port"]),
        tags: service["Tags"].as_array().map(|tags| tags.iter().map(text).collect()).unwrap_or_default(),
        version: service["Meta"]["version"].as_str().map(str::to_owned),
    }
}
