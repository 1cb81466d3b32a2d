//! A `drover up` of a test's own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::probe;

/// How long a test waits for what must happen; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until `check` returns something.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory with a job file whose instances run the probe.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let job = format!(
            r#"variable "probe" {{
                 type    = string
                 default = "serve"
               }}
               job "herd" {{
                 datacenters = ["dc1"]
                 group "g" {{
                   count = 2
                   scaling {{
                     enabled = false
                     min = 1
                     max = 3
                   }}
                   network {{
                     port "http" {{}}
                   }}
                   task "t" {{
                     driver       = "raw_exec"
                     kill_signal  = "SIGTERM"
                     kill_timeout = "20s"
                     config {{
                       command = {:?}
                       args    = {:?}
                     }}
                     env {{
                       PROBE = var.probe
                     }}
                     resources {{
                       cpu    = 1000
                       memory = 256
                     }}
                     service {{
                       name = "herd"
                       port = "http"
                       check {{
                         type     = "http"
                         path     = "/health/ready"
                         interval = "100ms"
                         timeout  = "2s"
                       }}
                     }}
                   }}
                 }}
               }}"#,
            std::env::current_exe().unwrap(),
            probe::ARGS
        );
        fs::write(dir.path().join("herd.nomad"), job).unwrap();
        Self { dir }
    }

    /// Returns the command `drover` in this place.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drover"));
        command.args(args).current_dir(self.dir.path()).env_remove("DROVER_GATEWAY").env_remove("DROVER_PORT");
        command.env("DROVER_STATE_DIR", self.dir.path().join("state"));
        command
    }

    /// Runs `drover` to its end.
    pub(crate) fn drover(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts `drover up` and waits until `n` instances are ready.
    pub(crate) fn up(&self, args: &[&str], n: usize) -> Up<'_> {
        self.up_with(args, n, &[])
    }

    /// As `up`, with more in the environment.
    pub(crate) fn up_with(&self, args: &[&str], n: usize, env: &[(&str, &str)]) -> Up<'_> {
        let up = self.start(&[&["herd.nomad"], args].concat(), env);
        eventually("the instances are ready", || {
            (up.instances().iter().filter(|i| i["state"] == "ready").count() == n).then_some(())
        });
        up
    }

    /// Starts `drover up` and waits for nothing.
    pub(crate) fn start(&self, args: &[&str], env: &[(&str, &str)]) -> Up<'_> {
        let log = |name: &str| fs::File::create(self.dir.path().join(name)).unwrap();
        let mut command = self.command(&["up", "--port", "0"]);
        command.args(args).envs(env.iter().copied()).stdin(Stdio::null()).stdout(log("out.txt")).stderr(log("err.txt"));
        Up { child: command.spawn().unwrap(), place: self }
    }

    /// Returns what `drover up` wrote so far.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// Returns the cgroups that the engine wrote down.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let record: Value = serde_json::from_str(&self.text("state/up.json")).unwrap();
        record["cgroups"].as_array().unwrap().iter().map(|dir| dir.as_str().unwrap().into()).collect()
    }
}

/// A `drover up` that runs; killed when dropped.
pub(crate) struct Up<'a> {
    pub(crate) child: Child,
    place: &'a Place,
}

impl Up<'_> {
    pub(crate) fn instances(&self) -> Vec<Value> {
        let output = self.place.drover(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["instances"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.instances().iter().filter_map(|i| u32::try_from(i["pid"].as_u64()?).ok()).collect()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        eventually("drover up has ended", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Returns whether the process `pid` runs (a zombie does not).
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Returns what a command wrote to standard output, having checked that it succeeded.
pub(crate) fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns what a command wrote to standard error, having checked that it failed.
pub(crate) fn bad(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}
