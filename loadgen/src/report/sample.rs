//! Runs as tests show them.

use std::collections::BTreeMap;

use super::*;

/// What a hostile server may answer, or a scenario be called.
pub(crate) const HOSTILE: &str = "</script><img src=x onerror=\"document.title='owned'\">|`*\u{1b}[31m=1+1";

fn latency(scale: f64) -> Latency {
    Latency {
        min_ms: 0.25 * scale,
        mean_ms: 2.5 * scale,
        max_ms: 950.125 * scale,
        p50_ms: 1.5 * scale,
        p66_ms: 2.0 * scale,
        p75_ms: 2.5 * scale,
        p80_ms: 3.0 * scale,
        p90_ms: 4.5 * scale,
        p95_ms: 6.25 * scale,
        p98_ms: 9.0 * scale,
        p99_ms: 12.75 * scale,
        p999_ms: 250.0 * scale,
        p9999_ms: 900.0 * scale,
    }
}

fn task(name: &str, requests: u64, failures: u64, elapsed_s: f64) -> TaskReport {
    TaskReport {
        name: name.into(),
        method: "POST".into(),
        requests,
        failures,
        rps: requests as f64 / elapsed_s.max(1.0),
        mean_bytes: 187.5,
        latency: latency(1.0),
        service: latency(0.5),
    }
}

/// A run by users of three seconds, with everything that a report can have.
pub(crate) fn report() -> Report {
    run(3)
}

/// The same of so many seconds: it ramps, holds, and in its middle the server stalls.
pub(crate) fn run(seconds: u64) -> Report {
    let mut history = Vec::<Point>::new();
    for second in 1..=seconds {
        history.push(point(second, seconds, history.last()));
    }
    let (requests, failures) = history.last().map_or((0, 0), |point| (point.requests, point.failures));
    let elapsed_s = seconds as f64;
    let usage = Usage {
        cpu_percent: Range { mean: 14.0, max: 22.5 },
        memory_bytes: 44 << 20,
        cores: 1.0,
        waited_ms: 30.0,
        stolen_ms: 0.0,
    };
    Report {
        schema: SCHEMA.into(),
        version: "0.1.0".into(),
        began: "2026-11-21T16:00:00Z".into(),
        elapsed_s,
        remaining_s: Some(0.0),
        state: RunState::Finished,
        target: "penguins".into(),
        load: LoadKind::Users,
        plan: BTreeMap::from(
            [("users", "500"), ("spawn-rate", "50"), ("run-time", "2m"), ("wait-time", "constant 1s")]
                .map(|(name, value)| (name.into(), value.into())),
        ),
        invalid: vec!["12 requests were sent late: the generator had no CPU left".into()],
        total: TaskReport { method: String::new(), ..task("Aggregated", requests, failures, elapsed_s) },
        tasks: vec![
            task("predict", requests - requests / 5, failures - failures / 4, elapsed_s),
            task(HOSTILE, requests / 5, failures / 4, elapsed_s),
        ],
        failures: vec![
            FailureReport {
                task: "predict".into(),
                method: "POST".into(),
                kind: "http_503".into(),
                detail: "503 Service Unavailable".into(),
                count: failures - failures / 4,
                samples: vec![r#"{"kind":"draining","message":"this instance is about to stop"}"#.into()],
            },
            FailureReport {
                task: HOSTILE.into(),
                method: "POST".into(),
                kind: "check".into(),
                detail: HOSTILE.into(),
                count: failures / 4,
                samples: vec![HOSTILE.into(), "line one\nline two\n\n```\n<b>bold</b>".into()],
            },
        ],
        history,
        instances: vec![instance("penguins-0", 38_000, requests / 2), instance("penguins-1", 38_001, requests / 2)],
        promises: vec![
            promise("p95<1s", None, "6.25 ms", Some(true)),
            promise("failures<0.1%", Some("predict"), "0.6 %", Some(false)),
            promise("cpu<90%", None, "not known", None),
        ],
        generator: usage,
        late: 12,
        workers: vec![
            worker("worker-a", false, requests - requests / 2, usage),
            worker("worker-b", true, requests / 2, usage),
        ],
    }
}

/// A run by rate that goes on, valid so far.
pub(crate) fn by_rate(seconds: u64, of: u64) -> Report {
    let mut report = run(seconds);
    report.load = LoadKind::Rate;
    report.state = RunState::Holding;
    report.remaining_s = Some((of - seconds) as f64);
    report.plan = BTreeMap::from([("rate".into(), "1000".into())]);
    report.history.iter_mut().for_each(|point| point.rate = Some(1000.0));
    report.invalid.clear();
    report.promises.clear();
    report.workers.clear();
    report.late = 0;
    report
}

fn point(second: u64, seconds: u64, before: Option<&Point>) -> Point {
    let at = second as f64;
    // In eighths, which are the same in JSON.
    let wave = ((at * 1.7).sin() * (at * 0.31).cos() * 8.0).round() / 8.0;
    let stalls = second > seconds / 2 && second <= seconds / 2 + 3;
    let users = (second * 50).min(500);
    let rps = if stalls { 15.0 } else { (users as f64 * (0.96 + wave * 0.04)).round() };
    let failures = if stalls { 9 } else { u64::from(second.is_multiple_of(7)) };
    let slow = if stalls { 120.0 } else { 1.0 + wave * 0.25 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of some hundreds")]
    let done = rps as u64;
    Point {
        at_s: at,
        unix_s: 1_795_276_800.0 + at,
        users,
        rate: None,
        rps,
        failures_per_s: failures as f64,
        in_flight: if stalls { users } else { users / 40 },
        p50_ms: 1.5 * slow,
        p95_ms: 6.25 * slow,
        p99_ms: 8.0 * slow,
        late: if stalls { 4 } else { 0 },
        generator_cpu_percent: 12.0 + wave * 3.0,
        requests: before.map_or(0, |point| point.requests) + done,
        failures: before.map_or(0, |point| point.failures) + failures,
        latency: latency(1.0),
        mean_bytes: 187.5,
        instances: Some(if second * 4 > seconds { 2 } else { 1 }),
        cpu_percent: Some((users as f64 / 6.25 + wave * 6.0).max(0.0).round()),
        ram_percent: Some((40.0 + at / seconds as f64 * 12.0).round()),
    }
}

fn instance(id: &str, port: u16, requests: u64) -> InstanceReport {
    InstanceReport {
        id: id.into(),
        address: format!("127.0.0.1:{port}"),
        requests,
        cpu_limit_cores: Some(0.5),
        memory_limit_bytes: Some(128 << 20),
        cpu_percent: Some(Range { mean: 61.5, max: 88.25 }),
        ram_percent: Some(Range { mean: 41.0, max: 52.5 }),
    }
}

fn promise(promise: &str, task: Option<&str>, seen: &str, kept: Option<bool>) -> PromiseReport {
    PromiseReport { promise: promise.into(), task: task.map(Into::into), seen: seen.into(), kept }
}

fn worker(id: &str, lost: bool, requests: u64, usage: Usage) -> WorkerReport {
    WorkerReport {
        id: id.into(),
        address: "127.0.0.1:5557".into(),
        lost,
        requests,
        usage,
        late: 6,
        clock_ahead_ms: -12.5,
        round_trip_ms: 0.25,
    }
}
