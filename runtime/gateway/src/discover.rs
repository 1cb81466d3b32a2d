//! Where Prometheus finds what it scrapes: the answer to its `http_sd_configs`.

use std::collections::BTreeMap;

use drover_engine::{Instance, InstanceState};
use http::{Request, header};
use serde::Serialize;

use crate::gateway::Gateway;

/// Where the kernel says what this machine is called.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// Servers that have the same labels.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Targets {
    targets: Vec<String>,
    labels: BTreeMap<&'static str, String>,
}

impl Gateway {
    /// Returns all instances that can be scraped, and the gateways: this one by the address at which it was asked.
    pub(crate) fn targets<B>(&self, request: &Request<B>, is_tls: bool) -> Vec<Targets> {
        let asked = request.uri().authority().map(http::uri::Authority::as_str);
        let asked = asked.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        let node = std::fs::read_to_string(HOSTNAME).ok().map(|name| name.trim().to_owned());
        let others = self.peers.watch().borrow().others.iter().map(ToString::to_string).collect();
        let own = gateways(asked.map(str::to_owned).into_iter().collect(), node, is_tls);
        let instances = self.snapshot();
        let all =
            [own, gateways(others, None, is_tls)].into_iter().chain(instances.all_instances().filter_map(|i| of(i)));
        let feedback = self.settings.feedback.url.as_deref().and_then(|url| url.split_once("://")).map(service);
        all.chain(feedback).filter(|found| !found.targets.is_empty()).collect()
    }
}

fn gateways(targets: Vec<String>, node: Option<String>, is_tls: bool) -> Targets {
    let scheme = if is_tls { "https" } else { "http" };
    let mut labels = BTreeMap::from([("job", "gateways".to_owned()), ("__scheme__", scheme.to_owned())]);
    labels.extend(node.map(|node| ("node", node)));
    Targets { targets, labels }
}

/// The feedback service, where the settings and not the catalog say where it is.
fn service((scheme, address): (&str, &str)) -> Targets {
    let labels = BTreeMap::from([("job", "feedback".to_owned()), ("__scheme__", scheme.to_owned())]);
    Targets { targets: vec![address.to_owned()], labels }
}

/// Nothing that has no address yet, or that has ended for good.
fn of(instance: &Instance) -> Option<Targets> {
    let address = instance.address.filter(|_| instance.state != InstanceState::Failed)?;
    let mut labels = BTreeMap::from([
        ("job", "functions".to_owned()),
        ("function", instance.function.to_string()),
        ("instance", instance.id.to_string()),
    ]);
    labels.extend(instance.version().map(|version| ("version", version.to_owned())));
    labels.extend(instance.node.clone().map(|node| ("node", node)));
    Some(Targets { targets: vec![address.to_string()], labels })
}
