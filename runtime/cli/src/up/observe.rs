//! `--observe`: Prometheus, and Grafana where it is installed, beside the gateway, with the files of this checkout.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::terminal::Terminal;

/// Where a checkout keeps what both read.
const FILES: &str = "grafana";
/// Where Grafana's own files are, as packages install them.
const GRAFANA_HOME: &str = "/usr/share/grafana";
/// How long either may take until it answers; Grafana makes its database first.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long either may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What was started; it is ended by [`Observers::stop`], or killed when this is dropped.
pub(super) struct Observers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A server, before it runs.
struct Server {
    name: &'static str,
    command: Command,
    /// Where people look.
    url: String,
    /// The path that is answered once it is ready.
    ready: &'static str,
    /// What it writes.
    log: PathBuf,
}

impl Observers {
    /// Starts what is installed, to watch the gateway at `gateway`, and says how to get the rest.
    ///
    /// # Errors
    /// If there are no files for it here, or it cannot be started.
    pub(super) fn start(gateway: SocketAddr, state_dir: &Path, terminal: Terminal) -> anyhow::Result<Self> {
        let files = fs::canonicalize(FILES)
            .with_context(|| format!("--observe needs the folder {FILES}/ of a checkout here"))?;
        let observers = Self { tasks: TaskTracker::new(), stop: CancellationToken::new() };
        let Some(program) = on_path("prometheus") else {
            terminal.warn(
                "Prometheus is not on PATH, so nothing is observed: `apt-get install prometheus`, or a release from \
                 https://prometheus.io/download",
            );
            return Ok(observers);
        };
        let prometheus = prometheus(&program, gateway, &files, &state_dir.join("prometheus"))?;
        let url = prometheus.url.clone();
        observers.run(prometheus, terminal)?;
        match on_path("grafana") {
            Some(program) => observers.run(grafana(&program, &url, &files, &state_dir.join("grafana"))?, terminal)?,
            None => terminal.say(
                "Grafana is not on PATH, so there are no dashboards: https://grafana.com/grafana/download has packages; \
                 what they ask can be asked at Prometheus",
            ),
        }
        observers.tasks.close();
        Ok(observers)
    }

    fn run(&self, mut server: Server, terminal: Terminal) -> anyhow::Result<()> {
        let log = fs::File::create(&server.log).with_context(|| format!("cannot write {}", server.log.display()))?;
        server.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = server.command.spawn().with_context(|| format!("cannot start {}", server.name))?;
        self.tasks.spawn(tend(server, child, self.stop.clone(), terminal));
        Ok(())
    }

    /// Ends all and waits for it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Says when a server is ready, or that it has ended; ends it when that is asked for.
async fn tend(server: Server, mut child: Child, stop: CancellationToken, terminal: Terminal) {
    let (name, url) = (server.name, &server.url);
    let welcome = async {
        match tokio::time::timeout(READY_LIMIT, ready(url, server.ready)).await {
            Ok(()) => terminal.say(&format!("{name} at {url}")),
            Err(_) => terminal.warn(&format!("{name} does not answer at {url}, see {}", server.log.display())),
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        status = child.wait() => {
            let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
            terminal.warn(&format!("{name} has ended ({status}), see {}", server.log.display()));
            return;
        }
        () = welcome => {}
        () = stop.cancelled() => {}
    }
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    // It may have ended meanwhile, by the same Ctrl-C.
    let _gone = id.map(|id| kill_process(id, Signal::TERM));
    if tokio::time::timeout(STOP_LIMIT, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}

/// Waits until `path` is answered well.
async fn ready(url: &str, path: &str) {
    // Nothing but this machine is asked.
    let Ok(client) = reqwest::Client::builder().no_proxy().build() else { return };
    loop {
        let answer = client.get(format!("{url}{path}")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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

/// Returns the address on this machine with the port that people know, or with a free one if it is taken.
fn free_near(port: u16) -> anyhow::Result<SocketAddr> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    bound.and_then(|listener| listener.local_addr()).context("no port is free")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(program)).find(|path| path.is_file())
}
