//! The gateway and those that it is compared with, each with one worker on core 0.

use std::path::{Path, PathBuf};

use drover_testkit::bench::machine::SERVER_CORE;
use drover_testkit::bench::report::Report;
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::{Result, build, wire, wrk};
use drover_testkit::process::{free_ports, on_path};
use tempfile::TempDir;
use tokio::process::Command;

use crate::PATH;

/// What stands between the load and the backend.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proxy {
    Gateway,
    Nginx,
    Haproxy,
}

/// What has to be there first.
pub(crate) struct Tools {
    /// What nginx and haproxy say of themselves.
    pub(crate) versions: [String; 2],
    drover: PathBuf,
    nginx: PathBuf,
    haproxy: PathBuf,
    /// Where configurations are.
    dir: TempDir,
}

impl Tools {
    /// Builds the gateway and finds the others.
    pub(crate) async fn find() -> Result<Self> {
        let (nginx, haproxy) = (installed("nginx"), installed("haproxy"));
        let wrk = wrk::find().await.is_ok().then_some(());
        let (Some(nginx), Some(haproxy), Some(())) = (&nginx, &haproxy, wrk) else {
            let all = [("nginx", nginx.is_some()), ("haproxy", haproxy.is_some()), ("wrk", wrk.is_some())];
            let missing: Vec<&str> = all.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
            let missing = missing.join(", ");
            return Err(format!("not here: {missing}; on Debian and Ubuntu: apt-get install nginx haproxy wrk").into());
        };
        let versions = [version(nginx).await?, version(haproxy).await?];
        versions.iter().for_each(|version| println!("{version}"));
        Ok(Self {
            versions,
            drover: build("drover-cli").await?.join("drover"),
            nginx: nginx.clone(),
            haproxy: haproxy.clone(),
            dir: tempfile::tempdir()?,
        })
    }

    /// Writes a configuration and returns where it is.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.dir.path().join(name);
        std::fs::write(&file, text)?;
        Ok(file)
    }
}

impl Proxy {
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Nginx, Self::Haproxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Starts it on a free port, before `backend`, and waits until it passes requests on.
    pub(crate) async fn start(self, tools: &Tools, backend: &Server) -> Result<Server> {
        let [port] = free_ports();
        let address = format!("127.0.0.1:{port}");
        let mut command;
        match self {
            Self::Gateway => {
                let config = tools.write("gateway.toml", &gateway(&address, &backend.address))?;
                command = on_core(SERVER_CORE, &tools.drover);
                command.args(["gateway", "--config"]).arg(config);
                // It stands in the file.
                command.env_remove("DROVER_LISTEN");
            }
            Self::Nginx => {
                let config = tools.write("nginx.conf", &nginx(tools.dir.path(), &address, &backend.address))?;
                command = on_core(SERVER_CORE, &tools.nginx);
                command.args(["-e", "stderr", "-c"]).arg(config);
            }
            Self::Haproxy => {
                let config = tools.write("haproxy.cfg", &haproxy(&address, &backend.address))?;
                command = on_core(SERVER_CORE, &tools.haproxy);
                command.args(["-db", "-f"]).arg(config);
            }
        }
        Server::start_at(command, &address, &wire::get(PATH)).await
    }
}

/// Starts all of them; one that does not start is reported, and the others are measured without it.
pub(crate) async fn all(tools: &Tools, backend: &Server, report: &mut Report) -> Vec<(&'static str, Server)> {
    let mut started = Vec::new();
    for proxy in Proxy::ALL {
        match proxy.start(tools, backend).await {
            Ok(server) => started.push((proxy.name(), server)),
            Err(why) => report.failed(proxy.name(), &why.to_string()),
        }
    }
    started
}

fn gateway(listen: &str, backend: &str) -> String {
    format!(
        r#"listen = ["{listen}"]
[functions.ok]
instances = ["{backend}"]
slots = 1024
pure = true
"#
    )
}

/// Both of its limits of requests on a connection are lifted: it would open new ones all the time.
fn nginx(dir: &Path, listen: &str, backend: &str) -> String {
    let dir = dir.display();
    format!(
        r#"daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 19800; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream backend {{
    server {backend};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {listen};
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
}}
"#
    )
}

/// For its strict limits it wants two descriptors for each client, which it does not need here.
fn haproxy(listen: &str, backend: &str) -> String {
    format!(
        "global
  nbthread 1
  maxconn 10100
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend clients
  bind {listen}
  default_backend instances
backend instances
  http-reuse always
  server backend {backend}
"
    )
}

/// Returns where a program is, which is not on everybody's `PATH` where Debian puts it.
fn installed(name: &str) -> Option<PathBuf> {
    on_path(name).or_else(|| Some(Path::new("/usr/sbin").join(name)).filter(|file| file.is_file()))
}

/// Returns the first line of what a program says of its version.
async fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("-v").output().await.map_err(|e| format!("{}: {e}", program.display()))?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown").to_owned())
}
