//! What was found, for a terminal and as Markdown.

use super::trial::Trial;
use super::{Kind, Sizing, Verdict};
use crate::report::figures::{clock, count, millis, percent, plain, rate};
use crate::report::table::{Table, escaped};

/// The longest reason in a table.
const WHY_MAX: usize = 70;

/// Returns what was found as text.
#[must_use]
pub fn text(sizing: &Sizing) -> String {
    let mut lines = vec![title(sizing), String::new()];
    lines.extend(trials(&sizing.trials).text());
    lines.push(String::new());
    lines.extend(found(sizing));
    if let Some(answer) = &sizing.answer {
        lines.push(String::new());
        lines.extend(answer.blocks.lines().map(str::to_owned));
    }
    lines.join("\n") + "\n"
}

/// Returns what was found as Markdown.
#[must_use]
pub fn markdown(sizing: &Sizing) -> String {
    let mut text = format!("# {}\n\n", escaped(&title(sizing)));
    text.push_str(&format!("Began {}, took {}. ", escaped(&sizing.began), clock(sizing.took_s)));
    text.push_str(&format!("Machine: {}. Engine: {}. ", escaped(&sizing.machine), escaped(&sizing.engine)));
    text.push_str(&format!("Runs: {}.\n\n", escaped(&sizing.code)));
    let plan = sizing.plan.iter().map(|(name, value)| format!("{} {}", escaped(name), escaped(value)));
    text.push_str(&format!("Plan: {}\n\n", plan.collect::<Vec<_>>().join(" · ")));
    for line in found(sizing) {
        text.push_str(&format!("- {}\n", escaped(&line)));
    }
    if let Some(answer) = &sizing.answer {
        text.push_str(&format!("\n```hcl\n{}```\n", answer.blocks));
    }
    text.push_str(&format!("\n{}", trials(&sizing.trials).markdown()));
    text
}

/// Returns one line of a trial, as it ends.
#[must_use]
pub fn line(trial: &Trial, is_reused: bool) -> String {
    let mut parts = vec![trial.verdict.word().to_owned(), trial.candidate.to_string(), trial.offer.words()];
    if trial.requests > 0 {
        parts.push(format!("{}/s", rate(trial.rps)));
        parts.push(format!("p95 {}", millis(trial.p95_ms)));
        parts.push(format!("failures {}", percent(trial.failures_percent)));
        parts.extend(trial.cpu_percent.map(|cpu| format!("CPU {}", percent(cpu))));
        parts.extend(trial.peak_mib.map(|mib| format!("RAM {mib:.0} MiB")));
    }
    if !trial.verdict.why().is_empty() {
        parts.push(plain(trial.verdict.why(), 200));
    }
    if is_reused {
        parts.push("(made before)".into());
    }
    parts.join("  ")
}

fn title(sizing: &Sizing) -> String {
    let function = plain(&sizing.function, 60);
    let promises = sizing.promises.join(", ");
    match sizing.kind {
        Kind::Rightsize => format!("What {function} needs for {promises}"),
        Kind::Capacity => format!("What {function} holds with {promises}"),
        Kind::Scaling => format!("How {function} grows with instances"),
        Kind::Matrix => format!("What {function} does with some sizes and loads"),
    }
}

/// Returns what was found, a sentence a line.
fn found(sizing: &Sizing) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(answer) = &sizing.answer {
        let sure = if answer.is_sure {
            format!("with {:.0} % confidence", 100.0 * sizing.confidence)
        } else {
            "which is not yet sure".into()
        };
        // What was not tried any more may be less.
        let least = if sizing.stopped.is_some() { "least so far" } else { "least" };
        lines.push(format!("{least}: {}, held in {} of {} trials, {sure}", answer.least, answer.held, answer.trials));
        lines.push(format!(
            "recommended with {:.0} % head-room: {}; {} in flight in an instance are its target",
            answer.headroom_percent, answer.recommended, answer.target_in_flight
        ));
    }
    if let Some(capacity) = &sizing.capacity {
        let (offer, rps) = (capacity.offer.words(), rate(capacity.rps));
        let (held, trials) = (capacity.held, capacity.trials);
        lines.push(format!("{} holds {offer}, {rps} requests/s, in {held} of {trials} trials", capacity.size));
    }
    if let Some(law) = &sizing.law {
        lines.push(format!(
            "universal scalability law: {} requests/s alone, contention {:.3}, crosstalk {:.4}, R² {:.3}",
            rate(law.rate),
            law.contention,
            law.crosstalk,
            law.r_squared
        ));
        lines.extend(law.most().map(|n| format!("by it throughput falls beyond {n:.1} instances")));
    }
    let is_tried = sizing.trials.iter().any(|trial| !matches!(trial.verdict, Verdict::Invalid(_)));
    if sizing.kind == Kind::Rightsize && sizing.answer.is_none() && is_tried {
        lines.push("nothing that was tried holds".into());
    }
    lines.extend(sizing.stopped.as_ref().map(|why| format!("ended before it knew: {why}")));
    lines.extend(sizing.notes.iter().cloned());
    if sizing.n_reused > 0 {
        lines.push(format!(
            "{} of {} trials were made before: --force makes them anew",
            sizing.n_reused,
            sizing.trials.len()
        ));
    }
    lines
}

fn trials(all: &[Trial]) -> Table {
    let figures = ["CPU", "RAM MiB", "Count", "Requests/s", "p95", "Failures", "CPU used", "RAM used"];
    let mut table = Table::new(["Result", "Load", "Why"], figures);
    for trial in all {
        let was_run = trial.requests > 0;
        let shown = |text: String| if was_run { text } else { "-".into() };
        let size = &trial.candidate;
        table.row([
            trial.verdict.word().to_owned(),
            trial.offer.words(),
            plain(trial.verdict.why(), WHY_MAX),
            size.cpu_cores.to_string(),
            size.memory_mib.to_string(),
            size.count.to_string(),
            shown(rate(trial.rps)),
            shown(millis(trial.p95_ms)),
            shown(percent(trial.failures_percent)),
            trial.cpu_percent.map_or_else(|| "-".into(), percent),
            trial.peak_mib.map_or_else(|| "-".into(), |mib| format!("{} MiB", count_of(mib))),
        ]);
    }
    table
}

fn count_of(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "MiB, not negative")]
    count(value.round() as u64)
}

/// Whether a trial counts against a size.
pub(super) fn is_bad(trial: &Trial) -> bool {
    matches!(trial.verdict, Verdict::Broken(_) | Verdict::OutOfMemory(_))
}
