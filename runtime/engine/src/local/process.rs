//! One process of an instance: what it is given, how it is started, what it writes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::Shared;
use super::cgroup::Cgroup;
use super::environment::{Facts, Words, is_passed_on};
use super::output::{Writer, pump};
use super::ports;
use super::rotate::RotatingFile;
use crate::job::{Check, Job};
use crate::{Instance, Stream};

/// How long a closed process may still hold the pipes of its output.
const PIPES_CLOSE: Duration = Duration::from_secs(1);

/// All that is decided before a process starts.
pub(crate) struct Plan {
    command: Vec<OsString>,
    env: BTreeMap<String, String>,
    task_dir: PathBuf,
    logs_dir: PathBuf,
    address: Option<SocketAddr>,
    checks: Vec<(Check, SocketAddr)>,
    meta: BTreeMap<String, String>,
    job: Arc<Job>,
}

impl Plan {
    /// Gives the instance ports and directories, and fills in its words.
    pub(crate) fn new(shared: &Shared, job: &Arc<Job>, instance: &Instance) -> io::Result<Self> {
        let group = &job.group;
        let mut given = Vec::new();
        for port in &group.ports {
            given.push((port.label.clone(), port.fixed.map_or_else(ports::reserve, Ok)?));
        }
        let dir = shared.state.instance_dir(&instance.id);
        let facts =
            Facts { job, host: &shared.host, id: &instance.id, index: instance.index, ports: &given, dir: dir.clone() };
        let words = Words::new(&facts);
        let (task, fill) = (&group.task, |text: &str| words.fill(text).map_err(io::Error::other));
        let address_of = |label: &str| {
            let port = given.iter().find(|(name, _)| name == label).map(|(_, port)| *port);
            port.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        };
        let mut checks = Vec::new();
        for service in &group.services {
            for check in &service.checks {
                let label = check.port.as_ref().unwrap_or(&service.port);
                let missing = || io::Error::other(format!("check `{}` has no port", check.name));
                checks.push((check.clone(), address_of(label).ok_or_else(missing)?));
            }
        }
        let service = group.services.first();
        let mut meta = BTreeMap::new();
        for (key, value) in service.iter().flat_map(|s| &s.meta) {
            meta.insert(key.clone(), fill(value)?);
        }
        let mut command = vec![OsString::from(fill(&task.command)?)];
        for arg in &task.args {
            command.push(fill(arg)?.into());
        }
        let first_port = group.ports.first().map(|port| port.label.as_str());
        let address = service.map(|s| s.port.as_str()).filter(|p| !p.is_empty()).or(first_port).and_then(address_of);
        let env = words.variables(&task.env).map_err(io::Error::other)?;
        let (task_dir, logs_dir) = (dir.join(&task.name), dir.join("alloc/logs"));
        for dir in [task_dir.join("local"), task_dir.join("secrets"), logs_dir.clone()] {
            fs::create_dir_all(dir)?;
        }
        Ok(Self { command, env, task_dir, logs_dir, address, checks, meta, job: Arc::clone(job) })
    }
}

/// A process that runs.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) pid: u32,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) checks: Vec<(Check, SocketAddr)>,
    pub(crate) meta: BTreeMap<String, String>,
    pumps: JoinSet<()>,
}

impl Process {
    /// Starts what was planned.
    pub(crate) async fn start(
        plan: Plan,
        shared: &Shared,
        cgroup: Option<&Cgroup>,
        writer: &Writer,
    ) -> io::Result<Self> {
        let mut command = Command::new(&shared.settings.launcher.program);
        command.args(&shared.settings.launcher.args).arg("--parent").arg(std::process::id().to_string());
        for file in cgroup.map(Cgroup::join_files).unwrap_or_default() {
            command.arg("--join").arg(file);
        }
        command.arg("--").args(&plan.command);
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(key, _)| key.to_str().is_some_and(is_passed_on)));
        command.envs(&plan.env).current_dir(&plan.task_dir);
        // A group of its own: Ctrl-C on the terminal must reach drover alone, which then drains.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shared.spawner.spawn(command).await?;
        let pid = child.id().unwrap_or_default();
        let (name, logs) = (&plan.job.group.task.name, plan.job.group.task.logs);
        let to = |stream: Stream, kind: &str| {
            let file = RotatingFile::open(plan.logs_dir.clone(), format!("{name}.{kind}"), logs);
            let file = file.inspect_err(|e| tracing::warn!(error = %e, "no log file can be opened")).ok();
            (Writer { stream, ..writer.clone() }, file, Arc::clone(&shared.output))
        };
        let mut pumps = JoinSet::new();
        if let Some(pipe) = child.stdout.take() {
            let (writer, file, output) = to(Stream::Stdout, "stdout");
            pumps.spawn(pump(pipe, writer, file, output));
        }
        if let Some(pipe) = child.stderr.take() {
            let (writer, file, output) = to(Stream::Stderr, "stderr");
            pumps.spawn(pump(pipe, writer, file, output));
        }
        Ok(Self { child, pid, address: plan.address, checks: plan.checks, meta: plan.meta, pumps })
    }

    /// Waits until everything that the process wrote has been taken.
    pub(crate) async fn close(mut self) {
        let all = async { while self.pumps.join_next().await.is_some() {} };
        let _some_grandchild_holds_a_pipe = tokio::time::timeout(PIPES_CLOSE, all).await;
    }
}
