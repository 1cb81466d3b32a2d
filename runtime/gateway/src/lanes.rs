//! All functions and their lanes, in step with the catalog.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use drover_core::{ErrorKind, FunctionName};
use drover_engine::Snapshot;
use tokio::sync::Notify;

use crate::Settings;
use crate::backend::{Backend, Out};
use crate::error::Error;
use crate::lane::Lane;
use crate::metrics::Metrics;
use crate::route::{name_of_host, without_port};

/// The most functions whose names are compared with an unknown one.
const COMPARED_MAX: usize = 1000;

/// All functions and their lanes.
pub(crate) struct Lanes {
    settings: Settings,
    wake: Arc<Notify>,
    table: RwLock<Arc<Table>>,
}

#[derive(Default)]
struct Table {
    by_name: HashMap<FunctionName, Arc<Lane>>,
    /// Host names of functions' own, lower-case.
    by_host: HashMap<String, Arc<Lane>>,
}

impl Lanes {
    /// Begins with no function; `wake` is told when one needs its first instance.
    pub(crate) fn new(settings: Settings, wake: Arc<Notify>) -> Self {
        Self { settings, wake, table: RwLock::default() }
    }

    /// Follows what the catalog shows; returns the instances that must be asked whether they are ready.
    pub(crate) fn show(&self, snapshot: &Snapshot, metrics: &Metrics) -> Vec<(Arc<Lane>, Arc<Backend>, Out)> {
        let before = self.table();
        let (mut table, mut to_ask) = (Table::default(), Vec::new());
        // The feedback service is for gateways only.
        let service = self.settings.feedback.service.as_str();
        for (name, shown) in snapshot.functions.iter().filter(|(name, _)| name.as_str() != service) {
            let lane = before.by_name.get(name).cloned().unwrap_or_else(|| {
                Lane::new(name.clone(), self.settings.clone(), metrics.lane(name.as_str()), Arc::clone(&self.wake))
            });
            to_ask.extend(lane.show(shown).into_iter().map(|(backend, why)| (Arc::clone(&lane), backend, why)));
            table.by_host.extend(shown.hosts().map(|host| (host.to_ascii_lowercase(), Arc::clone(&lane))));
            table.by_name.insert(name.clone(), lane);
        }
        for (_, lane) in before.by_name.iter().filter(|(name, _)| !table.by_name.contains_key(*name)) {
            let _nobody_to_ask = lane.show(&Arc::default());
            lane.metrics.gone();
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        to_ask
    }

    /// Returns every lane, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        let mut all: Vec<_> = self.table().by_name.values().cloned().collect();
        all.sort_by(|a, b| a.function.cmp(&b.function));
        all
    }

    /// Returns the lane of the function called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownFunction`], which lists near names.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Lane>, Error> {
        let table = self.table();
        if let Some(lane) = table.by_name.get(name) {
            return Ok(Arc::clone(lane));
        }
        let shown: String = name.chars().take(80).collect();
        let mut near: Vec<_> = table
            .by_name
            .keys()
            .take(COMPARED_MAX)
            .map(|f| (strsim::damerau_levenshtein(f.as_str(), &shown), f.as_str()))
            .filter(|(distance, f)| *distance <= 2.max(f.len() / 3))
            .collect();
        near.sort_unstable();
        let near: Vec<_> = near.into_iter().take(3).map(|(_, f)| format!("`{f}`")).collect();
        let hint = if near.is_empty() { "see /api/functions".into() } else { format!("near: {}", near.join(", ")) };
        Err(Error::new(ErrorKind::UnknownFunction, format!("no function is called `{shown}`; {hint}")))
    }

    /// Returns the lane of the function that a host name stands for: one of its own, or its name below
    /// the domain.
    pub(crate) fn of_host(&self, host: &str) -> Option<Result<Arc<Lane>, Error>> {
        let table = self.table();
        if !table.by_host.is_empty()
            && let Some(lane) = table.by_host.get(&without_port(host).to_ascii_lowercase())
        {
            return Some(Ok(Arc::clone(lane)));
        }
        name_of_host(host, &self.settings.domain).map(|name| self.find(name))
    }

    /// Returns how many functions there are.
    pub(crate) fn len(&self) -> usize {
        self.table().by_name.len()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }
}
