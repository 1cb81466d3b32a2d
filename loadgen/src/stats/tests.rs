use std::time::Duration;

use proptest::prelude::*;

use super::{Ended, Recorder, Totals};
use crate::report::Point;
use crate::work::Failure;

fn ended(task: usize, us: u64, failure: Option<&Failure>) -> Ended<'_> {
    let time = Duration::from_micros(us);
    Ended { task, method: None, times: Some((time, time)), body: b"four", failure }
}

fn totals(recorders: &mut [Recorder]) -> Totals {
    let mut totals = Totals::new(vec!["a".into(), "b".into()]);
    for recorder in recorders {
        totals.add(&recorder.take(), Duration::from_secs(1), Point::default());
    }
    totals
}

#[test]
fn kinds_and_samples_are_bounded() {
    let mut recorder = Recorder::new(1);
    for n in 0..1000 {
        let failure = Failure { kind: "check".into(), detail: format!("value {n}") };
        recorder.ended(&Ended { body: &[b'x'; 2000], ..ended(0, 5, Some(&failure)) });
        recorder.ended(&ended(0, 5, Some(&Failure { kind: "http_503".into(), detail: String::new() })));
    }
    let snapshot = recorder.take();
    let kinds = snapshot.failures.by_count();
    assert!(kinds.len() <= 101, "{}", kinds.len());
    assert_eq!(kinds.iter().map(|(_, seen)| seen.count).sum::<u64>(), 2000);
    assert!(kinds.iter().all(|(_, seen)| seen.samples.len() <= 3));
    assert!(kinds.iter().flat_map(|(_, seen)| &seen.samples).all(|sample| sample.chars().count() <= 501));
    assert_eq!(kinds[0].0.kind, "http_503");
}

#[test]
fn a_long_run_keeps_its_shape_in_bounded_memory() {
    let mut totals = Totals::new(vec!["a".into()]);
    let nothing = Recorder::new(1).take();
    for second in 1..=20_000_u32 {
        let point = Point { at_s: f64::from(second), ..Point::default() };
        totals.add(&nothing, Duration::from_secs(1), point);
    }
    let at: Vec<f64> = totals.history().iter().map(|point| point.at_s).collect();
    assert!((3_600..=7_200).contains(&at.len()), "{}", at.len());
    let distance = at[1] - at[0];
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] == distance), "{distance}");
    assert_eq!(at.last(), Some(&20_000.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn merged_without_loss(times in proptest::collection::vec((0usize..2, 1u64..4_000_000_000, any::<bool>()), 1..300)) {
        let failure = Failure { kind: "timeout".into(), detail: "late".into() };
        let mut one = [Recorder::new(2)];
        let mut many = [Recorder::new(2), Recorder::new(2), Recorder::new(2)];
        for (n, (task, us, failed)) in times.iter().enumerate() {
            let ended = ended(*task, *us, failed.then_some(&failure));
            one[0].ended(&ended);
            many[n % 3].ended(&ended);
        }
        let (one, many) = (totals(&mut one), totals(&mut many));
        let elapsed = Duration::from_secs(1);
        prop_assert_eq!(one.reports(elapsed), many.reports(elapsed));
        prop_assert_eq!(one.all().all().latency, many.all().all().latency);
        let (all, tasks) = many.reports(elapsed);
        prop_assert_eq!(all.requests, times.len() as u64);
        prop_assert_eq!(tasks.iter().map(|task| task.requests).sum::<u64>(), all.requests);
        prop_assert_eq!(all.failures, times.iter().filter(|(_, _, failed)| *failed).count() as u64);
        prop_assert_eq!(all.mean_bytes, 4.0);
        // Three digits.
        let mut sorted: Vec<u64> = times.iter().map(|(_, us, _)| (*us).min(3_600_000_000)).collect();
        sorted.sort_unstable();
        let median = sorted[(sorted.len() - 1) / 2] as f64 / 1e3;
        prop_assert!((all.latency.p50_ms / median - 1.0).abs() < 1e-3, "{} {median}", all.latency.p50_ms);
    }
}
