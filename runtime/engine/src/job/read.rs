//! From evaluated blocks to a [`Job`]. What cannot be honoured is a mistake; what has no meaning on
//! one machine is named in a warning.

use std::collections::BTreeMap;

use hcl::edit::Span;
use hcl::eval::Context;

use super::fields::Fields;
use super::findings::{BadJob, Findings};
use super::policy::{reschedule, restart, scaling};
use super::service::service;
use super::syntax::{Block, Text, block, parse};
use super::task::task;
use super::variables::{self, Variables};
use super::words::keep_runtime_words;
use super::{Group, Job, Port, Reschedule, Scaling};
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
    let reschedule = fields.one("reschedule").map(|b| reschedule(b, fields.findings())).unwrap_or_default();
    let group = group_block.and_then(|b| group(b, &mut meta, reschedule, fields.findings()));
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

type Meta = BTreeMap<String, String>;

fn group(block: &Block, meta: &mut Meta, reschedule: Reschedule, findings: &mut Findings) -> Option<Group> {
    let mut fields = Fields::new(block, findings);
    let scaling = fields.one("scaling");
    let count = fields.count32("count");
    let scaling = scaling.map(|b| self::scaling(b, count, fields.findings()));
    let count = count.or(scaling.as_ref().map(|s| s.min)).unwrap_or(1);
    // Without the block, nobody asked for a count that changes by itself.
    let unset = || Scaling { min: 0, max: u32::MAX, enabled: false, policy: BTreeMap::new() };
    let scaling = scaling.unwrap_or_else(unset);
    if !(scaling.min..=scaling.max).contains(&count) {
        fields.mistake(format!("`count` is {count}, but `scaling` allows {} to {}", scaling.min, scaling.max));
    }
    let restart = fields.one("restart").map(|b| restart(b, fields.findings()));
    let own = fields.one("reschedule").map(|b| self::reschedule(b, fields.findings()));
    let reschedule = own.unwrap_or(reschedule);
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
        "spread",
        "stop_after_client_disconnect",
        "max_client_disconnect",
        "update",
    ]);
    let name = block.labels.first().cloned().unwrap_or_default();
    Some(Group {
        name,
        count,
        scaling,
        restart: restart.unwrap_or_default(),
        reschedule,
        ports,
        services,
        shutdown_delay,
        task: task?,
    })
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
