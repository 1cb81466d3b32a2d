//! `--observe`: Prometheus, and Grafana where it is installed, beside the gateway, with the files of this checkout.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::process::Command;

use super::servers::{Server, Servers, free_near};
use super::terminal::Terminal;

/// Where a checkout keeps what both read.
const FILES: &str = "grafana";
/// Where Grafana's own files are, as packages install them.
const GRAFANA_HOME: &str = "/usr/share/grafana";

/// Starts what is installed, to watch the gateway at `gateway`, and says how to get the rest. Returns where Prometheus
/// answers before long, if it was started.
///
/// # Errors
/// If there are no files for it here, or it cannot be started.
pub(super) fn start(
    servers: &Servers,
    gateway: SocketAddr,
    state_dir: &Path,
    terminal: Terminal,
) -> anyhow::Result<Option<String>> {
    let files =
        fs::canonicalize(FILES).with_context(|| format!("--observe needs the folder {FILES}/ of a checkout here"))?;
    let Some(program) = on_path("prometheus") else {
        terminal.warn(
            "Prometheus is not on PATH, so nothing is observed: `apt-get install prometheus`, or a release from \
             https://prometheus.io/download",
        );
        return Ok(None);
    };
    let prometheus = prometheus(&program, gateway, &files, &state_dir.join("prometheus"))?;
    let url = prometheus.url.clone();
    let _ended = servers.run(prometheus, terminal)?;
    match on_path("grafana") {
        Some(program) => {
            let _ended = servers.run(grafana(&program, &url, &files, &state_dir.join("grafana"))?, terminal)?;
        }
        None => terminal.say(
            "Grafana is not on PATH, so the console alone has the dashboards: https://grafana.com/grafana/download has \
             packages",
        ),
    }
    Ok(Some(url))
}

/// Prometheus with the rules of the checkout, and the gateway's own list of what is to be scraped.
fn prometheus(program: &Path, gateway: SocketAddr, files: &Path, dir: &Path) -> anyhow::Result<Server> {
    let from = files.join("prometheus");
    let given = from.join("prometheus.yml");
    let text = fs::read_to_string(&given).with_context(|| format!("cannot read {}", given.display()))?;
    // The copy lies elsewhere, and the gateway has another port perhaps.
    let text = text
        .replace("http://127.0.0.1:8080/", &format!("http://{gateway}/"))
        .replace("- rules/", &format!("- {}/rules/", from.display()));
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let config = dir.join("prometheus.yml");
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let address = free_near(9090)?;
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    Ok(Server {
        name: "Prometheus",
        command,
        url: format!("http://{address}"),
        ready: "/-/ready",
        log: dir.join("prometheus.log"),
    })
}

/// Grafana with the dashboards of the checkout; who opens it on this machine may look without a password.
fn grafana(program: &Path, prometheus: &str, files: &Path, dir: &Path) -> anyhow::Result<Server> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let address = free_near(3000)?;
    let mut command = Command::new(program);
    command.args(["server", "--homepath", GRAFANA_HOME]);
    command.env("DROVER_PROMETHEUS_URL", prometheus).env("DROVER_DASHBOARDS", files.join("dashboards"));
    command.env("GF_PATHS_PROVISIONING", files.join("provisioning")).env("GF_PATHS_DATA", dir.join("data"));
    command.env("GF_PATHS_LOGS", dir.join("logs")).env("GF_AUTH_ANONYMOUS_ENABLED", "true");
    command.env("GF_SERVER_HTTP_ADDR", address.ip().to_string()).env("GF_SERVER_HTTP_PORT", address.port().to_string());
    command.env("GF_ANALYTICS_REPORTING_ENABLED", "false").env("GF_ANALYTICS_CHECK_FOR_UPDATES", "false");
    Ok(Server {
        name: "Grafana",
        command,
        url: format!("http://{address}"),
        ready: "/api/health",
        log: dir.join("grafana.log"),
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(program)).find(|path| path.is_file())
}
