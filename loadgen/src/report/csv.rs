//! CSV files as Locust writes them: the same names of files and columns, in the same order, where they mean
//! the same. Times are milliseconds, with decimals that Locust does not have. As Locust does, [`follow`] writes them
//! while a run goes on, so that one that is killed leaves them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::Writer;
use tokio::sync::watch;

use super::figures::plain;
use super::{Latency, Point, Report, TaskReport};

/// The longest text of a stranger.
const TEXT_MAX: usize = 1000;
const PERCENTILES: [&str; 11] = ["50%", "66%", "75%", "80%", "90%", "95%", "98%", "99%", "99.9%", "99.99%", "100%"];

/// `PREFIX_stats.csv`, `PREFIX_stats_history.csv` and `PREFIX_failures.csv` of one run.
#[derive(Debug)]
pub struct Files {
    prefix: PathBuf,
    history: File,
    /// The last second that is in the history.
    at_s: f64,
}

impl Files {
    /// Makes the files anew, with their first lines.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn create(prefix: &Path) -> io::Result<Self> {
        let history = File::create(path(prefix, "_stats_history.csv"))?;
        let mut files = Self { prefix: prefix.into(), history, at_s: 0.0 };
        files.history.write_all(self::history(&Report::empty()).as_bytes())?;
        files.renew(&Report::empty())?;
        Ok(files)
    }

    /// Adds the seconds that are new, and renews the rest.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&mut self, report: &Report) -> io::Result<()> {
        let new: Vec<_> = report.history.iter().filter(|point| point.at_s > self.at_s).collect();
        if let Some(last) = new.last() {
            self.at_s = last.at_s;
            self.history.write_all(rows(new.into_iter().map(seconds)).as_bytes())?;
        }
        self.renew(report)
    }

    fn renew(&self, report: &Report) -> io::Result<()> {
        for (suffix, text) in [("_stats.csv", stats(report)), ("_failures.csv", failures(report))] {
            // Whoever reads it, or kills this process meanwhile, has the old one or the new one.
            let half = path(&self.prefix, &format!("{suffix}.new"));
            fs::write(&half, text)?;
            fs::rename(half, path(&self.prefix, suffix))?;
        }
        Ok(())
    }
}

/// Writes every report that comes, until the run is over or nobody renews it.
///
/// # Errors
/// A file cannot be written.
pub async fn follow(mut files: Files, mut reports: watch::Receiver<Arc<Report>>) -> io::Result<()> {
    loop {
        let report = Arc::clone(&reports.borrow_and_update());
        files.write(&report)?;
        if report.state.is_over() || reports.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn path(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Returns one row for each task, and one for all.
#[must_use]
pub fn stats(report: &Report) -> String {
    let names = [
        "Type",
        "Name",
        "Request Count",
        "Failure Count",
        "Median Response Time",
        "Average Response Time",
        "Min Response Time",
        "Max Response Time",
        "Average Content Size",
        "Requests/s",
        "Failures/s",
    ];
    let rows = report.tasks.iter().chain([&report.total]).map(|task| {
        let failures_per_s = if report.elapsed_s > 0.0 { task.failures as f64 / report.elapsed_s } else { 0.0 };
        let mut row = vec![text(&task.method), text(name_of(task, &report.total))];
        row.extend([task.requests.to_string(), task.failures.to_string()]);
        row.extend(summary(&task.latency));
        row.extend([number(task.mean_bytes), number(task.rps), number(failures_per_s)]);
        row.extend(percentiles(task.requests, &task.latency));
        row
    });
    table(names.into_iter().chain(PERCENTILES), rows)
}

/// Returns one row a second: rates of that second, everything else since the run's beginning.
#[must_use]
pub fn history(report: &Report) -> String {
    let begin = ["Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s"];
    let end = [
        "Total Request Count",
        "Total Failure Count",
        "Total Median Response Time",
        "Total Average Response Time",
        "Total Min Response Time",
        "Total Max Response Time",
        "Total Average Content Size",
    ];
    table(begin.into_iter().chain(PERCENTILES).chain(end), report.history.iter().map(seconds))
}

fn seconds(point: &Point) -> Vec<String> {
    let mut row = vec![format!("{:.0}", point.unix_s.floor()), point.users.to_string()];
    row.extend([String::new(), "Aggregated".into()]);
    row.extend([format!("{:.6}", point.rps), format!("{:.6}", point.failures_per_s)]);
    row.extend(percentiles(point.requests, &point.latency));
    row.extend([point.requests.to_string(), point.failures.to_string()]);
    row.extend(summary(&point.latency));
    row.push(number(point.mean_bytes));
    row
}

/// Returns one row for each kind of failure.
#[must_use]
pub fn failures(report: &Report) -> String {
    let rows = report.failures.iter().map(|failure| {
        let error = format!("{}: {}", failure.kind, failure.detail);
        vec![text(&failure.method), text(&failure.task), text(&error), failure.count.to_string()]
    });
    table(["Method", "Name", "Error", "Occurrences"].into_iter(), rows)
}

fn name_of<'a>(task: &'a TaskReport, total: &TaskReport) -> &'a str {
    if std::ptr::eq(task, total) { "Aggregated" } else { &task.name }
}

/// Median, average, least and most.
fn summary(latency: &Latency) -> [String; 4] {
    [latency.p50_ms, latency.mean_ms, latency.min_ms, latency.max_ms].map(number)
}

fn percentiles(requests: u64, l: &Latency) -> [String; 11] {
    if requests == 0 {
        return std::array::from_fn(|_| "N/A".into());
    }
    let all = [l.p50_ms, l.p66_ms, l.p75_ms, l.p80_ms, l.p90_ms, l.p95_ms, l.p98_ms, l.p99_ms, l.p999_ms, l.p9999_ms];
    let mut texts = all.into_iter().chain([l.max_ms]).map(number);
    std::array::from_fn(|_| texts.next().unwrap_or_default())
}

/// Returns the shortest text that is exact to a thousandth.
fn number(value: f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}

/// Returns `text` such that no spreadsheet takes it for a formula and no terminal for a command.
fn text(text: &str) -> String {
    let text = plain(text, TEXT_MAX);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}

fn table<'n>(names: impl Iterator<Item = &'n str>, rows_of: impl Iterator<Item = Vec<String>>) -> String {
    rows([names.map(str::to_owned).collect()].into_iter().chain(rows_of))
}

fn rows(rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    // Into memory, and all rows have as many cells: nothing can fail.
    for row in rows {
        let _always = writer.write_record(row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
