//! The report on a terminal: a few lines while the run goes on, and a summary at its end.

use owo_colors::{OwoColorize as _, Style};

use super::figures::{bytes, clock, count, millis, percent, plain, rate, share};
use super::sections::sections;
use super::{LoadKind, Outcome, Point, Report};

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Characters in a line.
    pub width: usize,
    /// Whether it has colours.
    pub colour: bool,
}

/// The longest text of a stranger in a line.
const TEXT_MAX: usize = 100;
/// Kinds of failures that are shown while the run goes on.
const KINDS_MAX: usize = 5;
/// Seconds that the sparkline shows.
const SPARK: usize = 40;

impl Look {
    fn paint(self, text: impl Into<String>, style: Style) -> String {
        let text = text.into();
        if self.colour { text.style(style).to_string() } else { text }
    }

    fn bad(self, text: impl Into<String>) -> String {
        self.paint(text, Style::new().red().bold())
    }

    fn dim(self, text: impl Into<String>) -> String {
        self.paint(text, Style::new().dimmed())
    }

    fn strong(self, text: impl Into<String>) -> String {
        self.paint(text, Style::new().bold())
    }

    fn good(self, text: impl Into<String>) -> String {
        self.paint(text, Style::new().green())
    }

    fn outcome(self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Kept | Outcome::Finished => self.good(outcome.words()),
            outcome if outcome.is_bad() => self.bad(outcome.words()),
            outcome => self.strong(outcome.words()),
        }
    }
}

/// Returns what a run that has ended has shown.
#[must_use]
pub fn summary(report: &Report, look: Look) -> String {
    let mut lines = vec![format!(
        "{} {}",
        look.strong(plain(&report.target, TEXT_MAX)),
        look.dim(format!("{} · began {}", clock(report.elapsed_s), plain(&report.began, TEXT_MAX)))
    )];
    for (title, table) in sections(report) {
        lines.push(String::new());
        lines.push(look.dim(title));
        let mut rows = table.text().into_iter();
        lines.extend(rows.next().map(|titles| look.strong(titles)));
        lines.extend(rows);
    }
    lines.push(String::new());
    lines.extend(report.invalid.iter().map(|reason| look.bad(format!("invalid: {}", plain(reason, 200)))));
    let broken = report.promises.iter().filter(|promise| promise.kept == Some(false));
    lines.extend(broken.map(|promise| {
        look.bad(format!("broken: {}, seen {}", plain(&promise.promise, TEXT_MAX), plain(&promise.seen, TEXT_MAX)))
    }));
    lines.push(look.outcome(Outcome::of(report)));
    lines.join("\n") + "\n"
}

/// Returns the lines that show a run while it goes on.
#[must_use]
pub fn frame(report: &Report, look: Look) -> Vec<String> {
    let now = report.history.last().cloned().unwrap_or_default();
    let mut lines = vec![head(report, look), speed(report, &now, look), times(&now, look), totals(report, &now, look)];
    lines.extend(instances(&now, look));
    lines.extend(report.invalid.iter().map(|reason| look.bad(format!("invalid: {}", plain(reason, TEXT_MAX)))));
    let broken = report.promises.iter().filter(|promise| promise.kept == Some(false));
    lines.extend(broken.map(|promise| {
        look.bad(format!("broken: {} (now {})", plain(&promise.promise, TEXT_MAX), plain(&promise.seen, TEXT_MAX)))
    }));
    lines.extend(failures(report, look));
    lines
}

/// Returns one line that shows a run while it goes on, for logs.
#[must_use]
pub fn line(report: &Report) -> String {
    let now = report.history.last().cloned().unwrap_or_default();
    let look = Look { width: 0, colour: false };
    let failed = share(report.total.failures, report.total.requests);
    let mut parts = vec![
        clock(report.elapsed_s),
        report.state.word().to_owned(),
        format!("users {}", count(now.users)),
        format!("rps {}", rate(now.rps)),
        times(&now, look),
        format!("failures {} ({})", count(report.total.failures), percent(failed)),
    ];
    if report.late > 0 {
        parts.push(format!("late {}", count(report.late)));
    }
    if !report.invalid.is_empty() {
        parts.push("invalid".into());
    }
    parts.join("  ")
}

/// Returns the last values of a row as bars between nothing and the most of them.
#[must_use]
pub fn sparkline(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = values.get(values.len().saturating_sub(width)..).unwrap_or_default();
    let most = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
        let height = if most > 0.0 { (value / most * 7.0).round() as usize } else { 0 };
        BARS.get(height).copied().unwrap_or('█')
    };
    shown.iter().map(bar).collect()
}

/// Returns a bar of which `part`, between 0 and 1, is full.
fn bar(part: f64, width: usize, look: Look) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
    let full = (part.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", look.good("━".repeat(full)), look.dim("╌".repeat(width.saturating_sub(full))))
}

fn head(report: &Report, look: Look) -> String {
    let target = plain(&report.target, 40);
    let state = report.state.word();
    let Some(remaining) = report.remaining_s else {
        return format!("{}  {state}  {}", look.strong(target), clock(report.elapsed_s));
    };
    let whole = report.elapsed_s + remaining;
    let times = format!("{} / {}", clock(report.elapsed_s), clock(whole));
    let taken = target.chars().count() + state.len() + times.len() + 6;
    let width = look.width.saturating_sub(taken).min(60);
    let part = if whole > 0.0 { report.elapsed_s / whole } else { 1.0 };
    format!("{}  {state}  {}  {times}", look.strong(target), bar(part, width, look))
}

fn speed(report: &Report, now: &Point, look: Look) -> String {
    let rates: Vec<f64> = report.history.iter().map(|point| point.rps).collect();
    let wanted = now.rate.map(|wanted| format!(" of {}", rate(wanted))).unwrap_or_default();
    let users = match report.load {
        LoadKind::Users => format!("users {}  ", look.strong(count(now.users))),
        LoadKind::Rate => String::new(),
    };
    let text = format!("{users}rps {}{wanted}  in flight {}", look.strong(rate(now.rps)), count(now.in_flight));
    let spark = sparkline(&rates, SPARK.min(look.width.saturating_sub(50)));
    format!("{text}  {}", look.good(spark))
}

fn times(now: &Point, look: Look) -> String {
    let of = |name: &str, ms: f64| format!("{name} {}", look.strong(millis(ms)));
    [of("p50", now.p50_ms), of("p95", now.p95_ms), of("p99", now.p99_ms)].join("  ")
}

fn totals(report: &Report, now: &Point, look: Look) -> String {
    let failures = report.total.failures;
    let failed = format!("failures {} ({})", count(failures), percent(share(failures, report.total.requests)));
    let late = format!("late {}", count(report.late));
    format!(
        "requests {}  {}  {}  {}",
        count(report.total.requests),
        if failures > 0 { look.bad(failed) } else { failed },
        if report.late > 0 { look.bad(late) } else { late },
        look.dim(format!(
            "generator {} CPU, {}",
            percent(now.generator_cpu_percent),
            bytes(report.generator.memory_bytes)
        )),
    )
}

fn instances(now: &Point, look: Look) -> Option<String> {
    let mut parts = vec![format!("instances {}", look.strong(count(now.instances?)))];
    parts.extend(now.cpu_percent.map(|p| format!("busiest {} CPU", percent(p))));
    parts.extend(now.ram_percent.map(|p| format!("fullest {} RAM", percent(p))));
    Some(parts.join("  "))
}

fn failures(report: &Report, look: Look) -> Vec<String> {
    let one = |failure: &super::FailureReport| {
        let text = format!("{}: {}", plain(&failure.kind, 20), plain(&failure.detail, TEXT_MAX));
        format!("{:>9} × {} {}", count(failure.count), look.bad(plain(&failure.task, 30)), text)
    };
    let mut lines: Vec<_> = report.failures.iter().take(KINDS_MAX).map(one).collect();
    if report.failures.len() > KINDS_MAX {
        lines.push(look.dim(format!("          and {} more kinds", report.failures.len() - KINDS_MAX)));
    }
    lines
}
