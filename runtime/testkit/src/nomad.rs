//! A Nomad of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::leftovers::Leftovers;
use crate::process::{Process, free_ports, installed};
use crate::{Consul, client, eventually};

/// The header that a token comes in.
pub(crate) const TOKEN: &str = "x-nomad-token";

/// Whether everybody is asked for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acl {
    On,
    Off,
}

/// A running Nomad, server and client in one, that keeps nothing; its tasks end with it.
#[derive(Debug)]
pub struct Nomad {
    /// Where it answers, e.g. `http://127.0.0.1:40002`.
    pub url: String,
    /// The token that may do everything, if it asks for tokens; empty otherwise.
    pub token: String,
    // Ends first: it takes its services out of Consul.
    _process: Process,
    _leftovers: Leftovers,
    /// Where services are registered.
    pub consul: Consul,
    _dir: TempDir,
}

impl Nomad {
    /// Starts Consul and Nomad on free ports and waits until a node takes jobs. Returns nothing, and
    /// says so, where Nomad is not installed: it is in no distribution.
    ///
    /// # Panics
    /// If Nomad is there, but it or Consul does not start.
    pub async fn start() -> Option<Self> {
        let program = Self::installed()?;
        Some(Self::start_with(&program, Consul::start().await?, "").await)
    }

    /// Returns where Nomad is, or nothing, and says so.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        installed("nomad")
    }

    /// Starts the Nomad at `program` with a Consul that asks for `token`.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with(program: &Path, consul: Consul, token: &str) -> Self {
        Self::agent(program, consul, token, Acl::Off).await
    }

    /// Starts the Nomad at `program`, which asks everybody for a token.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with_acl(program: &Path, consul: Consul) -> Self {
        Self::agent(program, consul, "", Acl::On).await
    }

    async fn agent(program: &Path, consul: Consul, consul_token: &str, acl: Acl) -> Self {
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let [http, rpc, serf] = free_ports();
        let file = dir.path().join("agent.hcl");
        let config = config(dir.path(), consul.address(), consul_token, [http, rpc, serf]);
        let config = if acl == Acl::On { config + "\nacl {\n  enabled = true\n}\n" } else { config };
        std::fs::write(&file, config).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut process = Process::start(command(program, &file), &dir.path().join("nomad.log"));
        let url = format!("http://127.0.0.1:{http}");
        let nodes = format!("{url}/v1/nodes");
        let token = if acl == Acl::On { first_token(&url).await } else { String::new() };
        eventually("nomad has a node that takes jobs", Duration::from_secs(120), || {
            assert!(process.runs(), "nomad ended:\n{}", process.last_lines());
            async {
                let nodes: Value = client().get(&nodes).header(TOKEN, &token).send().await.ok()?.json().await.ok()?;
                (nodes[0]["Status"] == "ready").then_some(())
            }
        })
        .await;
        Self { url, token, _process: process, _leftovers: Leftovers(dir.path().join("data")), consul, _dir: dir }
    }

    /// Runs `nomad` with `args` against this Nomad, in `dir`.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn run(&self, dir: &Path, args: &[&str]) -> Output {
        let mut command = Command::new("nomad");
        command.args(args).current_dir(dir).env("NOMAD_ADDR", &self.url).env("NOMAD_CLI_NO_COLOR", "1");
        command.env("NOMAD_TOKEN", &self.token);
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// Returns what Nomad answers to `GET path`.
    ///
    /// # Panics
    /// If it does not answer with JSON.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url);
        let answer =
            client().get(&url).header(TOKEN, &self.token).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        answer.json().await.unwrap_or_else(|e| panic!("{url}: {e}"))
    }
}

/// Waits until Nomad gives away the token that may do everything.
pub(crate) async fn first_token(url: &str) -> String {
    let bootstrap = format!("{url}/v1/acl/bootstrap");
    eventually("nomad gives its first token", Duration::from_secs(60), || async {
        let answer: Value = client().post(&bootstrap).send().await.ok()?.json().await.ok()?;
        answer["SecretID"].as_str().map(str::to_owned)
    })
    .await
}

/// `-dev` keeps state in memory and ends the tasks with the agent.
fn command(program: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["agent", "-dev", "-config"]).arg(config);
    // The fingerprinter of a cloud that meets a broken bundle ends the agent.
    command.env_remove("AWS_CA_BUNDLE");
    command
}

fn config(dir: &Path, consul: &str, token: &str, [http, rpc, serf]: [u16; 3]) -> String {
    // Each Nomad hands out ports of its own range: two on one machine know nothing of each other.
    let first = 20_000 + (u32::from(http) % 100) * 100;
    let last = first + 99;
    let data: PathBuf = dir.join("data");
    let libraries = libraries();
    format!(
        r#"
data_dir             = "{data}"
disable_update_check = true
log_level            = "info"

ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}

server {{
  raft_multiplier = 1
}}

client {{
  min_dynamic_port = {first}
  max_dynamic_port = {last}

  options = {{
    "fingerprint.denylist" = "env_aws,env_azure,env_digitalocean,env_gce,cni"
  }}

  # What a function needs besides itself. The default is all of /usr, /lib and /etc: seconds and
  # gigabytes for each instance.
  chroot_env {{
{libraries}
  }}
}}

telemetry {{
  prometheus_metrics         = true
  publish_allocation_metrics = true
  publish_node_metrics       = true
}}

plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}

consul {{
  address = "{consul}"
  token   = "{token}"
}}
"#,
        data = data.display()
    )
}

/// Returns the C and C++ libraries and their loader, as a `chroot_env`.
fn libraries() -> String {
    let arch = std::env::consts::ARCH;
    let dirs = [format!("/lib/{arch}-linux-gnu"), "/lib64".into(), "/lib".into()];
    let loader = format!("ld-linux-{}.so", arch.replace('_', "-"));
    let wanted =
        ["libc.so.6", "libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0", "libgcc_s.so.1", "libstdc++.so.6"];
    let mut lines = String::new();
    for dir in dirs {
        let files = std::fs::read_dir(&dir).into_iter().flatten().filter_map(Result::ok);
        for name in files.map(|file| file.file_name().to_string_lossy().into_owned()) {
            if wanted.contains(&name.as_str()) || name.starts_with(&loader) {
                // Nomad copies a link as a link, which leads nowhere then.
                let place = format!("{dir}/{name}");
                let file = std::fs::canonicalize(&place).unwrap_or_else(|e| panic!("{place}: {e}"));
                lines += &format!("    \"{}\" = \"{place}\"\n", file.display());
            }
        }
    }
    lines
}
