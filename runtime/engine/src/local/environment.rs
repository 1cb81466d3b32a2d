//! The words and the environment that Nomad gives an instance.

use std::collections::BTreeMap;
use std::path::PathBuf;

use drover_core::InstanceId;

use super::host::Host;
use crate::job::{Job, UnknownWord, interpolate};

/// Variables of the person's own shell that no task should see; Nomad's own list, and Drover's settings.
const DENIED: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "NOMAD_LICENSE",
    "VAULT_TOKEN",
    "NOMAD_TOKEN",
];

/// Everything about an instance that its words depend on.
pub(crate) struct Facts<'a> {
    pub(crate) job: &'a Job,
    pub(crate) host: &'a Host,
    pub(crate) id: &'a InstanceId,
    pub(crate) index: u32,
    pub(crate) ports: &'a [(String, u16)],
    pub(crate) dir: PathBuf,
}

/// The words of an instance: `NOMAD_*`, `attr.*`, `node.*`, `meta.*`.
pub(crate) struct Words(BTreeMap<String, String>);

impl Words {
    /// Puts together all words of an instance.
    pub(crate) fn new(facts: &Facts<'_>) -> Self {
        let (job, host) = (facts.job, facts.host);
        let (group, task) = (&job.group, &job.group.task);
        let resources = &task.resources;
        let path = |below: &str| facts.dir.join(below).display().to_string();
        let mhz = resources.cores.map_or(resources.cpu_mhz, |n| n * host.core_mhz);
        let mut words: BTreeMap<String, String> = [
            ("NOMAD_ALLOC_ID", facts.id.to_string()),
            ("NOMAD_SHORT_ALLOC_ID", facts.id.as_str().chars().take(8).collect()),
            ("NOMAD_ALLOC_INDEX", facts.index.to_string()),
            ("NOMAD_ALLOC_NAME", format!("{}.{}[{}]", job.id, group.name, facts.index)),
            ("NOMAD_ALLOC_DIR", path("alloc")),
            ("NOMAD_TASK_DIR", path(&format!("{}/local", task.name))),
            ("NOMAD_SECRETS_DIR", path(&format!("{}/secrets", task.name))),
            ("NOMAD_JOB_ID", job.id.clone()),
            ("NOMAD_JOB_NAME", job.name.clone()),
            ("NOMAD_GROUP_NAME", group.name.clone()),
            ("NOMAD_TASK_NAME", task.name.clone()),
            ("NOMAD_NAMESPACE", job.namespace.clone()),
            ("NOMAD_REGION", job.region.clone()),
            ("NOMAD_DC", "local".into()),
            ("NOMAD_CPU_LIMIT", mhz.to_string()),
            ("NOMAD_MEMORY_LIMIT", resources.memory_mib.to_string()),
            ("attr.cpu.arch", std::env::consts::ARCH.into()),
            ("attr.cpu.frequency", host.core_mhz.to_string()),
            ("attr.cpu.numcores", host.n_cores.to_string()),
            ("attr.cpu.totalcompute", (host.core_mhz * host.n_cores).to_string()),
            ("attr.kernel.name", std::env::consts::OS.into()),
            ("attr.memory.totalbytes", host.memory_bytes.to_string()),
            ("attr.unique.hostname", host.hostname.clone()),
            ("attr.unique.network.ip-address", "127.0.0.1".into()),
            ("node.class", String::new()),
            ("node.datacenter", "local".into()),
            ("node.region", job.region.clone()),
            ("node.unique.id", host.hostname.clone()),
            ("node.unique.name", host.hostname.clone()),
        ]
        .map(|(word, value)| (word.to_owned(), value))
        .into();
        if let Some(max) = resources.memory_max_mib.filter(|max| *max > 0) {
            words.insert("NOMAD_MEMORY_MAX_LIMIT".into(), max.to_string());
        }
        for (label, port) in facts.ports {
            for (word, value) in [
                ("IP", "127.0.0.1".to_owned()),
                ("PORT", port.to_string()),
                ("ADDR", format!("127.0.0.1:{port}")),
                ("HOST_IP", "127.0.0.1".to_owned()),
                ("HOST_PORT", port.to_string()),
                ("HOST_ADDR", format!("127.0.0.1:{port}")),
                ("ALLOC_PORT", port.to_string()),
            ] {
                words.insert(format!("NOMAD_{word}_{label}"), value);
            }
        }
        for (key, value) in &job.meta {
            words.insert(format!("NOMAD_META_{key}"), value.clone());
            words.insert(format!("NOMAD_META_{}", key.to_uppercase()), value.clone());
            words.insert(format!("meta.{key}"), value.clone());
        }
        Self(words)
    }

    /// Returns `text` with its words replaced.
    pub(crate) fn fill(&self, text: &str) -> Result<String, UnknownWord> {
        interpolate(text, &|word| self.0.get(word).cloned())
    }

    /// Returns the variables that the job's `env` and Nomad set.
    pub(crate) fn variables(&self, env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, UnknownWord> {
        let nomad = self.0.iter().filter(|(word, _)| word.starts_with("NOMAD_"));
        let mut all: BTreeMap<_, _> = nomad.map(|(word, value)| (word.replace('-', "_"), value.clone())).collect();
        for (key, value) in env {
            all.insert(key.clone(), self.fill(value)?);
        }
        Ok(all)
    }
}

/// Returns whether a variable of the person's own environment is passed on to a task.
pub(crate) fn is_passed_on(key: &str) -> bool {
    !DENIED.contains(&key) && !key.starts_with("DROVER_") && !key.starts_with("NOMAD_")
}
