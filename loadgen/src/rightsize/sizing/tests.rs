//! What was found, in all its forms.

use super::super::{page, text};
use super::*;

fn trial(cpu_cores: f64, count: u32, verdict: Verdict) -> Trial {
    let candidate = Candidate { cpu_cores, memory_mib: 50, count };
    let trial = Trial::example(candidate, Offer::Users(1000), verdict);
    Trial { requests: 20_000, rps: 1000.0, p95_ms: 20.0 / cpu_cores, mean_ms: 5.0, peak_mib: Some(40.0), ..trial }
}

fn sizing(kind: Kind) -> Sizing {
    let trials = vec![
        trial(0.25, 1, Verdict::Held),
        trial(0.125, 1, Verdict::Broken("p95<1s: 2500 ms <script>".into())),
        trial(0.25, 3, Verdict::OutOfMemory("limit is 16 MiB".into())),
    ];
    let least = trials[0].candidate;
    let found = Found { held: 4, trials: 4, is_sure: true };
    Sizing {
        schema: SCHEMA.into(),
        version: "0".into(),
        kind,
        began: "2026-01-01T00:00:00Z".into(),
        took_s: 61.0,
        function: "penguins".into(),
        code: "version 1".into(),
        engine: "local".into(),
        machine: "two cores".into(),
        plan: [("load".to_owned(), "1000 users".to_owned())].into(),
        promises: vec!["p95<100ms".into(), "failures<1%".into()],
        timing: Timing { ramp_s: 1.0, warm_up_s: 1.0, hold_s: 20.0 },
        confidence: 0.9,
        answer: (kind == Kind::Rightsize).then(|| Answer::new(least, found, &trials, 20.0, (0, 5))),
        capacity: (kind == Kind::Capacity).then_some(Capacity {
            size: least,
            offer: Offer::Users(1000),
            rps: 998.0,
            held: 4,
            trials: 4,
        }),
        law: (kind == Kind::Scaling).then_some(Law { rate: 100.0, contention: 0.1, crosstalk: 0.05, r_squared: 0.99 }),
        trials,
        n_reused: 1,
        stopped: None,
        notes: vec!["a note".into()],
    }
}

#[test]
fn the_recommendation_has_head_room_and_a_target() {
    let answer = sizing(Kind::Rightsize).answer.unwrap();
    assert_eq!(answer.recommended, Candidate { cpu_cores: 0.3, memory_mib: 60, count: 1 });
    // A thousand a second, of 5 ms each.
    assert_eq!(answer.target_in_flight, 5);
    assert!(
        answer.blocks.contains("memory = 60\n") && answer.blocks.contains("target_in_flight = 5\n"),
        "{}",
        answer.blocks
    );
    let whole = format!("job \"a\" {{\n group \"g\" {{\n task \"t\" {{\n{}}}\n}}\n}}\n", answer.blocks);
    assert!(whole.parse::<hcl_edit::structure::Body>().is_ok(), "{whole}");
}

#[test]
fn every_form_shows_every_trial_and_runs_nothing() {
    for kind in [Kind::Rightsize, Kind::Capacity, Kind::Scaling, Kind::Matrix] {
        let sizing = sizing(kind);
        let shown = text::text(&sizing);
        assert!(
            shown.contains("out of memory") && shown.contains("a note") && shown.contains("1 of 3 trials"),
            "{shown}"
        );
        let markdown = text::markdown(&sizing);
        assert_eq!(markdown.lines().filter(|line| line.starts_with('|')).count(), 5, "{markdown}");
        let page = page::page(&sizing);
        assert!(!page.contains("<script") && page.contains("<svg"), "{kind:?}");
        let text = serde_json::to_string(&sizing).unwrap();
        assert_eq!(serde_json::from_str::<Sizing>(&text).unwrap(), sizing);
    }
    assert!(
        text::text(&sizing(Kind::Rightsize))
            .contains("least: 0.25 CPU, 50 MiB, held in 4 of 4 trials, with 90 % confidence")
    );
    assert!(text::text(&sizing(Kind::Capacity)).contains("0.25 CPU, 50 MiB holds 1000 users"));
    assert!(text::text(&sizing(Kind::Scaling)).contains("throughput falls beyond 4.2 instances"));
    assert!(page::page(&sizing(Kind::Scaling)).contains("polyline"));
    assert!(super::schema().contains("urn:drover.loadgen.rightsize:1"));
}
