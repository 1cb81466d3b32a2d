use expect_test::{expect, expect_file};

use super::compare::{Comparison, Figure};
use super::terminal::{Look, frame, line, sparkline, summary};
use super::*;

const PLAIN: Look = Look { width: 100, colour: false };

/// Compares with a file in `snapshots`; `UPDATE_EXPECT=1` renews it.
macro_rules! check {
    ($name:literal, $text:expr) => {
        expect_file![concat!("snapshots/", $name)].assert_eq(&$text)
    };
}

#[test]
fn the_terminal_shows_it() {
    check!("summary.txt", summary(&sample::report(), PLAIN));
    check!("frame.txt", frame(&sample::by_rate(45, 60), PLAIN).join("\n"));
    expect![
        "0:03  finished  users 150  rps 15  p50 180 ms  p95 750 ms  p99 960 ms  failures 18 (22.5 %)  late 12  invalid"
    ]
    .assert_eq(&line(&sample::report()));
}

#[test]
fn no_line_of_the_live_view_is_wider_than_the_terminal() {
    for width in [80, 100, 200] {
        let lines = frame(&sample::by_rate(300, 600), Look { width, colour: false });
        let widest = lines.iter().take(5).map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width, "{widest} of {width}: {lines:#?}");
    }
}

#[test]
fn colours_are_all_that_colours_add() {
    let coloured = frame(&sample::by_rate(45, 60), Look { colour: true, ..PLAIN }).join("\n");
    let mut bare = String::new();
    let mut parts = coloured.split("\x1b[");
    bare.push_str(parts.next().unwrap());
    parts.for_each(|part| bare.push_str(part.split_once('m').unwrap().1));
    assert_eq!(bare, frame(&sample::by_rate(45, 60), PLAIN).join("\n"));
}

#[test]
fn a_sparkline_reaches_from_nothing_to_the_most() {
    assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.5, 7.0], 4), "▂▃▅█");
    assert_eq!(sparkline(&[0.0, 0.0], 4), "▁▁");
    assert_eq!(sparkline(&[], 4), "");
}

#[test]
fn csv_is_as_locust_writes_it() {
    check!("stats.csv", csv::stats(&sample::report()));
    check!("stats_history.csv", csv::history(&sample::report()));
    check!("failures.csv", csv::failures(&sample::report()));
}

#[test]
fn csv_files_grow_with_the_run_under_locust_s_names() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    std::fs::write(dir.path().join("run_stats_history.csv"), "of a run before").unwrap();
    let mut files = csv::Files::create(&dir.path().join("run")).unwrap();
    assert_eq!(read("run_stats_history.csv").lines().count(), 1, "only the names");
    for seconds in [1, 2, 2, 5] {
        let mut report = sample::run(5);
        report.history.truncate(seconds);
        files.write(&report).unwrap();
        assert_eq!(read("run_stats_history.csv"), csv::history(&report), "each second is there once");
        assert_eq!(read("run_stats.csv"), csv::stats(&report));
        assert_eq!(read("run_failures.csv"), csv::failures(&report));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    assert!(csv::Files::create(&dir.path().join("none/run")).is_err());
}

#[test]
fn a_run_without_requests_has_no_percentiles() {
    let mut report = sample::report();
    report.total = TaskReport { name: "Aggregated".into(), ..TaskReport::default() };
    report.tasks.clear();
    let text = csv::stats(&report);
    assert_eq!(text.matches("N/A").count(), 11, "{text}");
    assert!(summary(&report, PLAIN).contains(" - "));
}

#[test]
fn markdown_shows_it() {
    check!("report.md", markdown::text(&sample::report()));
}

#[test]
fn prometheus_reads_it() {
    check!("metrics.txt", prometheus::text(&sample::report()));
    let mut seen = std::collections::BTreeSet::new();
    for line in prometheus::text(&sample::report()).lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series.to_owned()), "twice: {line}");
    }
}

#[test]
fn json_is_what_its_schema_says() {
    expect_file!["../../report.schema.json"].assert_eq(&json::schema());
    let report = sample::report();
    assert_eq!(json::read(json::text(&report).as_bytes()).unwrap(), report);
}

#[test]
fn what_is_no_report_is_not_read() {
    let reason = |text: &str| json::read(text.as_bytes()).unwrap_err().to_string();
    let other = json::text(&sample::report()).replace(SCHEMA, "drover.loadgen/9");
    expect!["a report of the form `drover.loadgen/9`, and this loadgen reads `drover.loadgen/1`"]
        .assert_eq(&reason(&other));
    expect!["not a report of loadgen: missing field `schema` at line 2 column 1"].assert_eq(&reason("{\n}"));
    expect!["not a report of loadgen: expected ident at line 1 column 2"].assert_eq(&reason("no"));
}

#[test]
fn a_run_comes_to_one_outcome() {
    let mut report = sample::report();
    assert_eq!(Outcome::of(&report), Outcome::Invalid);
    report.invalid.clear();
    assert_eq!(Outcome::of(&report), Outcome::Broken);
    report.promises.retain(|promise| promise.kept != Some(false));
    assert_eq!(Outcome::of(&report), Outcome::Unknown);
    assert!(Outcome::of(&report).is_bad(), "what was not shown to hold is no success");
    report.promises.retain(|promise| promise.kept.is_some());
    assert_eq!(Outcome::of(&report), Outcome::Kept);
    report.promises.clear();
    assert_eq!(Outcome::of(&report), Outcome::Finished);
    report.state = RunState::Stopped;
    assert_eq!(Outcome::of(&report), Outcome::Stopped);
    report.state = RunState::Ramping;
    assert_eq!(Outcome::of(&report), Outcome::Running);
}

/// Three runs: a valid first one, one as good, and one that is slower and fails more.
fn three() -> Vec<(String, Report)> {
    let mut first = sample::run(120);
    first.invalid.clear();
    first.promises.retain(|promise| promise.kept == Some(true));
    let mut same = first.clone();
    same.total.rps *= 0.97;
    let mut worse = first.clone();
    worse.total.rps *= 0.7;
    worse.total.latency.p95_ms *= 3.0;
    worse.total.failures *= 9;
    worse.instances.iter_mut().for_each(|instance| instance.cpu_limit_cores = Some(0.25));
    worse.history.iter_mut().for_each(|point| {
        point.rps *= 0.7;
        point.p95_ms *= 3.0;
    });
    vec![("0.5 CPU.json".into(), first), ("again.json".into(), same), (sample::HOSTILE.into(), worse)]
}

#[test]
fn runs_are_measured_by_the_first() {
    let comparison = Comparison::of(&three(), 10.0);
    check!("compare.txt", comparison.text());
    check!("compare.md", comparison.markdown());
    assert!(comparison.has_regression());
    let worse = |run: &super::compare::Run| {
        let figures = run.figures.iter().filter(|figure| figure.is_regression);
        figures.map(|figure| figure.figure).collect::<Vec<_>>()
    };
    let wanted = [vec![], vec![], vec![Figure::Rps, Figure::P95, Figure::Failures]];
    assert_eq!(comparison.runs.iter().map(worse).collect::<Vec<_>>(), wanted);
}

#[test]
fn the_threshold_says_what_a_regression_is() {
    assert!(Comparison::of(&three()[..2], 2.0).has_regression(), "3 % slower");
    assert!(!Comparison::of(&three()[..2], 5.0).has_regression());
    assert!(!Comparison::of(&[], 5.0).has_regression());
}

#[test]
fn a_file_shows_strangers_texts_as_texts() {
    for page in [html::page(&sample::report()), html::comparison(&three(), &Comparison::of(&three(), 10.0))] {
        assert!(!page.contains("<img"), "markup of a stranger");
        let scripts = page.matches("<script").count();
        assert_eq!(scripts, page.matches("</script>").count());
        assert_eq!(scripts, 5, "four of ours and the data");
    }
}
