//! The report as Markdown, for issues and wikis.

use super::figures::{clock, plain};
use super::sections::sections;
use super::table::escaped;
use super::{Outcome, Report};

/// Returns `report` as Markdown.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = format!("# Load on {}\n\n", escaped(&report.target));
    text.push_str(&format!("**{}**", Outcome::of(report).words()));
    text.push_str(&format!(" · {} · began {}", clock(report.elapsed_s), escaped(&report.began)));
    text.push_str(&format!(" · loadgen {}\n\n", escaped(&report.version)));
    if !report.invalid.is_empty() {
        text.push_str("> **Invalid: do not believe these figures.**\n");
        for reason in &report.invalid {
            text.push_str(&format!("> - {}\n", escaped(reason)));
        }
        text.push('\n');
    }
    if !report.plan.is_empty() {
        let settings = report.plan.iter().map(|(name, value)| format!("{} {}", escaped(name), escaped(value)));
        text.push_str(&format!("Plan: {}\n\n", settings.collect::<Vec<_>>().join(" · ")));
    }
    for (title, table) in sections(report) {
        text.push_str(&format!("## {title}\n\n{}\n", table.markdown()));
    }
    samples(report, &mut text);
    text
}

/// Bodies of answers stand in a code block, as they came but for what cannot be seen.
fn samples(report: &Report, text: &mut String) {
    const MAX: usize = 500;
    let with_samples: Vec<_> = report.failures.iter().filter(|failure| !failure.samples.is_empty()).collect();
    if with_samples.is_empty() {
        return;
    }
    text.push_str("## Samples of failed answers\n\n");
    for failure in with_samples {
        text.push_str(&format!("{}: {}\n\n", escaped(&failure.kind), escaped(&failure.detail)));
        for sample in &failure.samples {
            // Indented: unlike a fence, nothing inside can end it.
            text.push_str(&format!("    {}\n\n", plain(sample, MAX)));
        }
    }
}
