//! Reads a `task` block: program, environment, resources, logs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::Fields;
use super::findings::Findings;
use super::service::service;
use super::syntax::Block;
use super::{Logs, Resources, Service, Task};

pub(super) fn task(
    block: &Block,
    meta: &mut BTreeMap<String, String>,
    services: &mut Vec<Service>,
    findings: &mut Findings,
) -> Option<Task> {
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
