//! Changing what each instance of a job may use: the job as it is, with other resources, which Nomad redeploys.

use std::sync::{Arc, OnceLock};

use drover_core::FunctionName;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiError, Ask};
use super::blocking::Backoff;
use super::consul::or_default;
use super::nomad::Described;
use super::scale::error;
use crate::{SchedulerError, Size};

/// What Nomad answers to a change of a job that somebody else has changed meanwhile.
const CONFLICT: &str = "job modify index";
/// How often such a change is made again.
const CONFLICTS_MAX: u32 = 5;

/// What is read of an entry of `/v1/nodes?resources=true`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    node_resources: NodeResources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeResources {
    #[serde(deserialize_with = "or_default")]
    cpu: NodeCpu,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NodeCpu {
    cpu_shares: u64,
    total_cpu_cores: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Registered {
    job_modify_index: u64,
}

/// Asks for the clock of the nodes' cores until it is known, or not allowed to be.
pub(super) async fn follow_clock(nomad: Api, clock: Arc<OnceLock<u64>>) {
    let mut backoff = Backoff::default();
    loop {
        match core_mhz(&nomad).await {
            Ok(Some(mhz)) => {
                let _known_already = clock.set(mhz);
                return;
            }
            Err(e) if e.is_forbidden() => {
                return tracing::info!("sizes of functions are not shown: Nomad's token cannot read nodes");
            }
            Ok(None) | Err(_) => tokio::time::sleep(backoff.next()).await,
        }
    }
}

/// Returns the clock of the nodes' cores, MHz; of different ones the fastest, so that an instance has at least the
/// cores that were asked for. Nothing if no node is ready.
async fn core_mhz(nomad: &Api) -> Result<Option<u64>, ApiError> {
    let nodes: Option<Vec<Node>> = nomad.get(&Ask::new(&["v1", "nodes"]).with("resources", "true")).await?;
    let ready = nodes.unwrap_or_default().into_iter().filter(|node| node.status == "ready");
    Ok(ready
        .filter_map(|node| node.node_resources.cpu.cpu_shares.checked_div(node.node_resources.cpu.total_cpu_cores))
        .max())
}

/// Registers `job` with another size; returns its version. Counts stay as they are.
pub(super) async fn resize(
    nomad: &Api,
    function: &FunctionName,
    job: &Described,
    size: Size,
    clock: &OnceLock<u64>,
) -> Result<u64, SchedulerError> {
    let size = size.checked()?;
    let clock = match clock.get() {
        Some(mhz) => *mhz,
        None => {
            let none = || SchedulerError::Refused("no node of Nomad is ready, whose clock says what a core is".into());
            core_mhz(nomad).await.map_err(|e| error(&e))?.ok_or_else(none)?
        }
    };
    let (read, write) = (Ask::new(&["v1", "job", &job.job]), Ask::new(&["v1", "job", &job.job]));
    let mut backoff = Backoff::default();
    for _ in 0..CONFLICTS_MAX {
        let found: Option<Value> = nomad.get(&read).await.map_err(|e| error(&e))?;
        let mut found = found.ok_or_else(|| SchedulerError::UnknownFunction(function.clone()))?;
        let index = found.get("JobModifyIndex").cloned().unwrap_or_default();
        if !set(&mut found, job, size, clock) {
            let why = format!("job `{}` has no task `{}` in its group `{}` any more", job.job, job.task, job.group);
            return Err(SchedulerError::Refused(why));
        }
        let wish = json!({"Job": found, "EnforceIndex": true, "JobModifyIndex": index, "PreserveCounts": true});
        match nomad.send::<Registered>(Method::POST, &write, &wish).await {
            Ok(Some(registered)) => return Ok(registered.job_modify_index),
            Ok(None) => return Err(SchedulerError::UnknownFunction(function.clone())),
            Err(e) if e.to_string().to_lowercase().contains(CONFLICT) => tokio::time::sleep(backoff.next()).await,
            Err(e) => return Err(error(&e)),
        }
    }
    Err(SchedulerError::Refused(format!("job `{}` changes all the time", job.job)))
}

/// Gives the function's task in a job, as Nomad has it, other resources; returns whether it is there.
fn set(job: &mut Value, described: &Described, size: Size, core_mhz: u64) -> bool {
    let Some(group) = entry(job, "TaskGroups", &described.group) else { return false };
    let Some(task) = entry(group, "Tasks", &described.task) else { return false };
    let Some(resources) = task.get_mut("Resources").and_then(Value::as_object_mut) else { return false };
    resources.insert("CPU".into(), size.cpu_mhz(core_mhz).into());
    // Whole cores would win.
    resources.insert("Cores".into(), 0.into());
    resources.insert("MemoryMB".into(), size.memory_mib.into());
    resources.insert("MemoryMaxMB".into(), size.memory_max_mib.unwrap_or(0).into());
    true
}

/// Returns the entry called `name` of a list.
fn entry<'v>(of: &'v mut Value, list: &str, name: &str) -> Option<&'v mut Value> {
    of.get_mut(list)?.as_array_mut()?.iter_mut().find(|one| one.get("Name").is_some_and(|found| found == name))
}
