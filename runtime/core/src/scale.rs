//! How many instances a function needs: a decision from numbers, with no clock and no socket of its own.
//!
//! The rule is that of the Knative Pod Autoscaler (knative/serving, `pkg/autoscaler/scaling/autoscaler.go`):
//! the load of a long, stable window over the target of one instance, and of a short one in panic, when the
//! instances that are ready could not carry what came in. What is ours: buckets are weighted by time, the last
//! instance has a delay of its own, and the windows begin anew when a function wakes.
//!
//! [`Scaler::decide`] is called about once a second, and at once when a request waits and there is no instance.

mod policy;
mod reason;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

pub use policy::{Policy, Target};
pub use reason::{Load, Reason};
use window::Windows;

/// Divisions that come out whole but for rounding must not ask for one instance more.
const ROUNDING: f64 = 1e-9;

/// How few and how many instances a function may have: `scaling { min max }` of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least; 0 lets the function sleep.
    pub min: u32,
    /// The most. It wins over `min`.
    pub max: u32,
}

/// What is known of a function at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Time since any start that stays the same; an earlier time than the last one counts as that one.
    pub now: Duration,
    /// Invocations that run or wait, summed over all gateways.
    pub in_flight: f64,
    /// Invocations that ever arrived, summed over all gateways.
    pub requests_total: u64,
    /// Invocations that wait for a slot.
    pub waiting: u64,
    /// Slots of one instance; 0 counts as 1.
    pub slots: u32,
    /// Instances that answer.
    pub n_ready: u32,
    /// Instances that the scheduler is asked for now.
    pub count: u32,
    /// What the job allows.
    pub bounds: Bounds,
}

/// How many instances there should be, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// Instances to ask the scheduler for; always within the bounds.
    pub wanted: u32,
    /// What decided.
    pub reason: Reason,
    /// Whether the function is in panic, which never takes instances away.
    pub panic: bool,
    /// Average load over the stable window, in the unit of the target.
    pub stable: f64,
    /// Average load over the panic window, in the unit of the target.
    pub recent: f64,
    /// Load that one instance should carry, in flight or requests per second.
    pub target: f64,
}

/// The scaling of one function, with the load that it has seen.
#[derive(Debug, Clone)]
pub struct Scaler {
    policy: Policy,
    windows: Windows,
    last: Option<Last>,
    panic: Option<Panic>,
    /// Counts that were decided within the scale-down delay, the highest first; later ones are lower.
    decided: VecDeque<(Duration, u32)>,
    sleeps: bool,
}

/// What outlasts one decision.
#[derive(Debug, Clone, Copy)]
struct Last {
    now: Duration,
    requests_total: u64,
    /// When something was in flight or arrived.
    busy: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Panic {
    /// When the load was last over the threshold.
    over: Duration,
    /// The highest count of this panic.
    floor: u32,
}

/// A count on its way through the limits.
struct Plan {
    wanted: u32,
    reason: Reason,
}

impl Plan {
    /// Changes the count, and the reason with it; a limit that changes nothing is no reason.
    fn change(&mut self, wanted: u32, reason: Reason) {
        if wanted != self.wanted {
            *self = Self { wanted, reason };
        }
    }
}

impl Scaler {
    /// Begins with nothing seen.
    ///
    /// If more than one instance is asked for at the first decision, none is taken away within the first stable
    /// window: whoever takes over from another must see the load first.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, windows: Windows::default(), last: None, panic: None, decided: VecDeque::new(), sleeps: false }
    }

    /// Returns the policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides by another policy from now on; the load that was seen is kept.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Returns how many instances there should be now.
    pub fn decide(&mut self, input: Input) -> Decision {
        let now = self.last.map_or(input.now, |last| last.now.max(input.now));
        let is_asked = input.waiting > 0 || input.in_flight > 0.0;
        let silence = self.observe(now, is_asked, &input);

        let target = self.policy.per_instance(input.slots);
        let stable = self.average(now, self.policy.stable_window, input.in_flight);
        let recent = self.average(now, self.policy.panic_window, input.in_flight);
        let long = self.load(stable, self.policy.stable_window, target);
        let short = self.load(recent, self.policy.panic_window, target);

        let mut plan = if input.count == 0 && !is_asked {
            self.rest();
            Plan { wanted: 0, reason: Reason::Asleep }
        } else {
            let is_over = needed(short) / ready(&input) >= self.policy.panic_threshold;
            self.mind_panic(now, is_over, input.count);
            let is_silent = !is_asked && silence >= self.policy.zero_after;
            let may_sleep = is_silent && input.bounds.min == 0 && self.panic.is_none();
            let mut plan = if may_sleep { self.fall_asleep(&input) } else { self.follow(long, short, &input) };
            if !may_sleep && plan.wanted == 0 {
                let zero_after = (input.bounds.min == 0).then_some(self.policy.zero_after);
                plan.change(1, Reason::LastInstance { silence, zero_after });
            }
            if input.count == 0 && plan.wanted == 1 {
                plan.reason = Reason::Wakes;
            }
            self.delay(now, &mut plan);
            plan
        };
        let Bounds { min, max } = input.bounds;
        plan.change(plan.wanted.max(min), Reason::BoundMin { min });
        plan.change(plan.wanted.min(max), Reason::BoundMax { max });
        self.sleeps = plan.wanted == 0;
        Decision { wanted: plan.wanted, reason: plan.reason, panic: self.panic.is_some(), stable, recent, target }
    }

    /// Takes note of the load; returns how long nothing was in flight and nothing arrived.
    fn observe(&mut self, now: Duration, is_asked: bool, input: &Input) -> Duration {
        if is_asked && input.count == 0 && self.sleeps {
            // The silence before says nothing about the load that comes now.
            self.windows = Windows::default();
            self.rest();
            self.sleeps = false;
        }
        if self.last.is_none() && input.count > 1 {
            self.panic = Some(Panic { over: now, floor: input.count });
        }
        self.windows.observe(now, input.in_flight, input.requests_total, self.policy.stable_window);
        // A total that fell is a gateway that began anew: that nothing arrived there is not known.
        let is_busy = |last: &Last| is_asked || last.requests_total != input.requests_total;
        let busy = self.last.filter(|last| !is_busy(last)).map_or(now, |last| last.busy);
        self.last = Some(Last { now, requests_total: input.requests_total, busy });
        now.saturating_sub(busy)
    }

    /// Forgets what would keep instances that are gone.
    fn rest(&mut self) {
        self.panic = None;
        self.decided.clear();
    }

    fn average(&self, now: Duration, window: Duration, in_flight: f64) -> f64 {
        match self.policy.target {
            Target::InFlight(_) => self.windows.in_flight(now, window).unwrap_or(in_flight),
            Target::RequestsPerSecond(_) => self.windows.requests_per_second(now, window),
        }
    }

    fn load(&self, average: f64, window: Duration, target: f64) -> Load {
        Load { average, window, target, is_rate: matches!(self.policy.target, Target::RequestsPerSecond(_)) }
    }

    /// Begins, prolongs and ends a panic.
    fn mind_panic(&mut self, now: Duration, is_over: bool, count: u32) {
        match &mut self.panic {
            None if is_over => self.panic = Some(Panic { over: now, floor: count }),
            Some(panic) if is_over => panic.over = now,
            Some(panic) if now.saturating_sub(panic.over) >= self.policy.stable_window => self.panic = None,
            _ => {}
        }
    }

    /// Returns the count that the load asks for, within the rates.
    fn follow(&mut self, long: Load, short: Load, input: &Input) -> Plan {
        let mut plan = self.within_rates(Plan { wanted: whole(needed(long)), reason: Reason::Load(long) }, input);
        if let Some(Panic { over, floor }) = self.panic {
            let panic = self.within_rates(Plan { wanted: whole(needed(short)), reason: Reason::Panic(short) }, input);
            plan.change(plan.wanted.max(panic.wanted), panic.reason);
            // What the bounds refuse was never a count of this panic.
            let floor = floor.max(plan.wanted.min(input.bounds.max));
            plan.change(plan.wanted.max(floor), Reason::PanicHolds { count: floor, window: long.window });
            self.panic = Some(Panic { over, floor });
        }
        plan
    }

    /// Returns the way to 0 after silence.
    fn fall_asleep(&self, input: &Input) -> Plan {
        self.within_rates(Plan { wanted: 0, reason: Reason::Idle { zero_after: self.policy.zero_after } }, input)
    }

    fn within_rates(&self, mut plan: Plan, input: &Input) -> Plan {
        let Policy { max_scale_up_rate: up, max_scale_down_rate: down, .. } = self.policy;
        let n_ready = input.n_ready.max(1);
        // Rounded so that one instance more, or less, is always within reach.
        plan.change(plan.wanted.min(whole((ready(input) * up).ceil())), Reason::RateUp { rate: up, n_ready });
        plan.change(plan.wanted.max(whole((ready(input) / down).floor())), Reason::RateDown { rate: down, n_ready });
        plan
    }

    /// Keeps the highest count of the scale-down delay; the last instance has its own delay.
    fn delay(&mut self, now: Duration, plan: &mut Plan) {
        let delay = self.policy.scale_down_delay;
        while self.decided.back().is_some_and(|&(_, count)| count <= plan.wanted) {
            self.decided.pop_back();
        }
        self.decided.push_back((now, plan.wanted));
        while self.decided.front().is_some_and(|&(at, _)| now.saturating_sub(at) > delay) {
            self.decided.pop_front();
        }
        let highest = self.decided.front().map_or(plan.wanted, |&(_, count)| count);
        if !delay.is_zero() && highest > 1 {
            plan.change(highest, Reason::Delayed { delay, wanted: plan.wanted });
        }
    }
}

/// Returns the instances that ready ones are compared with.
fn ready(input: &Input) -> f64 {
    f64::from(input.n_ready.max(1))
}

/// Returns the instances that `load` needs, a whole number.
fn needed(load: Load) -> f64 {
    (load.average / load.target - ROUNDING).ceil().max(0.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and within the range")]
fn whole(count: f64) -> u32 {
    count.clamp(0.0, f64::from(u32::MAX)) as u32
}
