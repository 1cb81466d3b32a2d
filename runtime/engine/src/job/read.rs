//! From evaluated blocks to a [`Job`]. What cannot be honoured is a mistake; what has no meaning on
//! one machine is named in a warning.

use std::time::Duration;

use hcl::edit::Span;
use hcl::eval::Context;

use super::fields::Fields;
use super::findings::{BadJob, Findings};
use super::syntax::{Block, Text, block, parse};
use super::variables::{self, Variables};
use super::words::keep_runtime_words;
use super::{
    Check, CheckKind, CheckRestart, Group, Job, Logs, Port, Resources, Restart, RestartMode, Scaling, Service, Task,
};
use crate::job::functions;

/// A job that was read, and what should be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The job.
    pub job: Job,
    /// What the file asks for that has no effect on one machine.
    pub warnings: Vec<String>,
    /// The variables that the file declares.
    pub variables: Vec<String>,
}

/// Reads the job file `text`, called `file` in messages, with the given variables.
///
/// # Errors
/// Everything in it that is wrong or cannot be honoured on one machine, with its line.
pub fn load(file: &str, text: &str, given: &Variables) -> Result<Loaded, BadJob> {
    let mut findings = Findings::new(file);
    let loaded = read(text, given, &mut findings);
    let warnings = findings.warnings();
    findings.finish(loaded).map(|(job, variables)| Loaded { job, warnings, variables })
}

fn read(text: &str, given: &Variables, findings: &mut Findings) -> Option<(Job, Vec<String>)> {
    let mut body = parse(text, findings)?;
    keep_runtime_words(&mut body);
    let (text, mut context) = (Text(text), Context::new());
    functions::declare(&mut context);
    let names = variables::declare(&body, &text, given, &mut context, findings);
    let mut jobs = Vec::new();
    for structure in &body {
        let line = text.line(structure.span());
        match structure.as_block() {
            Some(b) if b.has_ident("job") => jobs.push(b),
            Some(b) if b.has_ident("variable") || b.has_ident("locals") => {}
            Some(b) => findings.mistake(line, format!("`{}` means nothing at the top of a job file", b.ident.as_str())),
            None => findings.mistake(line, "an attribute outside of the job"),
        }
    }
    if !findings.is_clean() {
        return None;
    }
    let [raw] = jobs.as_slice() else {
        findings.mistake(1, format!("{} `job` blocks, one is needed", jobs.len()));
        return None;
    };
    let block = block(raw, &text, &context, findings);
    job(&block, findings).map(|job| (job, names))
}

fn job(block: &Block, findings: &mut Findings) -> Option<Job> {
    let label = block.labels.first().cloned().unwrap_or_default();
    let mut fields = Fields::new(block, findings);
    let id = fields.text("id").unwrap_or_else(|| label.clone());
    let name = fields.text("name").unwrap_or(label);
    if let Some(kind) = fields.text("type").filter(|kind| kind != "service") {
        fields.mistake(format!("type `{kind}` is not run on one machine, only `service`"));
    }
    let (namespace, region) = (fields.text("namespace"), fields.text("region"));
    let mut meta = fields.map("meta");
    let group_block = fields.one("group");
    let group = group_block.and_then(|b| group(b, &mut meta, fields.findings()));
    if group_block.is_none() {
        fields.mistake("the job has no `group`");
    }
    fields.finish(&[
        "affinity",
        "all_at_once",
        "constraint",
        "consul",
        "datacenters",
        "migrate",
        "node_pool",
        "priority",
        "reschedule",
        "spread",
        "ui",
        "update",
        "version_tag",
    ]);
    Some(Job {
        id,
        name,
        namespace: namespace.unwrap_or_else(|| "default".into()),
        region: region.unwrap_or_else(|| "global".into()),
        meta,
        group: group?,
    })
}

type Meta = std::collections::BTreeMap<String, String>;

fn group(block: &Block, meta: &mut Meta, findings: &mut Findings) -> Option<Group> {
    let mut fields = Fields::new(block, findings);
    let scaling = fields.one("scaling");
    let count = fields.count32("count");
    let scaling = scaling.map(|b| scaling_of(b, count, fields.findings()));
    let count = count.or(scaling.map(|s| s.min)).unwrap_or(1);
    let scaling = scaling.unwrap_or(Scaling { min: 0, max: u32::MAX });
    if !(scaling.min..=scaling.max).contains(&count) {
        fields.mistake(format!("`count` is {count}, but `scaling` allows {} to {}", scaling.min, scaling.max));
    }
    let restart = fields.one("restart").map(|b| restart(b, fields.findings()));
    let ports = fields.one("network").map(|b| network(b, fields.findings())).unwrap_or_default();
    let mut services: Vec<_> = fields.blocks("service").into_iter().map(|b| service(b, fields.findings())).collect();
    let shutdown_delay = fields.duration("shutdown_delay").unwrap_or_default();
    meta.extend(fields.map("meta"));
    let task_block = fields.one("task");
    let task = task_block.and_then(|b| task(b, meta, &mut services, fields.findings()));
    if task_block.is_none() {
        fields.mistake("the group has no `task`");
    }
    for port in services.iter().map(|s| &s.port).filter(|label| !ports.iter().any(|p: &Port| &p.label == *label)) {
        fields.mistake(format!("a service uses port `{port}`, but `network` has none of that name"));
    }
    fields.finish(&[
        "affinity",
        "constraint",
        "consul",
        "disconnect",
        "ephemeral_disk",
        "migrate",
        "reschedule",
        "spread",
        "stop_after_client_disconnect",
        "max_client_disconnect",
        "update",
    ]);
    let restart = restart.unwrap_or(Restart {
        attempts: 2,
        interval: Duration::from_secs(1800),
        delay: Duration::from_secs(15),
        mode: RestartMode::Fail,
    });
    let name = block.labels.first().cloned().unwrap_or_default();
    Some(Group { name, count, scaling, restart, ports, services, shutdown_delay, task: task? })
}

fn scaling_of(block: &Block, count: Option<u32>, findings: &mut Findings) -> Scaling {
    let mut fields = Fields::new(block, findings);
    let min = fields.count32("min").or(count).unwrap_or(1);
    let max = fields.count32("max");
    if max.is_none() {
        fields.mistake("`scaling` needs `max`");
    }
    fields.finish(&["enabled", "policy"]);
    Scaling { min, max: max.unwrap_or(u32::MAX) }
}

fn restart(block: &Block, findings: &mut Findings) -> Restart {
    let mut fields = Fields::new(block, findings);
    let mode = match fields.text("mode").as_deref() {
        None | Some("fail") => RestartMode::Fail,
        Some("delay") => RestartMode::Delay,
        Some(other) => {
            fields.mistake(format!("`mode` is `{other}`, not fail or delay"));
            RestartMode::Fail
        }
    };
    let restart = Restart {
        attempts: fields.count32("attempts").unwrap_or(2),
        interval: fields.duration("interval").unwrap_or(Duration::from_secs(1800)),
        delay: fields.duration("delay").unwrap_or(Duration::from_secs(15)),
        mode,
    };
    fields.finish(&["render_templates"]);
    restart
}

fn network(block: &Block, findings: &mut Findings) -> Vec<Port> {
    let mut fields = Fields::new(block, findings);
    if let Some(mode) = fields.text("mode").filter(|mode| mode != "host") {
        fields.mistake(format!("network mode `{mode}` is not run on one machine, only `host`"));
    }
    let ports = fields.blocks("port").into_iter().map(|b| port(b, fields.findings())).collect();
    fields.finish(&["mbits"]);
    ports
}

fn port(block: &Block, findings: &mut Findings) -> Port {
    let mut fields = Fields::new(block, findings);
    let fixed = fields.count("static").and_then(|n| {
        let port = u16::try_from(n).ok().filter(|p| *p > 0);
        if port.is_none() {
            fields.mistake(format!("`static` is {n}, not a port from 1 to 65535"));
        }
        port
    });
    fields.finish(&["host_network"]);
    Port { label: block.labels.first().cloned().unwrap_or_default(), fixed }
}

fn service(block: &Block, findings: &mut Findings) -> Service {
    let mut fields = Fields::new(block, findings);
    let checks = fields.blocks("check").into_iter().filter_map(|b| check(b, fields.findings())).collect();
    let service = Service {
        name: fields.text("name").unwrap_or_else(|| "${NOMAD_JOB_NAME}".into()),
        port: fields.text("port").unwrap_or_default(),
        tags: fields.texts("tags"),
        meta: fields.map("meta"),
        checks,
    };
    fields.finish(&[
        "address_mode",
        "canary_meta",
        "canary_tags",
        "cluster",
        "enable_tag_override",
        "identity",
        "on_update",
        "provider",
        "tagged_addresses",
        "task",
        "weights",
    ]);
    service
}

fn check(block: &Block, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::new(block, findings);
    let path = fields.text("path");
    let method = fields.text("method").unwrap_or_else(|| "GET".into());
    let kind = match fields.text("type").as_deref() {
        Some("http") => Some(CheckKind::Http { method, path: path.clone().unwrap_or_else(|| "/".into()) }),
        Some("tcp") => Some(CheckKind::Tcp),
        other => {
            fields.mistake(format!("a check of type `{}` is not run here, only http and tcp", other.unwrap_or("")));
            None
        }
    };
    if let Some(protocol) = fields.text("protocol").filter(|p| p != "http") {
        fields.mistake(format!("a check by `{protocol}` is not run here, only http"));
    }
    let restart = fields.one("check_restart").map(|b| check_restart(b, fields.findings()));
    let check = Check {
        name: fields.text("name").unwrap_or_else(|| path.unwrap_or_else(|| "tcp".into())),
        kind: kind?,
        port: fields.text("port"),
        interval: fields.duration("interval").unwrap_or(Duration::from_secs(10)).max(Duration::from_millis(10)),
        timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(2)),
        passes_needed: fields.count32("success_before_passing").unwrap_or(1).max(1),
        failures_needed: fields.count32("failures_before_critical").unwrap_or(1).max(1),
        restart: restart.flatten(),
    };
    fields.finish(&[
        "address_mode",
        "expose",
        "failures_before_warning",
        "initial_status",
        "on_update",
        "tls_skip_verify",
    ]);
    Some(check)
}

fn check_restart(block: &Block, findings: &mut Findings) -> Option<CheckRestart> {
    let mut fields = Fields::new(block, findings);
    let limit = fields.count32("limit").unwrap_or(0);
    let grace = fields.duration("grace").unwrap_or(Duration::from_secs(1));
    fields.finish(&["ignore_warnings"]);
    (limit > 0).then_some(CheckRestart { limit, grace })
}

fn task(block: &Block, meta: &mut Meta, services: &mut Vec<Service>, findings: &mut Findings) -> Option<Task> {
    let mut fields = Fields::new(block, findings);
    match fields.text("driver").as_deref() {
        Some("raw_exec") => {}
        Some("exec") => fields.findings().moot("driver exec (no chroot, no user of its own)"),
        other => fields.mistake(format!(
            "driver `{}` is not run on one machine, only raw_exec and exec",
            other.unwrap_or_default()
        )),
    }
    let (command, args) = fields.one("config").map(|b| config(b, fields.findings())).unwrap_or_default();
    if command.is_empty() {
        fields.mistake("the task's `config` has no `command`");
    }
    meta.extend(fields.map("meta"));
    services.extend(fields.blocks("service").into_iter().map(|b| service(b, fields.findings())).collect::<Vec<_>>());
    let resources = fields.one("resources").map(|b| resources(b, fields.findings()));
    let logs = fields.one("logs").map(|b| logs(b, fields.findings()));
    let kill_signal = fields.text("kill_signal").unwrap_or_else(|| "SIGINT".into());
    if crate::local::signal::by_name(&kill_signal).is_none() {
        fields.mistake(format!("`kill_signal` is `{kill_signal}`, which is not a signal such as SIGTERM"));
    }
    let task = Task {
        name: block.labels.first().cloned().unwrap_or_default(),
        command,
        args,
        env: fields.map("env"),
        resources: resources.unwrap_or(Resources { cpu_mhz: 100, cores: None, memory_mib: 300, memory_max_mib: None }),
        kill_signal,
        kill_timeout: fields.duration("kill_timeout").unwrap_or(Duration::from_secs(5)),
        shutdown_delay: fields.duration("shutdown_delay").unwrap_or_default(),
        logs: logs.unwrap_or(Logs { max_files: 10, max_file_bytes: 10 << 20 }),
    };
    fields.finish(&["affinity", "constraint", "consul", "leader", "schedule"]);
    Some(task)
}

fn config(block: &Block, findings: &mut Findings) -> (String, Vec<String>) {
    let mut fields = Fields::new(block, findings);
    let both = (fields.text("command").unwrap_or_default(), fields.texts("args"));
    fields.finish(&["cgroup_v1_override", "cgroup_v2_override", "oom_score_adj"]);
    both
}

fn resources(block: &Block, findings: &mut Findings) -> Resources {
    let mut fields = Fields::new(block, findings);
    let resources = Resources {
        cpu_mhz: fields.count("cpu").unwrap_or(100),
        cores: fields.count("cores"),
        memory_mib: fields.count("memory").unwrap_or(300),
        memory_max_mib: fields.count("memory_max"),
    };
    if resources.memory_max_mib.is_some_and(|max| max > 0 && max < resources.memory_mib) {
        fields.mistake("`memory_max` is less than `memory`");
    }
    fields.finish(&["numa", "disk", "iops", "secrets"]);
    resources
}

fn logs(block: &Block, findings: &mut Findings) -> Logs {
    let mut fields = Fields::new(block, findings);
    let logs = Logs {
        max_files: fields.count32("max_files").unwrap_or(10).max(1),
        max_file_bytes: fields.count("max_file_size").unwrap_or(10).max(1) << 20,
    };
    fields.finish(&["disabled", "enabled"]);
    logs
}
