//! What gateways ask each other: the load of each, and that the one that scales looks at once. Both are
//! counts only, so they need no key.

use std::collections::BTreeMap;

use drover_core::{ErrorKind, FunctionName};
use http::Response;
use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::error::Error;
use crate::gateway::Gateway;
use crate::lane::Lane;

/// The load of one gateway, by function.
pub(crate) type PeerLoads = BTreeMap<FunctionName, PeerLoad>;

/// The load of one function at one gateway, since that gateway began.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct PeerLoad {
    /// Requests, running or waiting, times seconds.
    pub(crate) request_seconds: f64,
    /// Requests that came.
    pub(crate) n_requests: u64,
    /// Requests that run or wait now.
    pub(crate) n_inside: usize,
    /// Requests that wait now.
    pub(crate) n_waiting: usize,
    /// When that is, on the gateway's own clock.
    pub(crate) at_s: f64,
}

impl Gateway {
    /// Answers another gateway.
    pub(crate) fn peer(&self, below: &str) -> Result<Response<Body>, Error> {
        match below {
            "load" => {
                let all = self.lanes.all();
                let loads: PeerLoads = all.iter().map(|l| (l.function.clone(), self.load_of(l))).collect();
                Ok(crate::api::json(&loads))
            }
            "wake" => {
                self.wake.notify_one();
                Ok(crate::api::json(&serde_json::json!({})))
            }
            _ => Err(Error::new(ErrorKind::UnknownRoute, format!("nothing is at `/peer/{below}`"))),
        }
    }

    /// Returns the load of a function here.
    pub(crate) fn load_of(&self, lane: &Lane) -> PeerLoad {
        let load = lane.load();
        PeerLoad {
            request_seconds: load.request_seconds,
            n_requests: load.n_requests,
            n_inside: load.n_inside,
            n_waiting: load.n_waiting,
            at_s: self.born.elapsed().as_secs_f64(),
        }
    }
}
