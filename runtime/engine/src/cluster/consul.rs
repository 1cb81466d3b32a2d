//! What Consul says of services, and what that means for instances.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use drover_core::{FunctionName, InstanceId};
use serde::{Deserialize, Deserializer};

use super::state::Listed;
use crate::{Instance, InstanceState};

/// The tag of every service that is a function.
pub(super) const TAG: &str = "drover";
/// How Nomad begins the id of a service; the id of the allocation follows.
const NOMAD_PREFIX: &str = "_nomad-task-";
/// The length of an allocation's id.
const ALLOCATION_LENGTH: usize = 36;
/// So much of a failing check is shown.
const OUTPUT_MAX_CHARS: usize = 300;

/// The services with all their tags, as `/v1/catalog/services` has them.
pub(super) type Services = BTreeMap<String, Vec<String>>;

/// One entry of `/v1/health/service/NAME`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    node: Node,
    service: Service,
    #[serde(default, deserialize_with = "or_default")]
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "Node", default)]
    name: String,
    address: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: u16,
    #[serde(default)]
    create_index: u64,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    meta: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    name: String,
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    output: String,
}

/// Returns the names of the services that are functions.
pub(super) fn functions(services: Services) -> BTreeMap<FunctionName, ()> {
    let tagged = services.into_iter().filter(|(_, tags)| tags.iter().any(|tag| tag == TAG));
    tagged.filter_map(|(name, _)| Some((name.parse().ok()?, ()))).collect()
}

impl Entry {
    /// Returns the id of the allocation, if Nomad registered it, or else that of the service.
    pub(super) fn id(&self) -> InstanceId {
        let id = self.service.id.as_str();
        let allocation = id.strip_prefix(NOMAD_PREFIX).and_then(|rest| rest.get(..ALLOCATION_LENGTH));
        allocation.unwrap_or(id).into()
    }

    /// Returns where the service listens: at its node's address if it names none of its own.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let own = Some(self.service.address.as_str()).filter(|address| !address.is_empty());
        let ip: IpAddr = own.unwrap_or(&self.node.address).parse().ok()?;
        Some(SocketAddr::new(ip, self.service.port))
    }

    /// Returns the instance that this is; `was_ready` says whether it was seen ready before.
    pub(super) fn instance(self, function: &FunctionName, was_ready: bool) -> Listed {
        let (id, address) = (self.id(), self.address());
        let failing = self.checks.iter().find(|check| check.status != "passing");
        let (state, reason) = match (failing, address) {
            (None, Some(_)) => (InstanceState::Ready, None),
            (None, None) => {
                let host = format!("its address `{}` is not an IP address", self.service.address);
                (InstanceState::Unhealthy, Some(host))
            }
            (Some(check), _) if was_ready => (InstanceState::Unhealthy, Some(check.said())),
            (Some(check), _) => (InstanceState::Starting, Some(check.said())),
        };
        let node = Some(self.node.name).filter(|name| !name.is_empty());
        let instance = listed(id, function, address, self.service.meta);
        Listed {
            tags: self.service.tags,
            created: self.service.create_index,
            trusted_until: None,
            instance: Instance { state, reason, node, ..instance },
        }
    }
}

impl Check {
    fn said(&self) -> String {
        let output: String = self.output.trim().chars().take(OUTPUT_MAX_CHARS).collect();
        let what = if output.is_empty() { self.status.clone() } else { output };
        format!("check `{}`: {what}", self.name)
    }
}

/// Makes a ready instance of which only the catalog is known.
pub(super) fn listed(
    id: InstanceId,
    function: &FunctionName,
    address: Option<SocketAddr>,
    meta: BTreeMap<String, String>,
) -> Instance {
    Instance {
        id,
        function: function.clone(),
        index: 0,
        address,
        state: InstanceState::Ready,
        reason: None,
        restarts: 0,
        node: None,
        pid: None,
        meta,
    }
}

/// Go writes a list without elements as null.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ALLOCATION: &str = "4841dc30-03d0-f0ac-131f-00fdbc5b0c48";

    fn entry(address: &str, checks: &Value) -> Entry {
        let id = format!("_nomad-task-{ALLOCATION}-group-function-penguins-http");
        serde_json::from_value(json!({
            "Node": {"Node": "n1", "Address": "10.0.0.1"},
            "Service": {"ID": id, "Address": address, "Port": 80, "Tags": null, "Meta": {"slots": "4"}},
            "Checks": checks,
        }))
        .unwrap()
    }

    fn state(checks: &Value, was_ready: bool) -> (InstanceState, Option<String>) {
        let listed = entry("", checks).instance(&"penguins".parse().unwrap(), was_ready);
        (listed.instance.state, listed.instance.reason)
    }

    #[test]
    fn an_entry_becomes_an_instance() {
        let listed = entry("10.0.0.2", &json!([{"Name": "a", "Status": "passing", "Output": ""}]));
        let listed = listed.instance(&"penguins".parse().unwrap(), false);
        assert_eq!(listed.instance.id.as_str(), ALLOCATION);
        assert_eq!(listed.instance.address, Some("10.0.0.2:80".parse().unwrap()));
        assert_eq!(listed.instance.slots(), Some(4));
        assert_eq!(listed.instance.node.as_deref(), Some("n1"));
        assert_eq!(listed.instance.state, InstanceState::Ready);
        assert_eq!(entry("", &Value::Null).address(), Some("10.0.0.1:80".parse().unwrap()));
        assert_eq!(entry("some.host", &Value::Null).address(), None);
    }

    #[test]
    fn what_does_not_pass_starts_or_is_unhealthy_and_says_why() {
        let checks = json!([
            {"Name": "serf", "Status": "passing", "Output": "alive"},
            {"Name": "ready", "Status": "critical", "Output": "503 loading\n"},
        ]);
        let said = Some("check `ready`: 503 loading".to_owned());
        assert_eq!(state(&checks, false), (InstanceState::Starting, said.clone()));
        assert_eq!(state(&checks, true), (InstanceState::Unhealthy, said));
        let silent = json!([{"Name": "ready", "Status": "warning", "Output": ""}]);
        assert_eq!(state(&silent, true).1.as_deref(), Some("check `ready`: warning"));
    }

    #[test]
    fn functions_are_the_tagged_services_with_usable_names() {
        let services = json!({"penguins": ["drover", "a"], "nomad": ["http"], "Bad_Name": ["drover"]});
        let found = functions(serde_json::from_value(services).unwrap());
        assert_eq!(found.keys().map(FunctionName::as_str).collect::<Vec<_>>(), ["penguins"]);
    }
}
