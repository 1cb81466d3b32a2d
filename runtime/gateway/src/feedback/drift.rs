//! What instances say of drift, for the summary of a function: each compares what it sees with its model's training
//! data, and the largest index of all instances is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, Response};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::api::json;
use crate::ask::ask;
use crate::body::Body;
use crate::error::Error;
use crate::exposition::{Sample, samples};
use crate::gateway::Gateway;

/// How long an instance may take to show its counters.
const LIMIT: Duration = Duration::from_secs(1);
/// Instances that are asked.
const ASKED_MAX: usize = 16;

impl Gateway {
    /// Adds to the feedback service's summary of a function what its instances say of drift.
    pub(super) async fn with_drift(&self, summary: Response<Body>) -> Result<Response<Body>, Error> {
        let failed = |e: &dyn std::fmt::Display| {
            let detail = "the feedback service's answer broke off; try again";
            Error::new(drover_core::ErrorKind::StoreUnavailable, detail).with_cause(e)
        };
        let bytes = summary.into_body().collect().await.map_err(|e| failed(&e))?.to_bytes();
        let mut summary: Value = serde_json::from_slice(&bytes).map_err(|e| failed(&e))?;
        let function = summary.get("function").and_then(Value::as_str);
        let Some(lane) = function.and_then(|name| self.lanes.find(name).ok()) else {
            return Ok(json(&summary));
        };
        let instances = lane.instances().into_iter().filter(|(_, _, out)| out.is_none()).take(ASKED_MAX);
        let asked =
            instances.map(|(backend, ..)| async move { ask(backend.address, Method::GET, "/metrics", LIMIT).await });
        let mut largest: BTreeMap<String, f64> = BTreeMap::new();
        for (_, text) in join_all(asked).await.into_iter().flatten() {
            for sample in samples(&String::from_utf8_lossy(&text)) {
                let Some(name) = name(&sample) else { continue };
                let known = largest.entry(name).or_insert(sample.value);
                *known = known.max(sample.value);
            }
        }
        if let Some(fields) = summary.as_object_mut().filter(|_| !largest.is_empty()) {
            fields.insert("drift".into(), largest.into_iter().collect());
        }
        Ok(json(&summary))
    }
}

/// Returns what an index of drift is about, such as `input text` or `prediction`; nothing of other samples.
fn name(sample: &Sample<'_>) -> Option<String> {
    match (sample.name, sample.label("of")?, sample.label("field")?) {
        ("drover_drift_psi", "input", field) => Some(format!("input {field}")),
        ("drover_drift_psi", of, _) => Some(of.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_functions_write_it() {
        let read = |line| samples(line).find_map(|sample| Some((name(&sample)?, sample.value)));
        assert_eq!(read(r#"drover_drift_psi{of="input",field="text"} 0.25"#), Some(("input text".into(), 0.25)));
        assert_eq!(read(r#"drover_drift_psi{of="prediction",field="prediction"} 1"#), Some(("prediction".into(), 1.0)));
        assert_eq!(read("# TYPE drover_drift_psi gauge"), None);
        assert_eq!(read(r#"drover_other{of="input",field="text"} 1"#), None);
        assert_eq!(read("drover_slots 7"), None);
    }
}
