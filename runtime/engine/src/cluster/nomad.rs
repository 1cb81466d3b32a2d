//! What Nomad says of jobs, and which functions they are.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use drover_core::FunctionName;
use serde::Deserialize;
use serde_json::Value;

use super::consul::{TAG, listed, or_default};
use super::state::Listed;
use crate::{Instance, Size};

/// The value of a job's meta `drover` that makes it a function.
const FUNCTION: &str = "function";

/// One entry of `/v1/jobs?meta=true`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobEntry {
    #[serde(rename = "ID")]
    pub(super) id: String,
    stop: bool,
    pub(super) modify_index: u64,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    job_summary: Summary,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(default, deserialize_with = "or_default")]
    summary: BTreeMap<String, GroupSummary>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupSummary {
    queued: u32,
}

/// What is read of `/v1/job/ID`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Job {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    job_modify_index: u64,
    #[serde(default, deserialize_with = "or_default")]
    task_groups: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    name: String,
    count: u32,
    scaling: Option<Scaling>,
    #[serde(default, deserialize_with = "or_default")]
    services: Vec<Service>,
    #[serde(default, deserialize_with = "or_default")]
    tasks: Vec<Task>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scaling {
    min: Option<u32>,
    max: Option<u32>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    policy: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    provider: String,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Task {
    name: String,
    lifecycle: Option<Value>,
    #[serde(default, deserialize_with = "or_default")]
    services: Vec<Service>,
    #[serde(default, deserialize_with = "or_default")]
    resources: Resources,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Resources {
    #[serde(rename = "CPU", default)]
    cpu: u64,
    #[serde(rename = "MemoryMB", default)]
    memory: u64,
    #[serde(rename = "MemoryMaxMB", default)]
    memory_max: u64,
}

/// One entry of `/v1/service/NAME`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registration {
    #[serde(rename = "AllocID")]
    alloc_id: String,
    #[serde(rename = "NodeID", default)]
    node_id: Option<String>,
    address: String,
    port: u16,
    #[serde(default)]
    create_index: u64,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
}

/// A function as its job describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    /// The job's id.
    pub(super) job: String,
    /// Its group with the function's service.
    pub(super) group: String,
    /// The task of that group that writes the logs.
    pub(super) task: String,
    /// Whether Nomad itself keeps the list of instances.
    pub(super) is_kept_by_nomad: bool,
    pub(super) count: u32,
    /// Nomad's index of the last change of the job.
    pub(super) version: u64,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) scales: bool,
    pub(super) policy: BTreeMap<String, String>,
    pub(super) tags: Vec<String>,
    pub(super) meta: BTreeMap<String, String>,
    /// What one instance asks for.
    pub(super) cpu_mhz: u64,
    pub(super) memory_mib: u64,
    /// What the function's task of it may take at most; 0 if the job does not say.
    pub(super) memory_max_mib: u64,
    /// What that task asks for.
    pub(super) task_cpu_mhz: u64,
    pub(super) task_memory_mib: u64,
    /// Why fewer run than are wanted.
    pub(super) trouble: Option<String>,
}

impl JobEntry {
    /// Returns whether the job is a function. One at count 0 is dead for Nomad, but not stopped.
    pub(super) fn is_function(&self) -> bool {
        !self.stop && self.meta.get("drover").is_some_and(|value| value == FUNCTION)
    }

    /// Returns whether instances of `group` wait for a place.
    pub(super) fn waits(&self, group: &str) -> bool {
        self.job_summary.summary.get(group).is_some_and(|group| group.queued > 0)
    }
}

impl Job {
    /// Returns the functions of the job: one for each group that has a service.
    pub(super) fn functions(self) -> Vec<(FunctionName, Described)> {
        let (job, version) = (self.id, self.job_modify_index);
        self.task_groups.into_iter().filter_map(|group| group.function(&job, version)).collect()
    }
}

impl Group {
    fn function(self, job: &str, version: u64) -> Option<(FunctionName, Described)> {
        let services = || self.services.iter().chain(self.tasks.iter().flat_map(|task| &task.services));
        let tagged = services().find(|service| service.tags.iter().any(|tag| tag == TAG));
        let service = tagged.or_else(|| services().next())?.clone();
        let name = service.name.parse().ok()?;
        // Without bounds Nomad takes any count.
        let scaling = self.scaling.as_ref();
        let task = self.tasks.iter().find(|task| task.lifecycle.is_none())?;
        let described = Described {
            job: job.into(),
            task: task.name.clone(),
            memory_max_mib: task.resources.memory_max,
            task_cpu_mhz: task.resources.cpu,
            task_memory_mib: task.resources.memory,
            is_kept_by_nomad: service.provider == "nomad",
            count: self.count,
            version,
            min: scaling.map_or(0, |scaling| scaling.min.unwrap_or(0)),
            max: scaling.and_then(|scaling| scaling.max).unwrap_or(u32::MAX),
            scales: scaling.is_some_and(|scaling| scaling.enabled.unwrap_or(true)),
            policy: scaling.map(|scaling| scaling.policy.iter().map(text).collect()).unwrap_or_default(),
            tags: service.tags.into_iter().filter(|tag| is_whole(tag)).collect(),
            meta: service.meta.into_iter().filter(|(_, value)| is_whole(value)).collect(),
            cpu_mhz: self.tasks.iter().map(|task| task.resources.cpu).sum(),
            memory_mib: self.tasks.iter().map(|task| task.resources.memory).sum(),
            trouble: None,
            group: self.name,
        };
        Some((name, described))
    }
}

impl Described {
    /// Returns what one instance may use, where cores have this clock.
    pub(super) fn size(&self, core_mhz: u64) -> Size {
        #[expect(clippy::cast_precision_loss, reason = "MHz are small")]
        let cpu_cores = self.task_cpu_mhz as f64 / core_mhz.max(1) as f64;
        let memory_max_mib = Some(self.memory_max_mib).filter(|max| *max > 0);
        Size { cpu_cores, memory_mib: self.task_memory_mib, memory_max_mib }
    }
}

impl Registration {
    /// Returns the instance that this is. Nomad's own list has no health and no meta: that of the job counts.
    pub(super) fn instance(self, function: &FunctionName, meta: &BTreeMap<String, String>) -> Listed {
        let address = self.address.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port));
        let id = self.alloc_id.as_str().into();
        let instance = Instance { node: self.node_id, ..listed(id, function, address, meta.clone()) };
        Listed { instance, tags: self.tags, created: self.create_index, trusted_until: None }
    }
}

/// Returns a value of a policy as a person would write it in the job file.
fn text((key, value): (&String, &Value)) -> (String, String) {
    let text = match value {
        Value::String(text) => text.clone(),
        // Nomad keeps every number as a float.
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    };
    (key.clone(), text)
}

/// Returns whether nothing is left in `text` that only an instance could fill in.
fn is_whole(text: &str) -> bool {
    !text.contains("${")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn described(group: &Value) -> Option<(FunctionName, Described)> {
        let job = json!({"ID": "j", "TaskGroups": [group]});
        serde_json::from_value::<Job>(job).unwrap().functions().pop()
    }

    #[test]
    fn a_group_with_a_service_is_a_function() {
        let (name, found) = described(&json!({
            "Name": "g", "Count": 2,
            "Scaling": {"Min": 1, "Max": 5, "Enabled": false,
                        "Policy": {"target": 2.0, "metric": "rps", "ratio": 0.5, "deep": [{"a": 1}]}},
            "Services": [
                {"Name": "metrics", "Provider": "consul", "Tags": null, "Meta": null},
                {"Name": "f", "Provider": "nomad", "Tags": ["drover", "host=${NOMAD_JOB_ID}.example", "host=f.example"],
                 "Meta": {"version": "1", "node": "${node.unique.id}"}},
            ],
            "Tasks": [
                {"Name": "before", "Lifecycle": {"Hook": "prestart"}, "Resources": {"CPU": 10, "MemoryMB": 5}},
                {"Name": "t", "Lifecycle": null, "Services": null, "Resources": {"CPU": 100, "MemoryMB": 20}},
            ],
        }))
        .unwrap();
        assert_eq!(name.as_str(), "f");
        assert_eq!((found.job.as_str(), found.group.as_str(), found.task.as_str()), ("j", "g", "t"));
        assert_eq!((found.count, found.min, found.max, found.scales), (2, 1, 5, false));
        assert_eq!(found.tags, ["drover", "host=f.example"]);
        assert_eq!(found.meta.keys().collect::<Vec<_>>(), ["version"]);
        assert_eq!((found.cpu_mhz, found.memory_mib, found.is_kept_by_nomad), (110, 25, true));
        let policy: Vec<_> = found.policy.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(policy, [r#"deep=[{"a":1}]"#, "metric=rps", "ratio=0.5", "target=2"]);
    }

    #[test]
    fn a_group_without_bounds_takes_any_count_and_does_not_scale() {
        let group = json!({"Name": "g", "Count": 1, "Scaling": null, "Services": [{"Name": "f"}],
                           "Tasks": [{"Name": "t"}]});
        let (_, found) = described(&group).unwrap();
        assert_eq!((found.min, found.max, found.scales, found.is_kept_by_nomad), (0, u32::MAX, false, false));
        assert_eq!(described(&json!({"Name": "g", "Count": 1, "Tasks": [{"Name": "t"}]})), None);
    }

    #[test]
    fn a_job_at_count_zero_is_a_function_and_a_stopped_one_is_none() {
        let entry = |stop: bool, meta: Value| {
            let entry = json!({"ID": "j", "Stop": stop, "Status": "dead", "ModifyIndex": 7, "Meta": meta,
                               "JobSummary": {"Summary": {"g": {"Queued": 1}}}});
            serde_json::from_value::<JobEntry>(entry).unwrap()
        };
        assert!(entry(false, json!({"drover": "function"})).is_function());
        assert!(!entry(true, json!({"drover": "function"})).is_function());
        assert!(!entry(false, Value::Null).is_function());
        assert!(entry(false, Value::Null).waits("g"));
        assert!(!entry(false, Value::Null).waits("other"));
    }
}
