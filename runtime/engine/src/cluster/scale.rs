//! Changing the count of a job.

use std::net::SocketAddr;

use drover_core::FunctionName;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::api::{Api, ApiError, Ask};
use super::blocking::{Backoff, Query};
use super::nomad::Described;
use crate::SchedulerError;

/// What Nomad answers while a deployment runs.
const BLOCKED: &str = "active deployment";
/// The states of a deployment that has ended.
const ENDED: [&str; 3] = ["successful", "failed", "cancelled"];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deployment {
    status: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scaled {
    job_modify_index: u64,
}

/// Asks Nomad for `count` instances; waits while a deployment does not let it. Returns the job's version.
pub(super) async fn scale(
    nomad: &Api,
    gateway: SocketAddr,
    function: &FunctionName,
    job: &Described,
    count: u32,
) -> Result<u64, SchedulerError> {
    if !(job.min..=job.max).contains(&count) {
        let (function, min, max) = (function.clone(), job.min, job.max);
        return Err(SchedulerError::OutOfRange { function, count, min, max });
    }
    let ask = Ask::new(&["v1", "job", &job.job, "scale"]);
    let wish = json!({
        "Count": count,
        "Target": {"Group": job.group},
        "Message": format!("drover: {} -> {count}", job.count),
        "Meta": {"drover.gateway": gateway.to_string()},
    });
    let mut backoff = Backoff::default();
    loop {
        match nomad.send::<Scaled>(Method::POST, &ask, &wish).await {
            Ok(Some(scaled)) => return Ok(scaled.job_modify_index),
            Ok(None) => return Err(SchedulerError::UnknownFunction(function.clone())),
            Err(e) if e.refusal().is_some_and(|text| text.contains(BLOCKED)) => {
                tracing::info!(%function, count, "Nomad does not scale during a deployment: waiting for its end");
                no_deployment(nomad, &job.job).await?;
                // Nomad may still refuse although no deployment is listed: never in a hot loop.
                tokio::time::sleep(backoff.next()).await;
            }
            Err(e) => return Err(error(&e)),
        }
    }
}

/// Waits until no deployment of `job` is active.
async fn no_deployment(nomad: &Api, job: &str) -> Result<(), SchedulerError> {
    let mut query = Query::new(nomad, Ask::new(&["v1", "job", job, "deployments"]));
    loop {
        let all: Option<Vec<Deployment>> = query.next().await.map_err(|e| error(&e))?;
        if all.iter().flatten().all(|deployment| ENDED.contains(&deployment.status.as_str())) {
            return Ok(());
        }
    }
}

/// Returns what an error of Nomad means to who asked for a change.
pub(super) fn error(e: &ApiError) -> SchedulerError {
    match e.refusal() {
        Some(text) if e.is_forbidden() => SchedulerError::Refused(format!(
            "{text}: Nomad's token must be able to do this (scale-job to scale, submit-job and node read to resize, read-logs for logs)"
        )),
        Some(text) => SchedulerError::Refused(text.into()),
        None => SchedulerError::Unavailable(e.to_string()),
    }
}
