//! The other gateways, as Consul lists them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::api::{Api, Ask};
use super::blocking::Query;
use super::consul::Entry;
use crate::Party;

/// Shows who leads and who else is there.
#[derive(Debug)]
pub(super) struct PartyBoard(watch::Sender<Arc<Party>>);

impl PartyBoard {
    /// Knows of no other gateway yet.
    pub(super) fn new(leads: bool) -> Self {
        Self(watch::Sender::new(Arc::new(Party { leads, leader: None, others: Vec::new() })))
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Party>> {
        self.0.subscribe()
    }

    /// Notes that this gateway leads.
    pub(super) fn leads(&self) {
        self.change(|party| (party.leads, party.leader) = (true, None));
    }

    /// Notes that this gateway does not lead, and who does.
    pub(super) fn follows(&self, leader: Option<SocketAddr>) {
        self.change(|party| (party.leads, party.leader) = (false, leader));
    }

    fn others(&self, others: Vec<SocketAddr>) {
        self.change(|party| party.others = others);
    }

    fn change(&self, change: impl FnOnce(&mut Party)) {
        self.0.send_if_modified(|party| {
            let mut new = Party::clone(party);
            change(&mut new);
            let is_new = new != **party;
            if is_new {
                if new.leads != party.leads {
                    tracing::info!(leads = new.leads, "whether this gateway scales has changed");
                }
                *party = Arc::new(new);
            }
            is_new
        });
    }
}

/// Follows which other gateways are ready; while Consul cannot be asked, those known last count.
pub(super) async fn others(board: Arc<PartyBoard>, consul: Api, service: String, own: SocketAddr) {
    let mut query = Query::new(&consul, Ask::new(&["v1", "health", "service", &service]).with("passing", "1"));
    loop {
        if let Ok(entries) = query.next::<Vec<Entry>>().await {
            let addresses = entries.iter().flatten().filter_map(Entry::address);
            let mut others: Vec<_> = addresses.filter(|address| *address != own).collect();
            others.sort_unstable();
            others.dedup();
            board.others(others);
        }
    }
}
