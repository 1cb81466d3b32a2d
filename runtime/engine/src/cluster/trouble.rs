//! Why Nomad has no place for an instance, in one sentence.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::consul::or_default;
use super::nomad::Described;

/// What is read of an entry of `/v1/job/ID/evaluations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Evaluation {
    create_index: u64,
    status: String,
    #[serde(default, rename = "FailedTGAllocs", deserialize_with = "or_default")]
    failed: BTreeMap<String, Failure>,
}

/// What Nomad counted while it looked for a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Failure {
    nodes_evaluated: u32,
    nodes_exhausted: u32,
    #[serde(deserialize_with = "or_default")]
    constraint_filtered: BTreeMap<String, u32>,
    #[serde(deserialize_with = "or_default")]
    class_filtered: BTreeMap<String, u32>,
    #[serde(deserialize_with = "or_default")]
    dimension_exhausted: BTreeMap<String, u32>,
    #[serde(deserialize_with = "or_default")]
    quota_exhausted: Vec<String>,
}

/// Returns why instances of `function` wait for a place, if the newest evaluation that waits says so.
pub(super) fn of(function: &Described, evaluations: &[Evaluation]) -> Option<String> {
    let blocked = evaluations.iter().filter(|evaluation| evaluation.status == "blocked");
    let newest = blocked.max_by_key(|evaluation| evaluation.create_index)?;
    let Some(failure) = newest.failed.get(&function.group) else {
        return Some("Nomad has no place for all instances".into());
    };
    Some(failure.sentence(function))
}

impl Failure {
    fn sentence(&self, function: &Described) -> String {
        if self.nodes_evaluated == 0 {
            return "no node of the job's datacenters is ready".into();
        }
        let mut parts: Vec<String> = Vec::new();
        for (dimension, n) in &self.dimension_exhausted {
            let what = match dimension.as_str() {
                "memory" => format!("{} MiB of memory free", function.memory_mib),
                "cpu" => format!("{} MHz of CPU free", function.cpu_mhz),
                other => format!("enough of `{other}` free"),
            };
            parts.push(format!("no node has {what} ({} exhausted)", nodes(*n)));
        }
        for (constraint, n) in &self.constraint_filtered {
            parts.push(format!("{} not satisfied by {}", constraint.replace("${", "`").replace('}', "`"), nodes(*n)));
        }
        for (class, n) in &self.class_filtered {
            parts.push(format!("{} of class `{class}` filtered out", nodes(*n)));
        }
        for quota in &self.quota_exhausted {
            parts.push(format!("the quota `{quota}` is used up"));
        }
        if parts.is_empty() {
            parts.push(format!("no node has room ({} exhausted)", nodes(self.nodes_exhausted)));
        }
        parts.join("; ")
    }
}

fn nodes(n: u32) -> String {
    if n == 1 { "1 node".into() } else { format!("{n} nodes") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(failure: &Value) -> Option<String> {
        let function = json!({"ID": "j", "TaskGroups": [{
            "Name": "g", "Count": 1, "Services": [{"Name": "f"}],
            "Tasks": [{"Name": "t", "Resources": {"CPU": 100, "MemoryMB": 64000}}],
        }]});
        let function: super::super::nomad::Job = serde_json::from_value(function).unwrap();
        let (_, function) = function.functions().pop().unwrap();
        let evaluations = json!([
            {"CreateIndex": 1, "Status": "blocked", "FailedTGAllocs": {"g": {"NodesEvaluated": 9}}},
            {"CreateIndex": 2, "Status": "blocked", "FailedTGAllocs": {"g": failure}},
            {"CreateIndex": 3, "Status": "complete", "FailedTGAllocs": {"g": {"NodesEvaluated": 9}}},
        ]);
        of(&function, &serde_json::from_value::<Vec<Evaluation>>(evaluations).unwrap())
    }

    #[test]
    fn what_is_missing_is_named() {
        let memory = json!({"NodesEvaluated": 1, "NodesExhausted": 1, "DimensionExhausted": {"memory": 1},
                            "ConstraintFiltered": null});
        assert_eq!(said(&memory).unwrap(), "no node has 64000 MiB of memory free (1 node exhausted)");
        let two = json!({"NodesEvaluated": 5, "DimensionExhausted": {"cpu": 2},
                         "ConstraintFiltered": {"${attr.kernel.name} = windows": 3}});
        let both = "no node has 100 MHz of CPU free (2 nodes exhausted); `attr.kernel.name` = windows not satisfied by 3 nodes";
        assert_eq!(said(&two).unwrap(), both);
        assert_eq!(said(&json!({"NodesEvaluated": 0})).unwrap(), "no node of the job's datacenters is ready");
    }
}
