//! A local engine with temporary state, for one test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drover_core::FunctionName;
use drover_engine::job::{Job, Variables, load};
use drover_engine::local::{Launcher, LocalEngine, Settings};
use drover_engine::{Catalog, Instance, LogLine, LogQuery, Scheduler};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::probe;

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `check` returns something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A job whose instances run the probe.
pub(crate) struct Spec {
    pub(crate) probe: &'static str,
    pub(crate) count: u32,
    pub(crate) group: &'static str,
    pub(crate) task: &'static str,
    pub(crate) check: &'static str,
    pub(crate) resources: String,
}

impl Default for Spec {
    fn default() -> Self {
        let resources = "cpu = 1000\nmemory = 256".into();
        Self { probe: "serve", count: 1, group: "", task: "", check: "", resources }
    }
}

impl Spec {
    /// Returns the job `name`.
    pub(crate) fn job(&self, name: &str) -> Job {
        let exe = std::env::current_exe().unwrap();
        let Self { probe, count, group, task, check, resources } = self;
        let text = format!(
            r#"job "{name}" {{
                group "g" {{
                    count = {count}
                    scaling {{
                        min = 0
                        max = 5
                    }}
                    network {{
                        port "http" {{}}
                    }}
                    {group}
                    task "t" {{
                        driver = "raw_exec"
                        kill_signal = "SIGTERM"
                        config {{
                            command = {exe:?}
                            args = {:?}
                        }}
                        env {{
                            PROBE = "{probe}"
                            MHZ = "${{attr.cpu.frequency}}"
                            MINE = "${{NOMAD_ALLOC_NAME}} of ${{NOMAD_JOB_ID}}"
                        }}
                        resources {{
                            {resources}
                        }}
                        {task}
                        service {{
                            name = "{name}"
                            port = "http"
                            meta {{
                                version = "1"
                            }}
                            check {{
                                type = "http"
                                path = "/health/ready"
                                interval = "100ms"
                                timeout = "2s"
                                {check}
                            }}
                        }}
                    }}
                }}
            }}"#,
            probe::ARGS
        );
        load("test.nomad", &text, &Variables::default()).unwrap_or_else(|e| panic!("{e}")).job
    }
}

/// An engine with temporary state.
pub(crate) struct Herder {
    pub(crate) engine: Arc<LocalEngine>,
    pub(crate) dir: tempfile::TempDir,
}

impl Herder {
    /// Starts an engine whose launcher is this test binary.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(LocalEngine::start(settings(dir.path().join("state"))).unwrap());
        Self { engine, dir }
    }

    /// Adds a job and returns its function.
    pub(crate) fn add(&self, name: &str, spec: &Spec) -> FunctionName {
        self.engine.add(spec.job(name), None).unwrap()
    }

    /// Returns the instances of `function` as they are now.
    pub(crate) fn instances(&self, function: &FunctionName) -> Vec<Arc<Instance>> {
        self.engine.watch().borrow().instances(function).unwrap_or_default().to_vec()
    }

    /// Waits until exactly `n` instances run and all are ready.
    pub(crate) async fn until_ready(&self, function: &FunctionName, n: usize) -> Vec<Arc<Instance>> {
        eventually(&format!("{n} instances of {function} are ready"), || async {
            let all = self.instances(function);
            (all.len() == n && all.iter().all(|i| i.state.is_ready())).then_some(all)
        })
        .await
    }

    /// Waits until the first instance gives a reason that contains `words`.
    pub(crate) async fn until_reason(&self, function: &FunctionName, words: &str) -> Arc<Instance> {
        eventually(&format!("an instance of {function} says: {words}"), || async {
            let all = self.instances(function);
            all.into_iter().find(|i| i.reason.as_ref().is_some_and(|r| r.contains(words)))
        })
        .await
    }

    /// Returns the lines that the instances of `function` wrote so far.
    pub(crate) async fn lines(&self, function: &FunctionName) -> Vec<LogLine> {
        let query = LogQuery { tail: usize::MAX, follow: false };
        self.engine.logs(function, query).await.unwrap().collect().await
    }

    /// Stops everything and checks that nothing is left.
    pub(crate) async fn finish(self) {
        let pids: Vec<_> = self.engine.watch().borrow().all_instances().filter_map(|i| i.pid).collect();
        self.engine.shut_down().await;
        for pid in pids {
            assert!(!lives(pid), "process {pid} is left");
        }
        assert!(!self.dir.path().join("state/up.json").exists(), "the record is left");
    }
}

/// Returns settings whose launcher is this test binary.
pub(crate) fn settings(state_dir: std::path::PathBuf) -> Settings {
    let args = ["--exact", "--ignored", "--nocapture", "--", "launch_process"].map(String::from).to_vec();
    Settings { state_dir, launcher: Launcher { program: std::env::current_exe().unwrap(), args } }
}

/// Returns whether the process `pid` runs (a zombie does not).
pub(crate) fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Sends one request and returns the body of the answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}
