//! A Consul of the test's own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_ports, on_path};
use crate::{client, eventually};

/// A running Consul that keeps nothing.
#[derive(Debug)]
pub struct Consul {
    /// Where it answers, e.g. `http://127.0.0.1:40001`.
    pub url: String,
    /// Where other agents join it.
    lan: u16,
    _process: Process,
    _dir: TempDir,
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
    /// Starts Consul on free ports and waits until it has a leader.
    ///
    /// # Panics
    /// If there is no `consul` on `PATH`, or it does not start.
    pub async fn start() -> Self {
        Self::agent(&["-dev", "-log-level", "warn", "-hcl", "disable_update_check = true"]).await
    }

    /// Starts an agent as `config` says, joined to `server`, and waits until it knows a leader.
    ///
    /// # Panics
    /// As [`Consul::start`].
    pub async fn from_file(config: &Path, server: Option<&Self>) -> Self {
        let config = config.display().to_string();
        let mut args = vec!["-config-file".to_owned(), config];
        if let Some(server) = server {
            args.extend(["-retry-join".to_owned(), format!("127.0.0.1:{}", server.lan)]);
        }
        Self::agent(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
    }

    async fn agent(args: &[&str]) -> Self {
        let Some(program) = on_path("consul") else {
            panic!("consul is not on PATH: install it (Debian: apt install consul)")
        };
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let [http, rpc, lan] = free_ports();
        let mut command = Command::new(program);
        command.arg("agent").args(args).args(["-bind", "127.0.0.1", "-client", "127.0.0.1"]);
        command.args(["-dns-port", "-1", "-grpc-port", "-1", "-serf-wan-port", "-1"]);
        for (option, port) in [("-http-port", http), ("-server-port", rpc), ("-serf-lan-port", lan)] {
            command.args([option.to_owned(), port.to_string()]);
        }
        command.args(["-node", &format!("node-{http}"), "-data-dir"]).arg(dir.path().join("data"));
        let mut process = Process::start(command, &dir.path().join("consul.log"));
        let url = format!("http://127.0.0.1:{http}");
        let leader = format!("{url}/v1/status/leader");
        eventually("consul has a leader", Duration::from_secs(60), || {
            assert!(process.runs(), "consul ended:\n{}", process.last_lines());
            async { client().get(&leader).send().await.ok()?.json::<String>().await.ok().filter(|l| !l.is_empty()) }
        })
        .await;
        Self { url, lan, _process: process, _dir: dir }
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
