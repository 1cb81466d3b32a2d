//! The answers that wait for a verdict: bounded in time and bytes, the oldest go first.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_core::feedback::Kept;
use drover_core::{FunctionName, RequestId};

/// What an answer takes besides its bytes: its id, its places in the maps.
const OVERHEAD_BYTES: usize = 512;

/// What a function has its gateway keep for verdicts: its service's meta `feedback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Keep {
    /// `off`, and whatever else is not one of the others.
    Nothing,
    /// `verdicts`: answers.
    Answers,
    /// `inputs`: answers, and what was asked.
    Inputs,
}

impl Keep {
    /// Returns what the meta of a service says.
    pub(crate) fn of(meta: &BTreeMap<String, String>) -> Self {
        match meta.get("feedback").map(String::as_str) {
            Some("verdicts") => Self::Answers,
            Some("inputs") => Self::Inputs,
            _ => Self::Nothing,
        }
    }
}

/// The same, read for each request and changed by the catalog.
#[derive(Debug)]
pub(crate) struct KeepCell(AtomicU8);

impl KeepCell {
    pub(crate) fn new(keep: Keep) -> Self {
        Self(AtomicU8::new(keep as u8))
    }

    pub(crate) fn set(&self, keep: Keep) {
        self.0.store(keep as u8, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Keep {
        match self.0.load(Ordering::Relaxed) {
            1 => Keep::Answers,
            2 => Keep::Inputs,
            _ => Keep::Nothing,
        }
    }
}

/// The answers that wait for a verdict.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    keep_for: Duration,
    max_bytes: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    by_id: HashMap<RequestId, Waiting>,
    /// All of them, the oldest first; one that was replaced is there still.
    in_order: VecDeque<(Instant, RequestId)>,
    n_bytes: usize,
}

/// An answer as it passed.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) function: FunctionName,
    pub(super) at_ms: u64,
    pub(super) input: Option<Bytes>,
    pub(super) answer: Bytes,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    passed: Passed,
}

impl Passed {
    fn n_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.answer.len() + self.input.as_ref().map_or(0, Bytes::len)
    }
}

impl Answers {
    /// Keeps answers for `keep_for`, at most `max_bytes` of them; none yet.
    pub(crate) fn new(keep_for: Duration, max_bytes: usize) -> Self {
        Self { keep_for, max_bytes, state: Arc::default() }
    }

    /// Keeps an answer; one that had the same id before is forgotten.
    pub(super) fn add(&self, id: RequestId, passed: Passed, now: Instant) {
        let mut state = self.state();
        state.n_bytes += passed.n_bytes();
        if let Some(before) = state.by_id.insert(id.clone(), Waiting { since: now, passed }) {
            state.n_bytes -= before.passed.n_bytes();
        }
        state.in_order.push_back((now, id));
        self.forget(&mut state, now);
    }

    /// Returns the answer to the request `id`, which goes on to wait: a user may think better of it.
    pub(crate) fn find(&self, id: &RequestId) -> Option<Kept> {
        let passed = {
            let mut state = self.state();
            self.forget(&mut state, Instant::now());
            state.by_id.get(id)?.passed.clone()
        };
        Some(Kept {
            function: passed.function,
            at_ms: passed.at_ms,
            input: passed.input.and_then(|input| serde_json::from_slice(&input).ok()),
            answer: serde_json::from_slice(&passed.answer).ok()?,
        })
    }

    /// Forgets the answer to the request `id`; returns whether there was one.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let Some(id) = RequestId::from_client(id.as_bytes()) else { return false };
        let mut state = self.state();
        let Some(waiting) = state.by_id.remove(&id) else { return false };
        state.n_bytes -= waiting.passed.n_bytes();
        true
    }

    /// Forgets what is too old, and the oldest while there is too much.
    pub(crate) fn sweep(&self) {
        self.forget(&mut self.state(), Instant::now());
    }

    fn forget(&self, state: &mut State, now: Instant) {
        while let Some((since, id)) = state.in_order.front() {
            let is_old = now.saturating_duration_since(*since) >= self.keep_for;
            let is_current = state.by_id.get(id).is_some_and(|waiting| waiting.since == *since);
            if is_current && !is_old && state.n_bytes <= self.max_bytes {
                return;
            }
            if is_current && let Some(gone) = state.by_id.remove(id) {
                state.n_bytes -= gone.passed.n_bytes();
            }
            state.in_order.pop_front();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(answer: &'static str) -> Passed {
        let function = "sentiment".parse().unwrap();
        Passed { function, at_ms: 7, input: Some(Bytes::from_static(b"{\"text\":\"x\"}")), answer: answer.into() }
    }

    fn id(text: &str) -> RequestId {
        RequestId::from_client(text.as_bytes()).unwrap()
    }

    #[test]
    fn answers_wait_until_they_are_too_old() {
        let (answers, now) = (Answers::new(Duration::from_secs(60), 1 << 20), Instant::now());
        answers.add(id("old"), passed("{}"), now.checked_sub(Duration::from_secs(61)).unwrap());
        answers.add(id("a"), passed("{\"prediction\":1}"), now);
        assert_eq!(answers.find(&id("old")), None);
        let found = answers.find(&id("a")).unwrap();
        assert_eq!((found.prediction().unwrap().as_str(), found.input.unwrap()["text"].as_str()), ("1", Some("x")));
        assert!(answers.remove("a") && !answers.remove("a"));
        assert_eq!(answers.find(&id("a")), None);
        assert_eq!(answers.state().n_bytes, 0);
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let (answers, now) = (Answers::new(Duration::from_secs(60), 2 * (OVERHEAD_BYTES + 14)), Instant::now());
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            answers.add(id(name), passed("{}"), now + Duration::from_millis(n as u64));
        }
        assert_eq!(answers.find(&id("a")), None);
        assert!(answers.find(&id("b")).is_some() && answers.find(&id("c")).is_some());
        // The same id again: the older answer is gone, and counts no more.
        answers.add(id("b"), passed("[]"), now + Duration::from_millis(9));
        assert_eq!(answers.find(&id("b")).unwrap().answer, serde_json::json!([]));
        assert!(answers.find(&id("c")).is_some());
        assert_eq!(answers.state().n_bytes, 2 * (OVERHEAD_BYTES + 14));
    }
}
