//! What functions need, found by `loadgen rightsize` and published in docs/rightsizing.md, beside a FastAPI service that
//! does the same.
//!
//! ```text
//! cargo bench -p loadgen --bench needs                  everything, about forty minutes
//! cargo bench -p loadgen --bench needs -- scaling       some of it: penguins, covertype, sentiment, direct, fastapi, scaling
//! cargo bench -p loadgen --bench needs -- --quick       short trials with a tenth of the users, below target/needs/quick
//! ```
//!
//! It needs Linux, two cores that do nothing else, and the right to set limits. `drover up` runs what is measured, one
//! part after the other; the generator is `loadgen` as a user calls it. Trials are kept in target/needs: what was
//! interrupted goes on where it ended, and a part that was measured is not measured again unless that folder is removed
//! or the programs change. Each search has time for nine trials (`--max-time`) and ends with the best that it knows then,
//! and says so.
//!
//! A search writes all of its trials to docs/rightsizing/NAME.json. The tables between the markers of docs/rightsizing.md
//! and the charts are made of all of those files that are there, whichever parts are asked for.

mod parts;
mod place;
mod publish;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::{self, Options, Plan, Result, machine, peers, revision};
use drover_testkit::checkout;
use loadgen::rightsize::{Kind, Sizing};
use tokio::process::Command;

use self::parts::{Part, Question};
use self::place::Place;

/// What the load of a quick run is divided by.
const QUICK: u64 = 10;
/// What giving another size takes in a trial, besides its run.
const BESIDE: Duration = Duration::from_secs(4);

/// Where this run keeps its trials and writes what it finds.
pub(crate) struct Folders {
    /// Trials, and what `drover up` keeps.
    pub(crate) state: PathBuf,
    /// What is published.
    pub(crate) results: PathBuf,
    /// The page with the tables.
    pub(crate) page: PathBuf,
}

fn main() -> ExitCode {
    bench::main(&parts::NAMES, measure)
}

async fn measure(options: &Options) -> Result<Report> {
    let mut report = Report::new(revision().await?);
    let is_quick = options.plan.n_rounds == 1;
    let folders = folders(is_quick)?;
    let parts: Vec<Part> = options.measures.iter().filter_map(|name| parts::part(name)).collect();
    let most: Duration = parts.iter().flat_map(|part| &part.questions).map(|one| one.most(&options.plan)).sum();
    println!("at most {} minutes, and what has to be built before", most.as_secs() / 60 + 1);
    for part in &parts {
        if let Err(why) = answer(part, options.plan, is_quick, &folders, &mut report).await {
            report.failed(part.name, &why.to_string());
        }
        publish::publish(&folders)?;
    }
    Ok(report)
}

/// Makes the folders. A quick run says nothing that may be published.
fn folders(is_quick: bool) -> Result<Folders> {
    let (root, target) = (checkout(), place::target()?);
    let all = match is_quick {
        true => {
            let quick = target.join("needs/quick");
            Folders { state: quick.clone(), results: quick.join("results"), page: quick.join("rightsizing.md") }
        }
        false => Folders {
            state: target.join("needs"),
            results: root.join("docs/rightsizing"),
            page: root.join("docs/rightsizing.md"),
        },
    };
    std::fs::create_dir_all(&all.state)?;
    std::fs::create_dir_all(&all.results)?;
    if is_quick {
        std::fs::copy(root.join("docs/rightsizing.md"), &all.page)?;
    }
    Ok(all)
}

/// Answers all questions of a part, each with what the one before has shown.
async fn answer(part: &Part, plan: Plan, is_quick: bool, folders: &Folders, report: &mut Report) -> Result<()> {
    let python = if part.name == parts::FASTAPI { Some(peers().await?) } else { None };
    let mut place: Option<(Vec<String>, Place)> = None;
    let mut before: Option<(u64, f64)> = None;
    for question in &part.questions {
        let vars = question.vars(python.as_deref());
        if place.as_ref().is_none_or(|(of, _)| *of != vars) {
            // The other one ends first: two would share the cores.
            drop(place.take());
            place = Some((vars.clone(), Place::start(question, &vars, folders).await?));
            before = None;
        }
        let Some((_, place)) = &place else { continue };
        let users = if is_quick { question.users.div_ceil(QUICK) } else { question.users };
        let load_average = machine::load_average();
        println!("\n{} ...", question.name);
        let start = before.map(|(users, cpu)| cpu * question.users as f64 / users as f64).or(question.start_cpu);
        let sizing = ask(question, place, users, start, &plan, folders).await?;
        before = sizing.answer.as_ref().map(|answer| (question.users, answer.least.cpu_cores)).or(before);
        rows(part.name, question, &sizing, load_average, report);
    }
    Ok(())
}

/// Runs `loadgen` as a user does, and returns what it has found.
async fn ask(
    question: &Question,
    place: &Place,
    users: u64,
    start: Option<f64>,
    plan: &Plan,
    folders: &Folders,
) -> Result<Sizing> {
    let timing = question.timing(plan);
    let seconds = |time: Duration| format!("{}ms", time.as_millis());
    let file = folders.state.join(format!("{}.json", question.name));
    let _stale = std::fs::remove_file(&file);
    let mut loadgen = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    loadgen.args([question.kind.command(), question.function, "--users", &users.to_string()]);
    loadgen.args(["--gateway", &place.gateway, "--ramp", &seconds(timing.ramp), "--warm-up", &seconds(timing.warm_up)]);
    loadgen.args(["--hold", &seconds(timing.hold), "--max-time", &seconds(question.most(plan)), "--json"]);
    loadgen.arg(&file).arg("--state-dir").arg(&folders.state).args(&question.words).env_remove("DROVER_KEY");
    if let (parts::Kind::Least, Some(start)) = (question.kind, start) {
        loadgen.args(["--start-cpu", &format!("{start:.3}")]);
    }
    let status = loadgen.current_dir(checkout()).kill_on_drop(true).status().await?;
    // What ended before it knew says so in the file.
    let text = std::fs::read(&file).map_err(|e| format!("loadgen: {status}, and {}: {e}", file.display()))?;
    let sizing: Sizing = serde_json::from_slice(&text)?;
    if sizing.trials.is_empty() {
        return Err(format!("{}: no trial was made: {}", question.name, sizing.stopped.unwrap_or_default()).into());
    }
    std::fs::write(folders.results.join(format!("{}.json", question.name)), text)?;
    Ok(sizing)
}

/// Says what was found, beside the aim.
fn rows(part: &'static str, question: &Question, sizing: &Sizing, load_average: f32, report: &mut Report) {
    let mut add = |what: String, value: f64, unit, target, absolute| {
        report.add(Row { measure: part, what, value, unit, target, absolute, load_average, others: None });
    };
    match (&sizing.answer, sizing.kind) {
        (Some(answer), _) => {
            let name = &question.name;
            let sure = if answer.is_sure { "" } else { ", not yet sure" };
            // What is less was not tried any more.
            let early = if sizing.stopped.is_some() { ", ended before it knew" } else { "" };
            let shown = format!("held in {} of {} trials{sure}{early}", answer.held, answer.trials);
            let [cpu, mib] =
                question.aims.filter(|_| early.is_empty()).map_or([Target::None; 2], |aims| aims.map(Target::AtMost));
            add(format!("{name}: CPU"), answer.least.cpu_cores, " cores", cpu, shown.clone());
            add(format!("{name}: memory"), answer.least.memory_mib as f64, " MiB", mib, shown);
        }
        (None, Kind::Scaling) => {
            let rate = sizing.law.map_or(0.0, |law| law.rate);
            add(format!("{}: one instance", question.name), rate, "/s", Target::None, sizing.notes.join("; "));
        }
        (None, _) => {
            let why = sizing.stopped.clone().unwrap_or_else(|| "nothing that was tried holds".into());
            report.skipped(format!("{}: {why}", question.name));
        }
    }
}
