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
            for (name, psi) in String::from_utf8_lossy(&text).lines().filter_map(index) {
                let known = largest.entry(name).or_insert(psi);
                *known = known.max(psi);
            }
        }
        if let Some(fields) = summary.as_object_mut().filter(|_| !largest.is_empty()) {
            fields.insert("drift".into(), largest.into_iter().collect());
        }
        Ok(json(&summary))
    }
}

/// Reads `drover_drift_psi{of="input",field="text"} 0.1` as `input text`, 0.1.
fn index(line: &str) -> Option<(String, f64)> {
    let (labels, value) = line.strip_prefix("drover_drift_psi{")?.rsplit_once("} ")?;
    let label = |name: &str| {
        let value = labels.split(',').find_map(|label| label.trim().strip_prefix(name)?.strip_prefix("=\""))?;
        Some(value.trim_end_matches('"'))
    };
    let name = match (label("of")?, label("field")?) {
        ("input", field) => format!("input {field}"),
        (of, _) => of.to_owned(),
    };
    Some((name, value.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_functions_write_it() {
        let read = |line| index(line);
        assert_eq!(read(r#"drover_drift_psi{of="input",field="text"} 0.25"#), Some(("input text".into(), 0.25)));
        assert_eq!(read(r#"drover_drift_psi{of="prediction",field="prediction"} 1"#), Some(("prediction".into(), 1.0)));
        assert_eq!(read("# TYPE drover_drift_psi gauge"), None);
        assert_eq!(read("drover_slots 7"), None);
    }
}
