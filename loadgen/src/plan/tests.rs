use std::time::Duration;

use proptest::prelude::*;

use super::{Load, Plan, Preset, Stage, Wait, length, level};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ramp_hold_step_and_spike() {
    let stages = [
        Stage { target: 100.0, ramp: 10 * SECOND, hold: Some(20 * SECOND) },
        Stage { target: 500.0, ramp: Duration::ZERO, hold: Some(SECOND) },
        Stage { target: 100.0, ramp: Duration::ZERO, hold: None },
    ];
    let at = |seconds: f64| level(0.0, &stages, Duration::from_secs_f64(seconds));
    assert_eq!(at(0.0), (0.0, true));
    assert_eq!(at(5.0), (50.0, true));
    assert_eq!(at(10.0), (100.0, false));
    assert_eq!(at(29.9), (100.0, false));
    assert_eq!(at(30.0), (500.0, false), "a spike");
    assert_eq!(at(31.0), (100.0, false));
    assert_eq!(at(1e6), (100.0, false));
    assert_eq!(length(&stages), None);
    assert_eq!(length(&stages[..2]), Some(31 * SECOND));
    assert_eq!(level(7.0, &[], SECOND), (7.0, false));
}

#[test]
fn a_run_ends_with_its_stages_or_its_time() {
    let mut plan =
        Plan { load: Load::Users(vec![Stage { hold: Some(SECOND), ..Stage::step(3.0) }]), ..Plan::default() };
    assert_eq!(plan.end(), Some(SECOND));
    plan.run_time = Some(SECOND / 2);
    assert_eq!(plan.end(), Some(SECOND / 2));
    assert_eq!(Plan::default().end(), None);
}

#[test]
fn presets_are_scaled() {
    let mut plan = Preset::Stress.plan();
    assert_eq!(plan.end(), Some(1200 * SECOND));
    plan.scale_time(0.1);
    assert_eq!(plan.end(), Some(120 * SECOND));
    assert_eq!(plan.load, Load::Users(vec![Stage::ramp(0.0, 10_000.0, 5_000.0)]));
}

#[test]
fn waits_are_read_and_shown() {
    for (text, shown) in [
        ("0", "0"),
        ("1.5", "1s 500ms"),
        ("250ms", "250ms"),
        ("constant(1)", "1s"),
        ("between(1, 5)", "between(1s, 5s)"),
        ("constant_pacing(1s)", "constant_pacing(1s)"),
        ("exponential( 2s )", "exponential(2s)"),
    ] {
        let wait: Wait = text.parse().unwrap();
        assert_eq!(wait.to_string(), shown, "{text}");
    }
    for text in ["", "soon", "-1", "between(5, 1)", "between(1)", "constant_pacing(1", "pause(1)"] {
        let error = text.parse::<Wait>().unwrap_err();
        assert!(error.contains('`'), "{text}: {error}");
    }
}

#[test]
fn waits_are_drawn() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut mean =
        |wait: Wait| (0..10_000).map(|_| wait.draw(SECOND / 4, &mut random).as_secs_f64()).sum::<f64>() / 1e4;
    assert!(mean(Wait::None) == 0.0);
    assert!((mean(Wait::Pacing(SECOND)) - 0.75).abs() < 1e-9);
    assert!(mean(Wait::Pacing(SECOND / 5)) == 0.0);
    assert!((mean(Wait::Between(SECOND, 3 * SECOND)) - 2.0).abs() < 0.05);
    assert!((mean(Wait::Exponential(SECOND)) - 1.0).abs() < 0.05);
}

proptest! {
    #[test]
    fn a_level_stays_between_its_stages(
        stages in proptest::collection::vec((0.0..1e4, 0u64..100, 0u64..100), 1..6),
        at in 0.0..1000.0,
    ) {
        let stages: Vec<Stage> = stages
            .into_iter()
            .map(|(target, ramp, hold)| Stage { target, ramp: Duration::from_secs(ramp), hold: Some(Duration::from_secs(hold)) })
            .collect();
        let most = stages.iter().map(|stage| stage.target).fold(0.0, f64::max);
        let (now, _) = level(0.0, &stages, Duration::from_secs_f64(at));
        prop_assert!((0.0..=most).contains(&now), "{now}");
    }
}
