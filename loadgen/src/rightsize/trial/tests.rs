//! What a run is taken for.

use super::*;
use crate::report::{InstanceReport, Range, TaskReport};
use crate::slo;

fn report(p95_ms: f64, cpu: Option<f64>) -> Report {
    let latency = crate::report::Latency { p95_ms, ..Default::default() };
    let instance = InstanceReport {
        id: "a".into(),
        address: "127.0.0.1:1".into(),
        requests: 100,
        cpu_limit_cores: Some(0.25),
        memory_limit_bytes: Some(64 << 20),
        cpu_percent: cpu.map(|mean| Range { mean, max: mean }),
        ram_percent: Some(Range { mean: 50.0, max: 75.0 }),
    };
    let total = TaskReport { requests: 100, failures: 1, rps: 10.0, latency, ..TaskReport::default() };
    Report { total, instances: vec![instance], ..Report::empty() }
}

#[test]
fn what_is_not_the_function_s_is_invalid_and_a_kill_is_no_failure() {
    let promises = slo::parse("p95<100ms,cpu<95%").unwrap();
    let judged = |report: &Report, seen: &Seen| judge(report, &promises, seen);
    let (good, slow, quiet) = (report(50.0, Some(60.0)), report(250.0, Some(60.0)), Seen::default());
    assert_eq!(judged(&good, &quiet), Verdict::Held);
    assert_eq!(judged(&slow, &quiet), Verdict::Broken("p95<100ms: 250.0 ms".into()));
    let killed = Seen { killed: Some("limit is 16 MiB".into()), ended: Some("x".into()), ..Seen::default() };
    assert_eq!(judged(&slow, &killed), Verdict::OutOfMemory("limit is 16 MiB".into()));
    let ended = Seen { ended: Some("instance 0 has ended: exit code 3".into()), ..Seen::default() };
    assert_eq!(judged(&good, &ended).word(), "broken");
    // The generator's word comes before the promise's.
    let late = Report { invalid: vec!["5 of 100 requests were sent late".into()], ..slow.clone() };
    assert_eq!(judged(&late, &quiet).word(), "invalid");
    // What is kept though requests were sent late is kept, unless most of the load was another one.
    let kept = |late, why: &[&str]| {
        let invalid = why.iter().map(|why| (*why).to_owned()).collect();
        judged(&Report { late, invalid, ..good.clone() }, &quiet).word()
    };
    assert_eq!((kept(5, &["late"]), kept(50, &["late"])), ("held", "invalid"));
    assert_eq!((kept(5, &["late", "no CPU left"]), kept(0, &["no CPU left"])), ("invalid", "invalid"));
    // A full machine spoils what broke, not what held.
    let full = Machine { busy_percent: 99.0, cores: 2, ..Machine::default() };
    let busy = Seen { machine: full, ..Seen::default() };
    assert_eq!((judged(&slow, &busy).word(), judged(&good, &busy).word()), ("invalid", "held"));
    assert_eq!(judged(&report(250.0, Some(99.0)), &busy).word(), "broken");
    assert_eq!(judged(&report(50.0, None), &quiet).word(), "invalid");
}

#[test]
fn a_trial_keeps_what_was_measured() {
    let candidate = Candidate { cpu_cores: 0.25, memory_mib: 64, count: 1 };
    let mut trial = Trial::new("now".into(), candidate, Offer::Users(10), "start");
    trial.note(&report(50.0, Some(60.0)), &Seen::default());
    assert_eq!((trial.peak_mib, trial.cpu_percent, trial.failures_percent), (Some(48.0), Some(60.0), 1.0));
    let text = serde_json::to_string(&trial.clone().ended(Verdict::Broken("p95".into()))).unwrap();
    assert!(text.contains(r#""cpu_cores":0.25,"memory_mib":64,"count":1,"offer":{"users":10}"#), "{text}");
    assert!(text.contains(r#""verdict":"broken","detail":"p95""#), "{text}");
    assert_eq!(serde_json::from_str::<Trial>(&text).unwrap().verdict, Verdict::Broken("p95".into()));
    assert!(verify_by_report(&candidate, &report(1.0, None)).is_ok());
    let other = Candidate { memory_mib: 32, ..candidate };
    let wrong = verify_by_report(&other, &report(1.0, None)).unwrap_err().to_string();
    assert_eq!(wrong, "limits do not hold: asked for 0.25 CPU, 32 MiB, and an instance has 0.250 CPU, 64 MiB");
}
