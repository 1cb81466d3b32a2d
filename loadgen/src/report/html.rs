//! The report as one HTML file with charts, which needs nothing else: no network, no other file.
//!
//! The report stands in it as JSON, and the script of the live page shows it. That script makes texts only,
//! never HTML, of what it shows, and the page runs no script but those of its own whose digests it names.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::compare::Comparison;
use super::terminal::{Look, summary};
use super::thin::thin;
use super::{Outcome, Report};
use crate::assets;

/// Points of a run that a page shows: an hour's seconds, and of longer runs fewer.
pub(crate) const POINTS_MAX: usize = 3600;

/// What the scripts show of one run.
#[derive(Debug, Serialize)]
pub(crate) struct View<'r> {
    /// The run.
    pub(crate) report: &'r Report,
    /// What it has come to, in words.
    pub(crate) outcome: &'static str,
    /// Whether that is bad news.
    pub(crate) is_bad: bool,
}

impl<'r> View<'r> {
    /// Makes the view of `report`.
    pub(crate) fn of(report: &'r Report) -> Self {
        let outcome = Outcome::of(report);
        Self { report, outcome: outcome.words(), is_bad: outcome.is_bad() }
    }
}

/// Returns the file that shows `report`.
#[must_use]
pub fn page(report: &Report) -> String {
    let look = Look { width: 100, colour: false };
    let report = &Report { history: thin(&report.history, POINTS_MAX), ..report.clone() };
    document(&format!("Load on {}", report.target), "report", &View::of(report), &summary(report, look))
}

/// Returns the file that shows `runs` beside each other, with their charts laid over each other.
#[must_use]
pub fn comparison(runs: &[(String, Report)], comparison: &Comparison) -> String {
    #[derive(Serialize)]
    struct Both<'r> {
        comparison: &'r Comparison,
        legend: String,
        histories: Vec<Vec<super::Point>>,
    }
    let histories = runs.iter().map(|(_, report)| thin(&report.history, POINTS_MAX)).collect();
    let data = Both { comparison, legend: comparison.legend(), histories };
    document("Runs compared", "comparison", &data, &comparison.text())
}

fn document(title: &str, kind: &str, data: &impl Serialize, without_scripts: &str) -> String {
    let main = if kind == "report" { assets::REPORT_JS } else { assets::COMPARE_JS };
    let scripts = [assets::UPLOT_JS, assets::CHARTS_JS, assets::VIEW_JS, main];
    let digests = scripts.map(|script| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script))));
    let digests = digests.join(" ");
    let scripts = scripts.map(|script| format!("<script>{script}</script>\n")).concat();
    // `<` is all that could end the element early.
    let data = serde_json::to_string(data).unwrap_or_default().replace('<', "\\u003c");
    let (title, text) = (escaped(title), escaped(without_scripts));
    let (uplot, licence, style) = (assets::UPLOT_CSS, assets::UPLOT_LICENCE, assets::PAGE_CSS);
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src {digests}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{uplot}{style}</style>
</head>
<body>
<main id="view"></main>
<noscript><pre>{text}</pre></noscript>
<script type="application/json" id="data">{data}</script>
<!-- uPlot, which draws the charts:
{licence}-->
{scripts}</body>
</html>
"#
    )
}

/// Returns `text` as it may stand in HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
