//! Tables and charts of all results that are there.

use std::path::Path;

use drover_testkit::bench::Result;
use loadgen::report::figures::{clock, millis, percent, rate};
use loadgen::rightsize::chart::{Chart, Dot, Line, Side};
use loadgen::rightsize::trial::Trial;
use loadgen::rightsize::{Sizing, Verdict};

use crate::Folders;
use crate::parts::{Kind, NAMES, Question, part};

/// Between these the page is written by this bench.
const BEGIN: &str = "<!-- what follows is written by the bench `needs` -->";
const END: &str = "<!-- what was written by the bench `needs` ends here -->";

/// The lines of the chart: whose names begin so, in which colour, and what they are.
const SERIES: [(&str, &str, &str); 6] = [
    ("penguins-direct", "--grey", "penguins, without the gateway, p95 < 100 ms"),
    ("penguins", "--teal", "penguins"),
    ("covertype", "--blue", "covertype"),
    ("sentiment", "--violet", "sentiment"),
    ("fastapi-onnx", "--amber", "penguins in FastAPI, ONNX Runtime"),
    ("fastapi-sklearn", "--red", "penguins in FastAPI, scikit-learn"),
];

/// A result that is there.
struct Answered {
    question: Question,
    sizing: Sizing,
}

/// Writes the charts, and the tables into the page.
pub(crate) fn publish(folders: &Folders) -> Result<()> {
    let questions = NAMES.iter().filter_map(|name| part(name)).flat_map(|part| part.questions);
    let all: Vec<Answered> = questions
        .filter_map(|question| {
            let text = std::fs::read(folders.results.join(format!("{}.json", question.name))).ok()?;
            // Another version's result is no result of this one.
            Some(Answered { sizing: serde_json::from_slice(&text).ok()?, question })
        })
        .collect();
    let (least, growth): (Vec<_>, Vec<_>) = all.iter().partition(|one| one.question.kind == Kind::Least);
    let mut text = String::new();
    if let Some(first) = all.first() {
        text.push_str(&format!("Machine: {}, which ran generator and gateway too.\n\n", first.sizing.machine));
    }
    if !least.is_empty() {
        text.push_str(&needs(&least));
        picture(
            &folders.results,
            "cpu",
            "Least CPU by users",
            &by_users(&least, "cores", &|trial| trial.0),
            &mut text,
        )?;
        let memory = by_users(&least, "MiB", &|trial| trial.1);
        picture(&folders.results, "memory", "Least memory by users", &memory, &mut text)?;
    }
    for one in growth {
        text.push_str(&instances(one));
        picture(
            &folders.results,
            &one.question.name,
            "Requests/s by instances",
            &by_instances(&one.sizing),
            &mut text,
        )?;
    }
    let page = std::fs::read_to_string(&folders.page)?;
    std::fs::write(&folders.page, with(&page, &text)?)?;
    Ok(())
}

/// Puts `text` between the markers of `page`.
fn with(page: &str, text: &str) -> Result<String> {
    let none = "docs/rightsizing.md has no place for results: its two markers are missing";
    let (before, rest) = page.split_once(BEGIN).ok_or(none)?;
    let (_, after) = rest.split_once(END).ok_or(none)?;
    Ok(format!("{before}{BEGIN}\n\n{text}{END}{after}"))
}

fn needs(all: &[&Answered]) -> String {
    let mut text = "| what | users | promise | least CPU | least RAM | held | p95 | trials, time |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for Answered { question, sizing } in all {
        let what = SERIES.iter().find(|(start, ..)| question.name.starts_with(start)).map_or("", |(.., name)| name);
        let found = match &sizing.answer {
            Some(answer) => {
                let held = |trial: &&Trial| trial.candidate == answer.least && trial.verdict == Verdict::Held;
                let p95 = sizing.trials.iter().filter(held).map(|trial| trial.p95_ms).fold(0.0, f64::max);
                let sure = if answer.is_sure { "" } else { ", not yet sure" };
                let least = answer.least;
                // The time was over, or the machine busy: what is less was not tried any more.
                let most = if sizing.stopped.is_some() { "at most " } else { "" };
                format!(
                    "{most}{} | {most}{} MiB | {} of {}{sure} | {}",
                    least.cpu_cores,
                    least.memory_mib,
                    answer.held,
                    answer.trials,
                    millis(p95)
                )
            }
            None => format!("{} | - | - | -", unknown(sizing)),
        };
        let promises = sizing.promises.join(", ").replace('|', "/");
        text.push_str(&format!(
            "| {what} | {} | {promises} | {found} | [{}, {}](rightsizing/{}.json) |\n",
            users(sizing).map_or_else(|| "-".into(), |users| users.to_string()),
            sizing.trials.len(),
            clock(sizing.took_s),
            question.name
        ));
    }
    text + "\n"
}

/// Says why there is no answer.
fn unknown(sizing: &Sizing) -> String {
    let most = sizing.plan.get("max-cpu").map_or("", String::as_str);
    match (&sizing.stopped, sizing.trials.last()) {
        (Some(why), _) => format!("not known: {}", why.replace('|', "/")),
        (None, Some(last)) => format!("more than {most}: {}", last.verdict.why().replace('|', "/")),
        (None, None) => "not known".into(),
    }
}

fn users(sizing: &Sizing) -> Option<f64> {
    sizing.trials.first().map(|trial| trial.offer.amount())
}

fn by_users<'a>(all: &[&Answered], unit: &'static str, of: &dyn Fn((f64, f64)) -> f64) -> Chart<'a> {
    let dots = all.iter().filter_map(|Answered { question, sizing }| {
        let (_, colour, name) = SERIES.iter().find(|(start, ..)| question.name.starts_with(start))?;
        let (x, least) = (users(sizing)?, sizing.answer.as_ref()?.least);
        let y = of((least.cpu_cores, least.memory_mib as f64));
        Some(Dot { x, y, colour, text: format!("{name}, {x} users: {y} {unit}") })
    });
    let dots: Vec<_> = dots.collect();
    let is_there = |colour: &str| dots.iter().any(|dot| dot.colour == colour);
    let names =
        SERIES.iter().filter(|(_, colour, _)| is_there(colour)).map(|(_, colour, name)| (*colour, (*name).into()));
    Chart {
        names: names.collect(),
        x: Side { title: "users", is_log: true, show: plain },
        y: Side { title: unit, is_log: true, show: plain },
        dots,
        lines: Vec::new(),
        limit: None,
    }
}

fn instances(Answered { question, sizing }: &Answered) -> String {
    let size = sizing.trials.first().map(|trial| trial.candidate);
    let size = size.map_or(String::new(), |one| format!(" of {} CPU and {} MiB", one.cpu_cores, one.memory_mib));
    let way = if question.name.ends_with("direct") { "without the gateway" } else { "through the gateway" };
    let mut text = format!("Instances of penguins{size}, {way} ([raw](rightsizing/{}.json)):\n\n", question.name);
    text.push_str(
        "| instances | requests/s | p95 | CPU of the busiest | machine busy | result |\n|---|---|---|---|---|---|\n",
    );
    for trial in &sizing.trials {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            trial.candidate.count,
            rate(trial.rps),
            millis(trial.p95_ms),
            trial.cpu_percent.map_or_else(|| "-".into(), percent),
            percent(trial.machine.busy_percent),
            trial.verdict.word()
        ));
    }
    text.push('\n');
    sizing.notes.iter().for_each(|note| text.push_str(&format!("- {note}\n")));
    if let Some(law) = &sizing.law {
        text.push_str(&format!(
            "- universal scalability law: {} requests/s alone, contention {:.3}, crosstalk {:.4}, R² {:.3}\n",
            rate(law.rate),
            law.contention,
            law.crosstalk,
            law.r_squared
        ));
    }
    text + "\n"
}

fn by_instances(sizing: &Sizing) -> Chart<'_> {
    let dot = |trial: &Trial| Dot {
        x: f64::from(trial.candidate.count),
        y: trial.rps,
        colour: if trial.verdict == Verdict::Held { "--teal" } else { "--grey" },
        text: format!("{} instances: {} requests/s", trial.candidate.count, rate(trial.rps)),
    };
    Chart {
        x: Side { title: "instances", is_log: false, show: plain },
        y: Side { title: "requests/s", is_log: false, show: rate },
        dots: sizing.trials.iter().map(dot).collect(),
        lines: Vec::<Line<'_>>::new(),
        names: vec![("--teal", "measured".into())],
        limit: None,
    }
}

/// Writes a chart, and a line that shows it.
fn picture(results: &Path, name: &str, title: &str, chart: &Chart<'_>, text: &mut String) -> Result<()> {
    if let Some(file) = chart.file() {
        std::fs::write(results.join(format!("{name}.svg")), file)?;
        text.push_str(&format!("![{title}](rightsizing/{name}.svg)\n\n"));
    }
    Ok(())
}

fn plain(value: f64) -> String {
    value.to_string()
}
