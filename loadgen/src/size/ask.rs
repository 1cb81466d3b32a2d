//! The four questions, each with its search.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use loadgen::rightsize::deploy::Held;
use loadgen::rightsize::ladder::Ladder;
use loadgen::rightsize::law::Law;
use loadgen::rightsize::trial::{Offer, Trial};
use loadgen::rightsize::wald::Wald;
use loadgen::rightsize::{Answer, Candidate, Capacity, Kind, Search, Session, Space, Verdict, machine};

use crate::args::{Ask, CapacityArgs, MatrixArgs, RightsizeArgs, ScalingArgs};

/// The share of the machine, percent, above which its cores are what holds instances up.
const FULL_PERCENT: f64 = 90.0;

/// The CPU that is tried first unless somebody knows better, cores.
const START_CPU: f64 = 0.25;

/// What came of a question.
pub(super) struct Outcome {
    pub(super) kind: Kind,
    pub(super) answer: Option<Answer>,
    pub(super) capacity: Option<Capacity>,
    pub(super) law: Option<Law>,
    pub(super) stopped: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) confidence: f64,
}

impl Outcome {
    fn new(kind: Kind, settings: &[(&str, String)]) -> Self {
        Self {
            kind,
            answer: None,
            capacity: None,
            law: None,
            stopped: None,
            notes: Vec::new(),
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            confidence: Wald::default().confidence(),
        }
    }
}

/// Answers, or stops with what is known when `interrupted` ends.
pub(super) async fn answer(
    ask: Ask<'_>,
    session: &mut Session<'_>,
    held: &Held,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome> {
    tokio::pin!(interrupted);
    let mut outcome = match ask {
        Ask::Rightsize(args) => rightsize(args, session, held, interrupted).await?,
        Ask::Capacity(args) => capacity(args, session, held, interrupted).await?,
        Ask::Scaling(args) => scaling(args, session, held, interrupted).await?,
        Ask::Matrix(args) => matrix(args, session, held, interrupted).await?,
    };
    outcome.notes.extend(machine_notes(session.trials()));
    Ok(outcome)
}

async fn rightsize(
    args: &RightsizeArgs,
    session: &mut Session<'_>,
    held: &Held,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome> {
    let offer = match (args.users, args.rate) {
        (_, Some(rate)) if rate > 0.0 && rate.is_finite() => Offer::Rate(rate),
        (_, Some(rate)) => bail!("--rate is {rate}, and must be above 0"),
        (Some(users), None) => Offer::Users(users.max(1)),
        (None, None) => bail!("give --users or --rate"),
    };
    let max_cpu = args.max_cpu.unwrap_or(machine::cores() as f64);
    if !(args.min_cpu >= 0.01 && args.min_cpu <= max_cpu) || args.min_memory > args.max_memory {
        bail!(
            "nothing to try from {} to {max_cpu} CPU and {} to {} MiB",
            args.min_cpu,
            args.min_memory,
            args.max_memory
        );
    }
    let counts: Vec<u32> = args.counts.iter().copied().filter(|n| (held.min.max(1)..=held.max).contains(n)).collect();
    if counts.is_empty() {
        bail!("the job scales from {} to {}, and --counts has none of them", held.min, held.max);
    }
    let space = Space {
        cpu: Ladder::new(args.min_cpu, max_cpu, args.grain),
        memory: Ladder::whole(args.min_memory, args.max_memory, args.grain),
        counts,
        start_cpu: args.start_cpu.unwrap_or(START_CPU),
        is_guess: args.start_cpu.is_some(),
    };
    let wald = Wald::new(args.confidence);
    let mut search = Search::new(space, args.cost, wald);
    let settings = [
        ("load", offer.words()),
        ("cost", args.cost.to_string()),
        ("min-cpu", args.min_cpu.to_string()),
        ("max-cpu", max_cpu.to_string()),
        ("min-memory", args.min_memory.to_string()),
        ("max-memory", args.max_memory.to_string()),
    ];
    let mut outcome = Outcome { confidence: wald.confidence(), ..Outcome::new(Kind::Rightsize, &settings) };
    outcome.stopped = tokio::select! {
        stopped = session.search(&mut search, offer) => stopped?,
        () = interrupted => Some("interrupted".into()),
    };
    outcome.answer = search
        .best()
        .map(|(least, found)| Answer::new(least, found, session.trials(), args.headroom, (held.min, held.max)));
    Ok(outcome)
}

async fn capacity(
    args: &CapacityArgs,
    session: &mut Session<'_>,
    held: &Held,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome> {
    let size = of(held, args.cpu, args.memory, args.count.unwrap_or(held.count.max(1)));
    allowed(held, &[size.count])?;
    let by_rate = args.by_rate;
    let offer = move |load: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole users, not negative")]
        let users = load as u64;
        if by_rate { Offer::Rate(load) } else { Offer::Users(users) }
    };
    let loads = Ladder::whole(1, args.most.max(1), args.grain);
    let wald = Wald::new(args.confidence);
    let settings = [("size", size.to_string()), ("most", args.most.to_string())];
    let mut outcome = Outcome { confidence: wald.confidence(), ..Outcome::new(Kind::Capacity, &settings) };
    outcome.stopped = tokio::select! {
        stopped = session.most(size, &loads, args.start as f64, offer, wald) => stopped?,
        () = interrupted => Some("interrupted".into()),
    };
    outcome.capacity = session.held_most(size, wald);
    if outcome.capacity.as_ref().is_some_and(|found| found.offer == offer(args.most as f64)) {
        outcome.notes.push("it may hold more: --most is the most that was tried".into());
    }
    Ok(outcome)
}

async fn scaling(
    args: &ScalingArgs,
    session: &mut Session<'_>,
    held: &Held,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome> {
    let mut all = Vec::new();
    allowed(held, &args.counts)?;
    for count in &args.counts {
        let size = of(held, args.cpu, args.memory, *count);
        all.extend((0..args.repeats.max(1)).map(|_| (size, Offer::Users(args.users.max(1) * u64::from(*count)))));
    }
    let settings = [("users", format!("{} for each instance", args.users)), ("repeats", args.repeats.to_string())];
    let mut outcome = Outcome::new(Kind::Scaling, &settings);
    outcome.stopped = tokio::select! {
        stopped = session.each(&all) => stopped?,
        () = interrupted => Some("interrupted".into()),
    };
    // What the machine did not let grow would be taken for the instances' own contention.
    let counts = |trial: &&Trial| trial.verdict == Verdict::Held;
    let points: Vec<_> =
        session.trials().iter().filter(counts).map(|t| (f64::from(t.candidate.count), t.rps)).collect();
    outcome.law = Law::fit(&points);
    outcome.notes = growth(session.trials());
    if outcome.law.is_none() {
        outcome.notes.push("the law needs three different numbers of instances with a trial that counts".into());
    }
    Ok(outcome)
}

async fn matrix(
    args: &MatrixArgs,
    session: &mut Session<'_>,
    held: &Held,
    interrupted: impl Future<Output = ()>,
) -> Result<Outcome> {
    allowed(held, &args.count)?;
    let now = held.size.map_or((0.25, 128), |size| (size.cpu_cores, size.limit_mib()));
    let cpu = if args.cpu.is_empty() { vec![now.0] } else { args.cpu.clone() };
    let memory = if args.memory.is_empty() { vec![now.1] } else { args.memory.clone() };
    let mut all = Vec::new();
    for (count, cpu_cores) in args.count.iter().flat_map(|count| cpu.iter().map(move |cpu| (*count, *cpu))) {
        for (memory_mib, users) in memory.iter().flat_map(|mib| args.users.iter().map(move |users| (*mib, *users))) {
            all.push((Candidate { cpu_cores, memory_mib, count }, Offer::Users(users)));
        }
    }
    let mut outcome = Outcome::new(Kind::Matrix, &[("combinations", all.len().to_string())]);
    outcome.stopped = tokio::select! {
        stopped = session.each(&all) => stopped?,
        () = interrupted => Some("interrupted".into()),
    };
    Ok(outcome)
}

/// Makes sure that the job allows so many instances.
fn allowed(held: &Held, counts: &[u32]) -> Result<()> {
    match counts.iter().find(|count| !(held.min.max(1)..=held.max).contains(count)) {
        Some(count) => bail!("the job scales from {} to {}, not to {count}", held.min, held.max),
        None => Ok(()),
    }
}

/// Returns a size of which what is not said stays as it is.
fn of(held: &Held, cpu: Option<f64>, memory: Option<u64>, count: u32) -> Candidate {
    let now = held.size.map_or((0.25, 128), |size| (size.cpu_cores, size.limit_mib()));
    Candidate { cpu_cores: cpu.unwrap_or(now.0), memory_mib: memory.unwrap_or(now.1), count }
}

/// Returns speed-up and efficiency of each number of instances, against that of the first.
fn growth(trials: &[Trial]) -> Vec<String> {
    let mut rates: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.verdict == Verdict::Held) {
        rates.entry(trial.candidate.count).or_default().push(trial.rps);
    }
    let mean = |all: &Vec<f64>| all.iter().sum::<f64>() / all.len() as f64;
    let Some((first, base)) = rates.first_key_value().map(|(n, all)| (f64::from(*n), mean(all))) else {
        return Vec::new();
    };
    let line = |(n, all): (&u32, &Vec<f64>)| {
        let (rate, ideal) = (mean(all), f64::from(*n) / first);
        let speed_up = rate / base;
        format!(
            "{n} instances: {rate:.0} requests/s, {speed_up:.2} times as much as {first}, {:.0} % of ideal",
            100.0 * speed_up / ideal
        )
    };
    rates.iter().map(line).collect()
}

/// Says what this machine does not let be known.
fn machine_notes(trials: &[Trial]) -> Vec<String> {
    let mut notes = Vec::new();
    let full: Vec<_> = trials.iter().filter(|trial| trial.machine.busy_percent > FULL_PERCENT).collect();
    if let Some(first) = full.first() {
        let cores = first.machine.cores;
        let least = full.iter().map(|trial| trial.candidate.count).min().unwrap_or(1);
        notes.push(format!(
            "in {} of {} trials, from {least} instances on, this machine's {cores} cores were more than {FULL_PERCENT} % busy with function, gateway and generator together: there its cores were the limit, not the size",
            full.len(),
            trials.len()
        ));
    }
    let n_invalid = trials.iter().filter(|trial| matches!(trial.verdict, Verdict::Invalid(_))).count();
    if n_invalid > 0 {
        notes.push(format!(
            "{n_invalid} trials were invalid, and count for nothing: generator or machine were in the way"
        ));
    }
    notes
}
