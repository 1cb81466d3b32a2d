//! An Alertmanager of the test's own, and who it calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, free_ports, installed, on_path};
use crate::{checkout, client, eventually};

/// A running Alertmanager with `grafana/prometheus/alertmanager.yml`, but that it waits for a second at most and
/// calls a receiver of the test's own.
#[derive(Debug)]
pub struct Alertmanager {
    /// Where it answers, `host:port`.
    pub address: String,
    /// What it has sent, as JSON.
    pub received: Receiver<Value>,
    _process: Process,
    _dir: TempDir,
}

impl Alertmanager {
    /// Starts it. Returns nothing, and says so, where it is not installed.
    ///
    /// # Panics
    /// If it is there, but does not start.
    pub async fn start() -> Option<Self> {
        // Debian's name, and that of its authors.
        let program = on_path("prometheus-alertmanager").or_else(|| installed("alertmanager"))?;
        let (receiver, received) = receive();
        let source = checkout().join("grafana/prometheus/alertmanager.yml");
        let mut text = std::fs::read_to_string(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        for (from, to) in [("127.0.0.1:9095", &*receiver.to_string()), ("group_wait: 5s", "group_wait: 1s")] {
            assert!(text.contains(from), "{} does not hold `{from}`", source.display());
            text = text.replace(from, to);
        }
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let file = dir.path().join("alertmanager.yml");
        std::fs::write(&file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let [port] = free_ports();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", dir.path().join("data").display()));
        command.args([&format!("--web.listen-address={address}"), "--cluster.listen-address="]);
        let mut process = Process::start(command, &dir.path().join("alertmanager.log"));
        let ready = format!("http://{address}/-/ready");
        eventually("alertmanager is ready", Duration::from_secs(30), || {
            assert!(process.runs(), "alertmanager ended:\n{}", process.last_lines());
            async { client().get(&ready).send().await.ok().filter(|answer| answer.status().is_success()) }
        })
        .await;
        Some(Self { address, received, _process: process, _dir: dir })
    }
}

/// Takes whatever is posted, until the test ends.
fn receive() -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|e| panic!("no free port: {e}"));
    let address = listener.local_addr().expect("a listener has an address");
    let (sender, received) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("a socket can be shared"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                let header = line.to_ascii_lowercase();
                length = header.strip_prefix("content-length:").and_then(|n| n.trim().parse().ok()).unwrap_or(length);
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                let _test_has_ended = sender.send(serde_json::from_slice(&body).unwrap_or_default());
            }
            let _closed = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (address, received)
}
