//! What was found as one HTML file with charts, which needs nothing else: no network, no script.

use super::chart::{Chart, Dot, Line, Side};
use super::text::{is_bad, line, text};
use super::trial::Trial;
use super::{Kind, Sizing, Verdict};
use crate::assets;
use crate::report::figures::{millis, rate};
use crate::report::html::escaped;

/// Returns the file that shows `sizing`.
#[must_use]
pub fn page(sizing: &Sizing) -> String {
    let charts: String = charts(sizing)
        .into_iter()
        .map(|(title, svg)| format!("<figure><figcaption><b>{title}</b></figcaption>{svg}</figure>\n"))
        .collect();
    let plan: String = sizing
        .plan
        .iter()
        .map(|(name, value)| format!(r#"<span class="setting">{} <b>{}</b></span> "#, escaped(name), escaped(value)))
        .collect();
    let (style, function) = (assets::PAGE_CSS, escaped(&sizing.function));
    let facts = escaped(&format!("{} · {} · {} · {}", sizing.began, sizing.machine, sizing.engine, sizing.code));
    let all = escaped(&text(sizing));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>What {function} needs</title>
<style>{style}
svg {{ width: 100%; height: auto; }}
pre {{ overflow-x: auto; }}
</style>
</head>
<body>
<main>
<header><div class="title"><h1>{function}</h1></div><p class="facts">{facts}</p></header>
<div class="settings">{plan}</div>
<div class="charts">
{charts}</div>
<section><pre>{all}</pre></section>
</main>
</body>
</html>
"#
    )
}

/// Returns the charts that this has trials for, each with its title.
fn charts(sizing: &Sizing) -> Vec<(&'static str, String)> {
    let trials = &sizing.trials;
    let cores = Side { title: "CPU of an instance, cores", is_log: true, show: number };
    let p95 = Side { title: "p95", is_log: true, show: millis };
    let memory = Side { title: "RAM of an instance, MiB", is_log: true, show: number };
    let throughput = Side { title: "Requests/s", is_log: false, show: rate };
    let count = Side { title: "Instances", is_log: false, show: number };
    let load = Side { title: "Load", is_log: true, show: number };
    let was_run = |trial: &&Trial| trial.requests > 0;
    let dots = |of: &dyn Fn(&Trial) -> (f64, f64), all: &mut dyn Iterator<Item = &Trial>| -> Vec<Dot> {
        all.map(|trial| {
            let (x, y) = of(trial);
            Dot { x, y, colour: colour(trial), text: line(trial, false) }
        })
        .collect()
    };
    let limit = p95_limit(&sizing.promises);
    let mut charts = Vec::new();
    let mut add = |title, chart: Chart<'_>| charts.extend(chart.svg().map(|svg| (title, svg)));
    if sizing.kind != Kind::Scaling {
        let found = dots(&|trial| (trial.candidate.cpu_cores, trial.p95_ms), &mut trials.iter().filter(was_run));
        add("CPU against p95", Chart { x: cores, y: p95, dots: found, lines: Vec::new(), names: Vec::new(), limit });
        let found = dots(&|trial| (trial.candidate.cpu_cores, trial.candidate.memory_mib as f64), &mut trials.iter());
        add(
            "What holds: CPU and RAM",
            Chart { x: cores, y: memory, dots: found, lines: Vec::new(), names: Vec::new(), limit: None },
        );
    }
    if sizing.kind == Kind::Capacity || sizing.kind == Kind::Matrix {
        let found = dots(&|trial| (trial.offer.amount(), trial.p95_ms), &mut trials.iter().filter(was_run));
        add("Load against p95", Chart { x: load, y: p95, dots: found, lines: Vec::new(), names: Vec::new(), limit });
    }
    if sizing.kind == Kind::Scaling {
        let found = dots(&|trial| (f64::from(trial.candidate.count), trial.rps), &mut trials.iter().filter(was_run));
        let law = sizing.law;
        let fitted = move |n: f64| law.map_or(0.0, |law| if n > 0.0 { law.at(n) } else { 0.0 });
        let ideal = move |n: f64| law.map_or(0.0, |law| law.rate * n);
        let lines = match law {
            Some(_) => vec![
                Line { of: &fitted, colour: "--blue", is_dashed: false },
                Line { of: &ideal, colour: "--grey", is_dashed: true },
            ],
            None => Vec::new(),
        };
        add(
            "Instances against throughput: measured, fitted, ideal (dashed)",
            Chart { x: count, y: throughput, dots: found, lines, names: Vec::new(), limit: None },
        );
        let found = dots(&|trial| (f64::from(trial.candidate.count), trial.p95_ms), &mut trials.iter().filter(was_run));
        add(
            "Instances against p95",
            Chart { x: count, y: p95, dots: found, lines: Vec::new(), names: Vec::new(), limit },
        );
    }
    charts
}

fn colour(trial: &Trial) -> &'static str {
    match trial.verdict {
        Verdict::Held => "--teal",
        Verdict::OutOfMemory(_) => "--violet",
        _ if is_bad(trial) => "--red",
        _ => "--grey",
    }
}

fn number(value: f64) -> String {
    ((value * 1e3).round() / 1e3).to_string()
}

/// Returns the limit that is promised of p95, milliseconds.
fn p95_limit(promises: &[String]) -> Option<f64> {
    let all = crate::slo::parse(&promises.join(",")).ok()?;
    let is_p95 = |promise: &&crate::slo::Promise| matches!(promise.what, crate::slo::Measure::Percentile(percentile) if percentile.name == "p95");
    all.iter().find(is_p95).map(|promise| promise.limit)
}
