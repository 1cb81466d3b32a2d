//! A gateway with one queue, and instances that start, serve and leave.

use std::collections::VecDeque;
use std::time::Duration;

use crate::SLOTS;
use crate::rule::{Answer, Rule, Seen};
use crate::trace::{Arrival, Trace};

const STEP_MS: u8 = 10;
const START_MS: u64 = 500;
const DEADLINE_MS: u64 = 30_000;

/// What came of one trace under one rule.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) seconds: Vec<Second>,
    /// How long each request waited for a slot, in order of length; one that failed waited until then.
    pub(crate) waits_ms: Vec<u64>,
    /// Requests that waited until their deadline.
    pub(crate) n_failed: usize,
    /// Milliseconds of instances, from being asked for to being gone.
    pub(crate) instance_ms: u64,
}

/// What is seen at the end of a second.
pub(crate) struct Second {
    pub(crate) n_ready: u32,
    pub(crate) wanted: u32,
    pub(crate) waiting: u32,
    pub(crate) in_flight: u32,
}

struct Instance {
    ready_ms: u64,
    /// When each slot in use becomes free.
    ends_ms: Vec<u64>,
    is_leaving: bool,
}

impl Instance {
    fn is_ready(&self, now_ms: u64) -> bool {
        !self.is_leaving && self.ready_ms <= now_ms
    }
}

/// Plays `trace`; what still waits at its end has waited until then.
pub(crate) fn run(trace: &Trace, mut rule: Rule) -> Run {
    let arrivals = trace.arrivals();
    let mut next = arrivals.iter().peekable();
    let mut run = Run::default();
    let mut instances: Vec<Instance> = Vec::new();
    let mut queue: VecDeque<Arrival> = VecDeque::new();
    let mut requests_total = 0;
    let mut answer = Answer::default();
    let end_ms = trace.seconds.len() as u64 * 1000;
    for now_ms in (0..end_ms).step_by(STEP_MS.into()) {
        for instance in &mut instances {
            instance.ends_ms.retain(|&end| end > now_ms);
        }
        instances.retain(|instance| !(instance.is_leaving && instance.ends_ms.is_empty()));
        while let Some(arrival) = next.next_if(|arrival| arrival.at_ms <= now_ms) {
            requests_total += 1;
            queue.push_back(*arrival);
        }
        while queue.front().is_some_and(|arrival| now_ms - arrival.at_ms >= DEADLINE_MS) {
            queue.pop_front();
            run.waits_ms.push(DEADLINE_MS);
            run.n_failed += 1;
        }
        hand_out(&mut queue, &mut instances, now_ms, &mut run.waits_ms);

        let is_second = now_ms % 1000 == 0;
        if is_second || (rule.wakes() && answer.count == 0 && !queue.is_empty()) {
            let waiting = number(queue.len());
            let in_flight = waiting + number(instances.iter().map(|i| i.ends_ms.len()).sum());
            let n_ready = number(instances.iter().filter(|i| i.is_ready(now_ms)).count());
            let (now, count) = (Duration::from_millis(now_ms), answer.count);
            answer = rule.decide(&Seen { now, in_flight, waiting, requests_total, n_ready, count });
            scale(&mut instances, answer.count, now_ms);
            if is_second {
                run.seconds.push(Second { n_ready, wanted: answer.wanted, waiting, in_flight });
            }
        }
        run.instance_ms += instances.len() as u64 * u64::from(STEP_MS);
    }
    run.waits_ms.extend(queue.iter().map(|arrival| end_ms - arrival.at_ms));
    run.waits_ms.sort_unstable();
    run
}

/// Gives what waits, the first first, to the instance with the most free slots.
fn hand_out(queue: &mut VecDeque<Arrival>, instances: &mut [Instance], now_ms: u64, waits_ms: &mut Vec<u64>) {
    while !queue.is_empty() {
        let free = |i: &&mut Instance| i.is_ready(now_ms) && number(i.ends_ms.len()) < SLOTS;
        let Some(instance) = instances.iter_mut().filter(free).min_by_key(|i| i.ends_ms.len()) else { return };
        if let Some(arrival) = queue.pop_front() {
            waits_ms.push(now_ms - arrival.at_ms);
            instance.ends_ms.push(now_ms + arrival.service_ms);
        }
    }
}

/// Starts instances, or lets the least busy finish what they have and leave.
fn scale(instances: &mut Vec<Instance>, count: u32, now_ms: u64) {
    let mut n = number(instances.iter().filter(|i| !i.is_leaving).count());
    while n < count {
        instances.push(Instance { ready_ms: now_ms + START_MS, ends_ms: Vec::new(), is_leaving: false });
        n += 1;
    }
    while n > count {
        if let Some(instance) = instances.iter_mut().filter(|i| !i.is_leaving).min_by_key(|i| i.ends_ms.len()) {
            instance.is_leaving = true;
        }
        n -= 1;
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
