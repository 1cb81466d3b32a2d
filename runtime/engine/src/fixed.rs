//! Functions at addresses that a person wrote down: a catalog without any engine, for a gateway before
//! servers that something else runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drover_core::{FunctionName, InstanceId};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, ready};
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use crate::{
    Catalog, EngineKind, Function, FunctionStatus, Instance, InstanceState, LogLine, LogQuery, Resize, Scheduler,
    SchedulerError, Size, Snapshot,
};

/// How often host names are looked up again.
const LOOK_UP: Duration = Duration::from_secs(10);

/// A function at fixed addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedFunction {
    /// Where its instances listen: `host:port`. Of a host with several addresses, the first is taken.
    pub instances: Vec<String>,
    /// How many requests each takes at once; what the gateway assumes unless set.
    pub slots: Option<usize>,
    /// Whether the same request may be run twice.
    pub pure: bool,
    /// The host names that it answers to besides its own.
    pub hosts: Vec<String>,
}

/// Shows fixed functions. It neither starts nor stops anything.
#[derive(Debug)]
pub struct Fixed {
    functions: BTreeMap<FunctionName, FixedFunction>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Fixed {
    /// Looks the addresses of `functions` up, and again every 10 s until it is dropped. An instance whose
    /// host is not known is unhealthy until it is.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn start(functions: BTreeMap<FunctionName, FixedFunction>) -> Arc<Self> {
        let fixed = Arc::new(Self { functions, snapshot: watch::Sender::new(Arc::default()) });
        fixed.look_up().await;
        tokio::spawn(follow(Arc::downgrade(&fixed)));
        fixed
    }

    async fn look_up(&self) {
        let all = self.functions.iter().map(|(name, function)| async move {
            let instances =
                function.instances.iter().zip(0..).map(|(address, index)| instance(name, function, address, index));
            let instances = join_all(instances).await.into_iter().map(Arc::new).collect();
            (name.clone(), Arc::new(described(function, instances)))
        });
        let functions = join_all(all).await.into_iter().collect();
        let new = Arc::new(Snapshot { functions, lost: None });
        self.snapshot.send_if_modified(|old| {
            let differs = **old != *new;
            *old = new;
            differs
        });
    }
}

impl Catalog for Fixed {
    fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }
}

impl Scheduler for Fixed {
    fn scale<'a>(&'a self, function: &'a FunctionName, _: u32) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        ready(Err(self.refusal(function))).boxed()
    }

    fn resize<'a>(
        &'a self,
        function: &'a FunctionName,
        _: Size,
        _: Resize,
    ) -> BoxFuture<'a, Result<u64, SchedulerError>> {
        ready(Err(self.refusal(function))).boxed()
    }

    fn stop<'a>(&'a self, function: &'a FunctionName) -> BoxFuture<'a, Result<(), SchedulerError>> {
        ready(Err(self.refusal(function))).boxed()
    }

    fn status(&self) -> BoxFuture<'_, Result<Vec<FunctionStatus>, SchedulerError>> {
        let status = |(name, function): (&FunctionName, &FixedFunction)| {
            let count = u32::try_from(function.instances.len()).unwrap_or(u32::MAX);
            FunctionStatus {
                function: name.clone(),
                engine: EngineKind::Fixed,
                size: None,
                count,
                version: 0,
                min: count,
                max: count,
                policy: BTreeMap::new(),
                scales: false,
                trouble: None,
            }
        };
        ready(Ok(self.functions.iter().map(status).collect())).boxed()
    }

    fn logs<'a>(
        &'a self,
        function: &'a FunctionName,
        _: LogQuery,
    ) -> BoxFuture<'a, Result<BoxStream<'static, LogLine>, SchedulerError>> {
        ready(Err(self.refusal(function))).boxed()
    }
}

impl Fixed {
    fn refusal(&self, function: &FunctionName) -> SchedulerError {
        if !self.functions.contains_key(function) {
            return SchedulerError::UnknownFunction(function.clone());
        }
        SchedulerError::Refused(format!("`{function}` has fixed instances, which something else runs"))
    }
}

async fn follow(fixed: Weak<Fixed>) {
    loop {
        tokio::time::sleep(LOOK_UP).await;
        let Some(fixed) = fixed.upgrade() else { return };
        fixed.look_up().await;
    }
}

fn described(function: &FixedFunction, instances: Vec<Arc<Instance>>) -> Function {
    let tags = function.hosts.iter().map(|host| format!("host={host}")).collect();
    Function { instances, tags, meta: meta(function) }
}

fn meta(function: &FixedFunction) -> BTreeMap<String, String> {
    let slots = function.slots.map(|slots| ("slots".to_owned(), slots.to_string()));
    let pure = function.pure.then(|| ("pure".to_owned(), "true".to_owned()));
    slots.into_iter().chain(pure).collect()
}

async fn instance(name: &FunctionName, function: &FixedFunction, address: &str, index: u32) -> Instance {
    let found = match tokio::net::lookup_host(address).await {
        Ok(mut all) => all.next().ok_or_else(|| format!("`{address}` has no address")),
        Err(e) => Err(format!("`{address}` cannot be looked up: {e}")),
    };
    let (address, state, reason): (Option<SocketAddr>, _, _) = match found {
        Ok(found) => (Some(found), InstanceState::Ready, None),
        Err(why) => (None, InstanceState::Unhealthy, Some(why)),
    };
    Instance {
        // Also its place in the list, so that the id does not change with what is looked up.
        id: InstanceId::from(format!("{name}-{index}").as_str()),
        function: name.clone(),
        index,
        address,
        state,
        reason,
        restarts: 0,
        node: None,
        pid: None,
        meta: meta(function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(instances: &[&str]) -> BTreeMap<FunctionName, FixedFunction> {
        let function = FixedFunction {
            instances: instances.iter().map(|&i| i.into()).collect(),
            slots: Some(3),
            pure: true,
            hosts: vec!["my.own.api".into()],
        };
        [("penguins".parse().unwrap(), function)].into()
    }

    #[tokio::test]
    async fn a_fixed_function_is_shown_as_it_was_written() {
        let fixed = Fixed::start(functions(&["127.0.0.1:9001", "localhost:9002", "no-such-host.invalid:1"])).await;
        let snapshot = Arc::clone(&fixed.watch().borrow());
        let function = &snapshot.functions["penguins"];
        assert!(function.is_pure());
        assert_eq!(function.hosts().collect::<Vec<_>>(), ["my.own.api"]);
        let shown: Vec<_> = function.instances.iter().map(|i| (i.slots(), i.address, i.state)).collect();
        assert_eq!(shown[0], (Some(3), Some("127.0.0.1:9001".parse().unwrap()), InstanceState::Ready));
        assert_eq!((shown[1].1.unwrap().port(), shown[1].2), (9002, InstanceState::Ready));
        assert_eq!((shown[2].1, shown[2].2), (None, InstanceState::Unhealthy));
        assert!(function.instances[2].reason.as_deref().unwrap().contains("no-such-host.invalid"));
    }

    #[tokio::test]
    async fn what_something_else_runs_is_not_scaled() {
        let fixed = Fixed::start(functions(&["127.0.0.1:9001", "127.0.0.1:9002"])).await;
        let (known, other) = ("penguins".parse().unwrap(), "iris".parse().unwrap());
        assert!(matches!(fixed.scale(&known, 1).await, Err(SchedulerError::Refused(_))));
        assert!(matches!(fixed.stop(&known).await, Err(SchedulerError::Refused(_))));
        assert_eq!(fixed.scale(&other, 1).await, Err(SchedulerError::UnknownFunction(other)));
        let status = fixed.status().await.unwrap();
        assert_eq!((status[0].count, status[0].scales), (2, false));
    }
}
