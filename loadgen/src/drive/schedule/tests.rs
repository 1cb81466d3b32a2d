use std::time::Duration;

use proptest::prelude::*;

use super::{Schedule, Share};
use crate::plan::{Arrivals, Stage, level};

const SECOND: Duration = Duration::from_secs(1);

fn stage(target: f64, ramp: u64, hold: u64) -> Stage {
    Stage { target, ramp: Duration::from_secs(ramp), hold: Some(Duration::from_secs(hold)) }
}

fn all(arrivals: &Arrivals, stages: &[Stage], share: Share) -> Vec<Duration> {
    Schedule::new(arrivals, 0.0, stages, share, 7).collect()
}

#[test]
fn a_constant_rate_has_equal_distances() {
    let due = all(&Arrivals::Constant, &[stage(1000.0, 0, 2)], Share::ALL);
    assert_eq!(due.len(), 2000);
    assert!(due.iter().enumerate().all(|(n, at)| (at.as_secs_f64() - n as f64 / 1000.0).abs() < 1e-9));
    let mut endless = Schedule::new(&Arrivals::Constant, 0.0, &[Stage::step(10.0)], Share::ALL, 1);
    assert_eq!(endless.nth(10_000), Some(1_000 * SECOND));
    assert_eq!(Schedule::new(&Arrivals::Constant, 0.0, &[Stage::step(0.0)], Share::ALL, 1).next(), None);
}

#[test]
fn poisson_has_its_rate_and_its_variance() {
    let due: Vec<_> =
        (0..4).flat_map(|n| all(&Arrivals::Poisson, &[stage(5000.0, 0, 20)], Share::ALL.split(n, 4))).collect();
    assert!((due.len() as f64 - 100_000.0).abs() < 1500.0, "{}", due.len());
    let mut per_10_ms = vec![0.0_f64; 2000];
    for at in &due {
        per_10_ms[usize::try_from(at.as_millis() / 10).unwrap()] += 1.0;
    }
    let mean = per_10_ms.iter().sum::<f64>() / 2000.0;
    let variance = per_10_ms.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 2000.0;
    assert!((variance / mean - 1.0).abs() < 0.2, "mean {mean}, variance {variance}");
}

#[test]
fn a_replay_is_split_without_loss() {
    let moments: Vec<Duration> = (0..101).map(|n| n * n * SECOND).collect();
    let arrivals = Arrivals::Replay(moments.clone().into());
    let mut due: Vec<_> = (0..3).flat_map(|n| all(&arrivals, &[], Share::ALL.split(n, 3))).collect();
    due.sort_unstable();
    assert_eq!(due, moments);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn as_many_as_the_area_under_the_rate(
        stages in proptest::collection::vec((0.0..500.0_f64, 0u64..10, 0u64..10), 1..6),
        shares in 1usize..7,
    ) {
        let stages: Vec<Stage> = stages.into_iter().map(|(target, ramp, hold)| stage(target, ramp, hold)).collect();
        let mut due: Vec<_> = (0..shares)
            .flat_map(|n| all(&Arrivals::Constant, &stages, Share::ALL.split(n, shares)))
            .collect();
        due.sort_unstable();
        let end: Duration = stages.iter().map(|stage| stage.ramp + stage.hold.unwrap()).sum();
        let steps = 10_000;
        let area: f64 = (0..steps)
            .map(|n| level(0.0, &stages, end.mul_f64((f64::from(n) + 0.5) / f64::from(steps))).0)
            .sum::<f64>() * end.as_secs_f64() / f64::from(steps);
        prop_assert!((due.len() as f64 - area).abs() <= 2.0 + area * 1e-3, "{} {area}", due.len());
        prop_assert!(due.iter().all(|at| *at <= end));
        // Split or not, the same moments.
        let whole = all(&Arrivals::Constant, &stages, Share::ALL);
        prop_assert_eq!(whole.len(), due.len());
        prop_assert!(whole.iter().zip(&due).all(|(a, b)| a.abs_diff(*b) < Duration::from_micros(1)));
    }

    #[test]
    fn shares_add_up(n in 0usize..10_000, workers in 1usize..9, threads in 1usize..9) {
        let shares = (0..workers).flat_map(|w| (0..threads).map(move |t| Share::ALL.split(w, workers).split(t, threads)));
        prop_assert_eq!(shares.map(|share| share.count(n)).sum::<usize>(), n);
    }
}
