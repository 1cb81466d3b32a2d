//! What a server lists, with patience for one that comes back and has forgotten. No clock: the caller says
//! what time it is.

use std::collections::BTreeMap;

use std::time::Duration;

use tokio::time::Instant;

/// How long something is kept that was known before an outage and is not listed after it: a Consul without
/// stored state hears from Nomad what runs within half a minute.
pub(super) const GRACE: Duration = Duration::from_secs(40);

/// A list that is known only as well as its server can be asked.
#[derive(Debug)]
pub(super) struct Roster<K, V> {
    listed: BTreeMap<K, V>,
    /// Known before the last outage, not listed since, and until when it is kept.
    kept: BTreeMap<K, (V, Instant)>,
    is_lost: bool,
}

impl<K, V> Default for Roster<K, V> {
    fn default() -> Self {
        Self { listed: BTreeMap::new(), kept: BTreeMap::new(), is_lost: false }
    }
}

impl<K: Ord + Clone, V> Roster<K, V> {
    /// Notes that the server could not be asked.
    pub(super) fn lost(&mut self) {
        self.is_lost = true;
    }

    /// Notes what the server lists.
    pub(super) fn answered(&mut self, now: Instant, found: BTreeMap<K, V>) {
        let before = std::mem::replace(&mut self.listed, found);
        if std::mem::take(&mut self.is_lost) {
            self.kept.extend(before.into_iter().map(|(key, value)| (key, (value, now + GRACE))));
        }
        self.kept.retain(|key, _| !self.listed.contains_key(key));
    }

    /// Drops what was kept for long enough; returns whether that is anything.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let n_before = self.kept.len();
        // A server that cannot be asked again cannot list anything.
        if !self.is_lost {
            self.kept.retain(|_, (_, until)| *until > now);
        }
        self.kept.len() < n_before
    }

    /// Returns whether `key` was not listed since the last outage.
    pub(super) fn is_unsure(&self, key: &K) -> bool {
        self.is_lost || self.kept.contains_key(key)
    }

    /// Returns everything that counts as listed, in the order of the keys within each part.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.listed.iter().chain(self.kept.iter().map(|(key, (value, _))| (key, value)))
    }

    /// Returns the same, to change it.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.listed.values_mut().chain(self.kept.values_mut().map(|(value, _)| value))
    }

    /// Returns one of them.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.listed.get(key).or_else(|| self.kept.get(key).map(|(value, _)| value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&'static str]) -> BTreeMap<&'static str, ()> {
        names.iter().map(|name| (*name, ())).collect()
    }

    fn shown(roster: &Roster<&'static str, ()>) -> String {
        let mut names: Vec<_> = roster.iter().map(|(name, ())| *name).collect();
        names.sort_unstable();
        names.concat()
    }

    #[test]
    fn without_an_outage_what_is_not_listed_is_gone() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.answered(now, list(&["a", "b"]));
        roster.answered(now, list(&["b", "c"]));
        assert_eq!(shown(&roster), "bc");
    }

    #[test]
    fn after_an_outage_what_was_known_has_time_to_come_back() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.answered(now, list(&["a", "b"]));
        roster.lost();
        assert_eq!(shown(&roster), "ab");
        roster.answered(now, list(&[]));
        assert_eq!(shown(&roster), "ab");
        roster.answered(now, list(&["b", "c"]));
        assert_eq!(shown(&roster), "abc", "each once");
        assert!(!roster.expire(now + GRACE / 2));
        // What came back leaves like any other.
        roster.answered(now, list(&["c"]));
        assert_eq!(shown(&roster), "ac");
        assert!(roster.expire(now + GRACE));
        assert_eq!(shown(&roster), "c");
    }

    #[test]
    fn nothing_expires_while_nobody_can_be_asked() {
        let (mut roster, now) = (Roster::default(), Instant::now());
        roster.answered(now, list(&["a"]));
        roster.lost();
        roster.answered(now, list(&[]));
        roster.lost();
        assert!(!roster.expire(now + 10 * GRACE));
        assert_eq!(shown(&roster), "a");
    }
}
