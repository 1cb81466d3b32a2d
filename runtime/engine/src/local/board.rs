//! The catalog of this machine.

use std::sync::Arc;

use drover_core::{FunctionName, InstanceId};
use tokio::sync::watch;

use crate::{Function, Instance, Snapshot};

/// Shows who runs here; every change makes a new snapshot.
#[derive(Debug)]
pub(crate) struct Board {
    sender: watch::Sender<Arc<Snapshot>>,
}

impl Board {
    /// Shows nothing yet.
    pub(crate) fn new() -> Self {
        Self { sender: watch::Sender::new(Arc::default()) }
    }

    /// Returns a view of it.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.sender.subscribe()
    }

    /// Shows a function that has no instances yet.
    pub(crate) fn add(&self, function: &FunctionName, shown: Function) {
        self.sender.send_modify(|snapshot| {
            Arc::make_mut(snapshot).functions.entry(function.clone()).or_insert_with(|| Arc::new(shown));
        });
    }

    /// Shows an instance as it is now.
    pub(crate) fn set(&self, instance: Instance) {
        self.sender.send_modify(|snapshot| {
            let entry = Arc::make_mut(snapshot).functions.entry(instance.function.clone()).or_default();
            let all = &mut Arc::make_mut(entry).instances;
            match all.iter_mut().find(|i| i.id == instance.id) {
                Some(place) => *place = Arc::new(instance),
                None => {
                    all.push(Arc::new(instance));
                    all.sort_by_key(|i| i.index);
                }
            }
        });
    }

    /// Shows an instance no more.
    pub(crate) fn remove(&self, function: &FunctionName, id: &InstanceId) {
        self.sender.send_modify(|snapshot| {
            if let Some(entry) = Arc::make_mut(snapshot).functions.get_mut(function) {
                Arc::make_mut(entry).instances.retain(|i| i.id != *id);
            }
        });
    }
}
