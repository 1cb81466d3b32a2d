use proptest::prelude::*;

use super::*;

/// Ten slots, of which seven are aimed at.
const SLOTS: u32 = 10;
const ANY: Bounds = Bounds { min: 0, max: 100 };

/// A function whose instances come and go as soon as they are asked for.
struct World {
    scaler: Scaler,
    now: Duration,
    requests_total: u64,
    count: u32,
    bounds: Bounds,
}

impl World {
    fn new(policy: Policy, count: u32, bounds: Bounds) -> Self {
        Self { scaler: Scaler::new(policy), now: Duration::from_secs(1000), requests_total: 0, count, bounds }
    }

    fn input(&self, in_flight: f64) -> Input {
        let Self { now, requests_total, count, bounds, .. } = *self;
        let waiting = if count == 0 { u64::from(whole(in_flight.ceil())) } else { 0 };
        Input { now, in_flight, requests_total, waiting, slots: SLOTS, n_ready: count, count, bounds }
    }

    /// Lets `millis` pass, after which so much is in flight and so many more arrived.
    fn step(&mut self, millis: u64, in_flight: f64, arrived: u64) -> Decision {
        self.now += Duration::from_millis(millis);
        self.requests_total += arrived;
        let decision = self.scaler.decide(self.input(in_flight));
        self.count = decision.wanted;
        decision
    }
}

fn read<const N: usize>(settings: [(&str, &str); N]) -> Result<Policy, Vec<String>> {
    Policy::read(&settings.map(|(key, value)| (key.into(), value.into())).into())
}

/// Goes through phases of (seconds, load), and compares what is wanted at the end of each, and why.
#[track_caller]
fn check<const N: usize>(settings: [(&str, &str); N], count: u32, bounds: Bounds, phases: &[(u64, f64, u32, &str)]) {
    let policy = read(settings).unwrap();
    let is_rate = matches!(policy.target, Target::RequestsPerSecond(_));
    let mut world = World::new(policy, count, bounds);
    let mut seen = Vec::new();
    for &(seconds, load, ..) in phases {
        let mut last = None;
        for _ in 0..seconds {
            let (in_flight, arrived) = if is_rate { (0.0, u64::from(whole(load))) } else { (load, 0) };
            last = Some(world.step(1000, in_flight, arrived));
        }
        let last = last.unwrap();
        seen.push((seconds, load, last.wanted, last.reason.to_string()));
    }
    let wanted: Vec<_> = phases.iter().map(|&(s, l, w, r)| (s, l, w, r.to_owned())).collect();
    assert_eq!(seen, wanted);
}

#[test]
fn the_load_decides() {
    check([], 1, ANY, &[(90, 2.0, 1, "2.0 in flight over 60s, 7.0 per instance")]);
    check([], 1, ANY, &[(90, 7.0, 1, "7.0 in flight over 60s, 7.0 per instance")]);
    check([], 2, ANY, &[(180, 20.0, 3, "20.0 in flight over 60s, 7.0 per instance")]);
    check([("target_in_flight", "4")], 1, ANY, &[(180, 5.6, 2, "5.6 in flight over 60s, 2.8 per instance")]);
    check(
        [("target_requests_per_second", "50"), ("utilisation", "0.5")],
        1,
        ANY,
        &[(180, 100.0, 4, "100.0 requests/s over 60s, 25.0 per instance")],
    );
}

#[test]
fn averages_are_over_the_time_seen() {
    // A full window would hold mostly silence: 42 x 5 / 60 asks for one instance.
    check([], 1, ANY, &[(1, 42.0, 6, "42.0 in flight over 60s, 7.0 per instance")]);
    let mut world = World::new(read([]).unwrap(), 1, ANY);
    world.step(1000, 10.0, 0);
    let decision = world.step(3000, 30.0, 0);
    assert_eq!((decision.stable, decision.recent), (20.0, 20.0));
    let decision = world.step(6000, 30.0, 0);
    assert!((decision.stable - 240.0 / 9.0).abs() < 1e-9, "{decision:?}");
    assert_eq!(decision.recent, 30.0);
}

#[test]
fn one_request_at_once_is_not_a_thousand_a_second() {
    let mut world = World::new(read([("target_requests_per_second", "10")]).unwrap(), 1, ANY);
    world.step(1000, 0.0, 0);
    let decision = world.step(1, 1.0, 1);
    assert_eq!((decision.wanted, decision.stable), (1, 1.0));
}

#[test]
fn a_tenfold_step_is_met_within_the_panic_window() {
    check(
        [],
        1,
        ANY,
        &[
            (120, 7.0, 1, "7.0 in flight over 60s, 7.0 per instance"),
            (2, 70.0, 4, "panic: 22.8 in flight over 6s, 7.0 per instance"),
            (5, 70.0, 10, "panic: 70.0 in flight over 6s, 7.0 per instance"),
            (55, 70.0, 10, "70.0 in flight over 60s, 7.0 per instance"),
        ],
    );
}

#[test]
fn a_panic_keeps_its_highest_count_for_a_stable_window() {
    check(
        [],
        1,
        ANY,
        &[
            (90, 7.0, 1, "7.0 in flight over 60s, 7.0 per instance"),
            (6, 70.0, 10, "panic: 64.8 in flight over 6s, 7.0 per instance"),
            (30, 7.0, 10, "panic: keeps 10 until 60s without overload"),
            (60, 7.0, 1, "7.0 in flight over 60s, 7.0 per instance"),
        ],
    );
}

#[test]
fn who_takes_over_takes_nothing_away_before_the_load_was_seen() {
    check(
        [],
        8,
        ANY,
        &[
            (60, 14.0, 8, "panic: keeps 8 until 60s without overload"),
            (1, 14.0, 4, "bound by max_scale_down_rate = 2, 8 ready"),
            (1, 14.0, 2, "14.0 in flight over 60s, 7.0 per instance"),
        ],
    );
}

#[test]
fn the_first_request_wakes_and_the_last_instance_waits_for_silence() {
    let wakes = "a request waits and there is no instance";
    check(
        [("zero_after", "30s")],
        0,
        ANY,
        &[
            (100, 0.0, 0, "no request and no instance"),
            (1, 1.0, 1, wakes),
            (1, 1.0, 1, "1.0 in flight over 60s, 7.0 per instance"),
            (29, 0.0, 1, "0.1 in flight over 60s, 7.0 per instance"),
            (1, 0.0, 0, "no request for 30s"),
            (1, 0.0, 0, "no request and no instance"),
            (1, 1.0, 1, wakes),
        ],
    );
    // The load of a burst on a sleeping function is not thinned by the silence before.
    check([], 0, ANY, &[(100, 0.0, 0, "no request and no instance"), (1, 70.0, 10, BURST)]);
    let policy = [("stable_window", "10s"), ("zero_after", "60s")];
    check(policy, 1, ANY, &[(9, 1.0, 1, LOAD_10), (30, 0.0, 1, "no request for 30s, to 0 after 60s")]);
    check([], 1, Bounds { min: 1, max: 9 }, &[(300, 0.0, 1, "no request for 299s")]);
}

const BURST: &str = "70.0 in flight over 60s, 7.0 per instance";
const LOAD_10: &str = "1.0 in flight over 10s, 7.0 per instance";

#[test]
fn limits_bound_the_count() {
    check([], 1, Bounds { min: 0, max: 3 }, &[(90, 70.0, 3, "bound by max = 3")]);
    check([], 1, Bounds { min: 2, max: 9 }, &[(90, 1.0, 2, "bound by min = 2")]);
    check([], 0, Bounds { min: 2, max: 9 }, &[(1, 0.0, 2, "bound by min = 2")]);
    check([], 1, Bounds { min: 5, max: 4 }, &[(1, 7.0, 4, "bound by max = 4")]);
    check([("max_scale_up_rate", "1.5")], 1, ANY, &[(1, 70.0, 2, "bound by max_scale_up_rate = 1.5, 1 ready")]);
}

#[test]
fn fewer_are_taken_after_the_scale_down_delay_only() {
    check(
        [("scale_down_delay", "100s")],
        1,
        ANY,
        &[
            (200, 14.0, 2, "14.0 in flight over 60s, 7.0 per instance"),
            (150, 7.0, 2, "waits scale_down_delay = 100s before 1"),
            (15, 7.0, 1, "7.0 in flight over 60s, 7.0 per instance"),
            (59, 0.0, 1, "0.2 in flight over 60s, 7.0 per instance"),
            // The last instance has its own delay.
            (1, 0.0, 0, "no request for 60s"),
        ],
    );
}

#[test]
fn a_policy_may_change_and_the_load_is_kept() {
    let mut world = World::new(read([]).unwrap(), 1, ANY);
    for _ in 0..90 {
        world.step(1000, 7.0, 30);
    }
    world.scaler.set_policy(read([("target_requests_per_second", "10")]).unwrap());
    assert_eq!(world.scaler.policy().target, Target::RequestsPerSecond(10.0));
    let decision = world.step(1000, 7.0, 30);
    assert!((decision.stable - 30.0).abs() < 1e-9 && decision.wanted == 5, "{decision:?}");
}

#[test]
fn time_and_totals_that_go_back_do_no_harm() {
    let mut world = World::new(read([("target_requests_per_second", "10")]).unwrap(), 1, ANY);
    world.step(1000, 0.0, 60);
    world.step(1000, 0.0, 7);
    world.now = Duration::ZERO;
    world.requests_total = 0;
    let decision = world.step(0, 0.0, 0);
    assert_eq!((decision.wanted, decision.stable), (1, 7.0));
}

#[test]
fn a_decision_is_read_by_programs_too() {
    let mut world = World::new(Policy::default(), 0, ANY);
    let json = serde_json::to_value(world.step(1, 1.0, 1)).unwrap();
    let text = "a request waits and there is no instance";
    let reason = serde_json::json!({ "label": "wakes", "text": text });
    let expected = serde_json::json!({
        "wanted": 1, "reason": reason, "panic": false, "stable": 1.0, "recent": 1.0, "target": 7.0,
    });
    assert_eq!(json, expected);
}

#[test]
fn every_mistake_in_a_policy_is_reported_at_once() {
    assert_eq!(read([]).unwrap(), Policy::default());
    assert_eq!(read([("stable_window", "4s")]).unwrap().panic_window, Duration::from_secs(4));
    let settings = [
        ("target_in_flight", "0"),
        ("target_requests_per_second", "many"),
        ("utilisation", "70"),
        ("stable_window", "60"),
        ("panic_window", "2m"),
        ("panic_threshold", "NaN"),
        ("max_scale_down_rate", "1"),
        ("zero_after", "0"),
        ("cooldown", "5m"),
    ];
    assert_eq!(
        read(settings).unwrap_err(),
        [
            "target_in_flight: `0` is not a number from 0.01 to 1000000",
            "target_requests_per_second: `many` is not a number from 0.01 to 1000000",
            "stable_window: `60` has no unit: write 60ms or 60s",
            "utilisation: `70` is not a number from 0.01 to 1",
            "panic_window: `2m` is not a duration from 1s to 1m",
            "panic_threshold: `NaN` is not a number from 1.1 to 100",
            "max_scale_down_rate: `1` is not a number from 1.1 to 1000000",
            "zero_after: `0` is not a duration from 1s to 1day",
            "target_in_flight and target_requests_per_second: only one of them may be set",
            "cooldown: no such setting, there are target_in_flight, target_requests_per_second, utilisation, \
             stable_window, panic_window, panic_threshold, max_scale_up_rate, max_scale_down_rate, \
             scale_down_delay, zero_after",
        ]
    );
}

prop_compose! {
    fn policies()(rate in any::<bool>(), delay in 0u64..30, zero in 1u64..90, stable in 2u64..90) -> Policy {
        let target = if rate { Target::RequestsPerSecond(20.0) } else { Target::InFlight(None) };
        let [scale_down_delay, zero_after, stable_window] = [delay, zero, stable].map(Duration::from_secs);
        Policy { target, scale_down_delay, zero_after, stable_window, ..Policy::default() }
    }
}

/// Milliseconds that pass, in flight, arrivals; silence is as frequent as load.
fn loads() -> impl Strategy<Value = Vec<(u64, f64, u64)>> {
    let load = prop_oneof![Just((0.0, 0)), (0.0..300.0, 0u64..500)];
    prop::collection::vec((0u64..4000, load).prop_map(|(ms, (in_flight, n))| (ms, in_flight, n)), 1..300)
}

proptest! {
    /// Whatever is ready and asked for, even if nothing that is asked for happens.
    #[test]
    fn wanted_is_within_the_bounds(
        policy in policies(),
        steps in prop::collection::vec((0u64..9000, 0.0..1e6, 0u64..100, 0u32..50, 0u32..50, 0u32..40), 1..100),
        max in 0u32..60,
    ) {
        let mut world = World::new(policy, 0, ANY);
        for (millis, in_flight, arrived, n_ready, count, min) in steps {
            world.now += Duration::from_millis(millis);
            world.requests_total += arrived;
            let bounds = Bounds { min: min.min(max), max };
            let decision = world.scaler.decide(Input { n_ready, count, bounds, ..world.input(in_flight) });
            prop_assert!((bounds.min..=max).contains(&decision.wanted), "{decision:?}");
            prop_assert!(decision.stable.is_finite() && decision.recent.is_finite(), "{decision:?}");
        }
    }

    #[test]
    fn a_panic_never_takes_instances_away(policy in policies(), loads in loads(), count in 0u32..20) {
        let mut world = World::new(policy, count, ANY);
        let mut before = world.step(0, 0.0, 0);
        for (millis, in_flight, arrived) in loads {
            let decision = world.step(millis, in_flight, arrived);
            if before.panic && decision.panic {
                prop_assert!(decision.wanted >= before.wanted, "{before:?} then {decision:?}");
            }
            before = decision;
        }
    }

    /// Up to 30 instances: of many more, a few percent of noise are more than one.
    #[test]
    fn a_steady_load_has_a_steady_count(load in 0.5..200.0, noise in prop::collection::vec(-0.05..0.05, 300)) {
        for share in [0.0, 1.0] {
            let mut world = World::new(Policy::default(), 1, ANY);
            for _ in 0..150 {
                world.step(1000, load, 0);
            }
            let counts: Vec<_> = noise.iter().map(|n| world.step(1000, load * (1.0 + share * n), 0).wanted).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= u32::from(share > 0.0), "{counts:?}");
        }
    }

    #[test]
    fn a_request_wakes_at_once(policy in policies(), asleep in 1u64..200, in_flight in 0.1..500.0) {
        let mut world = World::new(policy, 0, ANY);
        for _ in 0..asleep {
            prop_assert_eq!(world.step(1000, 0.0, 0).wanted, 0);
        }
        prop_assert!(world.step(3, in_flight, 1).wanted >= 1);
    }

    #[test]
    fn only_silence_leads_to_zero(policy in policies(), loads in loads()) {
        let mut world = World::new(policy.clone(), 1, ANY);
        world.step(0, 0.0, 0);
        let mut busy = world.now;
        for (millis, in_flight, arrived) in loads {
            let (count, decision) = (world.count, world.step(millis, in_flight, arrived));
            if in_flight > 0.0 || arrived > 0 {
                busy = world.now;
            }
            if count > 0 && decision.wanted == 0 {
                prop_assert!(world.now - busy >= policy.zero_after, "{decision:?}");
            }
        }
    }
}
