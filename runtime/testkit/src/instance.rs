//! One running function, as a process.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::eventually;

/// A function process on a free port; it is killed when this is dropped.
#[derive(Debug)]
pub struct Instance {
    /// Where it answers, e.g. `http://127.0.0.1:40001`.
    pub url: String,
    /// A client without proxies.
    pub client: reqwest::Client,
    /// The process.
    pub child: Child,
    /// The lines that it logs, as JSON.
    pub log: Receiver<String>,
}

impl Instance {
    /// Returns the command that runs `binary` with nothing of this process's environment but `PATH`,
    /// `HOME` and where ONNX Runtime is.
    #[must_use]
    pub fn command(binary: &Path) -> Command {
        let mut command = Command::new(binary);
        command.env_clear();
        for kept in ["PATH", "HOME", "ORT_DYLIB_PATH", "DROVER_CACHE_DIR", "XDG_CACHE_HOME"] {
            command.envs(std::env::var_os(kept).map(|value| (kept, value)));
        }
        command.env("DROVER_LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts a function and waits until it is ready; the first start on a machine fetches ONNX Runtime.
    ///
    /// # Panics
    /// If it does not start or does not become ready: a test cannot go on then.
    pub async fn start(command: Command) -> Self {
        let mut instance = Self::spawn(command);
        let address = loop {
            let line = instance.log.recv_timeout(Duration::from_secs(20)).expect("the function says where it listens");
            let fields: Value = serde_json::from_str(&line).unwrap_or_default();
            assert_ne!(fields["level"], "ERROR", "{line}");
            if fields["message"] == "listening" {
                break fields["address"].as_str().expect("an address").to_owned();
            }
        };
        instance.url = format!("http://{address}");
        let ready = format!("{}/health/ready", instance.url);
        eventually("the function is ready", Duration::from_secs(180), || async {
            instance.client.get(&ready).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        instance
    }

    /// Starts a function and waits for nothing; where it listens, if at all, is not known.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stderr = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let (sender, log) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { url: String::new(), client: crate::client(), child, log }
    }

    /// Returns `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends the process a signal by its name, e.g. `TERM`.
    ///
    /// # Panics
    /// If the process has ended.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send {name}");
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the process ends", Duration::from_secs(30), || async {
            child.borrow_mut().try_wait().expect("a child can be waited for")
        })
        .await
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
