use super::{Measure, Order, parse};
use crate::report::{InstanceReport, Latency, Range, Report, TaskReport};

/// A report of one task, as far as promises look at it.
fn report() -> Report {
    let latency = Latency { p95_ms: 800.0, p99_ms: 1200.0, ..Latency::default() };
    let task = TaskReport {
        name: "predict".into(),
        requests: 1000,
        failures: 5,
        rps: 950.0,
        latency,
        ..TaskReport::default()
    };
    let range = |mean, max| Some(Range { mean, max });
    let instance = InstanceReport {
        id: "one".into(),
        address: "127.0.0.1:1".into(),
        requests: 1000,
        cpu_limit_cores: Some(0.5),
        memory_limit_bytes: Some(1),
        cpu_percent: range(85.0, 99.0),
        ram_percent: range(50.0, 95.0),
    };
    Report { total: task.clone(), tasks: vec![task], instances: vec![instance], ..crate::report::Report::empty() }
}

#[test]
fn promises_are_judged() {
    let all = "p95<1s, p99 <= 1s,failures<1%,failures<=5,rps>900,requests>=1001,predict:p95<500ms,cpu<90%,ram<90%,other:rps>1";
    let judged: Vec<_> = parse(all).unwrap().iter().map(|promise| promise.judge(&report())).collect();
    let kept: Vec<_> = judged.iter().map(|judged| judged.kept).collect();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(kept, [yes, no, yes, yes, yes, no, no, yes, no, None]);
    assert_eq!((judged[0].promise.as_str(), judged[0].seen.as_str()), ("p95<1s", "800.0 ms"));
    assert_eq!((judged[6].promise.as_str(), judged[6].task.as_deref()), ("p95<500ms", Some("predict")));
    assert_eq!((judged[8].seen.as_str(), judged[9].seen.as_str()), ("95.00 %", "not known"));
}

#[test]
fn a_promise_of_a_task_that_there_is_not_is_told() {
    let checked = |text| super::check(&parse(text).unwrap(), &["predict".to_owned()]).map_err(|e| e.to_string());
    assert_eq!(checked("p95<1s,predict:p95<1s"), Ok(()));
    assert_eq!(checked("predcit:p95<1s").unwrap_err(), "`predcit:p95<1s` is of no task; near: `predict`");
}

#[test]
fn what_asks_for_more_is_not_broken_before_the_end() {
    let broken = |text| parse(text).unwrap()[0].is_broken_for_good(&report());
    assert!(broken("p99<1s"));
    assert!(!broken("rps>2000"));
}

#[test]
fn a_promise_is_read_in_all_its_parts() {
    let promise = parse("GET /a:b:p99.9 >= 1.5s").unwrap().remove(0);
    assert_eq!((promise.task.as_deref(), promise.order, promise.limit), (Some("GET /a:b"), Order::MoreOrEqual, 1500.0));
    assert!(matches!(promise.what, Measure::Percentile(percentile) if percentile.name == "p99.9"));
    assert_eq!(promise.to_string(), "GET /a:b:p99.9 >= 1.5s");
}

#[test]
fn mistakes_say_what_and_where() {
    for (text, error) in [
        ("", "``, which begins at character 1: there is no `<`, `<=`, `>` or `>=` in it"),
        ("p95<1s, rps=3", "`rps=3`, which begins at character 9: there is no `<`, `<=`, `>` or `>=` in it"),
        ("p95<5", "`p95<5`, which begins at character 1: `5` has no unit: write 5ms or 5s"),
        ("rps>many", "`rps>many`, which begins at character 1: `many` is not a number"),
        ("failures<-1%", "`failures<-1%`, which begins at character 1: `-1%` is not a limit"),
        ("cpu<90", "`cpu<90`, which begins at character 1: `90` has no `%`: write cpu<90%"),
        ("a:cpu<90%", "`a:cpu<90%`, which begins at character 1: `cpu` is the instances', not a task's"),
        (":p95<1s", "`:p95<1s`, which begins at character 1: there is no task before the `:`"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), error);
    }
    let error = parse("failuers<1%").unwrap_err().to_string();
    assert!(error.contains("did you mean `failures`?"), "{error}");
    assert!(parse("p42<1s").unwrap_err().to_string().contains("min, mean, max, p50"));
}
