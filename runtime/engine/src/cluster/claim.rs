//! Who holds the lock of the one that scales, and what to do about it. No clock and no socket.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::consul::or_default;

/// What a gateway writes into the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// Where other gateways reach it.
    pub(super) address: SocketAddr,
    /// Different for each process.
    pub(super) id: String,
}

/// The lock as `/v1/kv/KEY` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    #[serde(default, deserialize_with = "or_default")]
    session: String,
    #[serde(default, deserialize_with = "or_default")]
    value: String,
}

/// What to do about the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nobody holds it: try to.
    Acquire,
    /// It is ours.
    Lead,
    /// It was held by an earlier process at our own address, which is gone: free it.
    Free {
        /// The session of the earlier process.
        session: String,
    },
    /// Another gateway holds it.
    Follow {
        /// Its session.
        session: String,
        /// Where it listens, if the lock says so.
        leader: Option<SocketAddr>,
    },
}

/// Returns what to do about the lock, as `own` with `own_session` sees it.
pub(super) fn step(own: &Claim, own_session: &str, entry: Option<&Entry>) -> Step {
    let Some(entry) = entry.filter(|entry| !entry.session.is_empty()) else { return Step::Acquire };
    let session = entry.session.clone();
    if session == own_session {
        return Step::Lead;
    }
    match entry.claim() {
        Some(claim) if claim.address == own.address && claim.id != own.id => Step::Free { session },
        claim => Step::Follow { session, leader: claim.map(|claim| claim.address) },
    }
}

impl Entry {
    fn claim(&self) -> Option<Claim> {
        serde_json::from_slice(&STANDARD.decode(&self.value).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(port: u16, id: &str) -> Claim {
        Claim { address: SocketAddr::from(([127, 0, 0, 1], port)), id: id.into() }
    }

    fn entry(session: &str, claim: &Claim) -> Entry {
        let value = STANDARD.encode(serde_json::to_vec(claim).unwrap());
        let text = serde_json::json!({"Session": session, "Value": value}).to_string();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_holder_of_the_lock_has_its_step() {
        let own = claim(1, "a");
        let seen = |entry: &Entry| step(&own, "own", Some(entry));
        assert_eq!(step(&own, "own", None), Step::Acquire);
        assert_eq!(seen(&entry("", &claim(2, "b"))), Step::Acquire);
        assert_eq!(seen(&entry("own", &own)), Step::Lead);
        assert_eq!(seen(&entry("s", &claim(1, "b"))), Step::Free { session: "s".into() });
        let leader = Some(claim(2, "b").address);
        assert_eq!(seen(&entry("s", &claim(2, "b"))), Step::Follow { session: "s".into(), leader });
        // Our own lock of a session before this one: it ends by itself.
        assert!(matches!(seen(&entry("s", &own)), Step::Follow { .. }));
        let strange = Entry { session: "s".into(), value: "?".into() };
        assert_eq!(seen(&strange), Step::Follow { session: "s".into(), leader: None });
    }
}
