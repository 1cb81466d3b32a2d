//! `loadgen rightsize`, `capacity`, `scaling`, `matrix`: from the command line to the exit code.
//!
//! What the function has is noted before the first change, and given back at the end: after the last trial, a failure or
//! Ctrl-C. If the process is killed, the note is still there, and the next start gives it back first.

mod ask;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use drover_engine::EngineKind;
use loadgen::files::Files;
use loadgen::plan::{Plan, Wait};
use loadgen::report::Report;
use loadgen::report::figures::clock;
use loadgen::rightsize::deploy::{Deployer, Held, NotDeployed};
use loadgen::rightsize::store::{Question, Store};
use loadgen::rightsize::trial::{Running, Setup, Timing};
use loadgen::rightsize::{Error, Progress, SCHEMA, Session, Sizing, apply, machine, page, text};
use loadgen::slo::{self, Promise};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::ask::Outcome;
use crate::args::{Ask, CommonArgs, EngineArg, RightsizeArgs};
use crate::command::prepare;

/// What is promised unless somebody says otherwise.
const PROMISES: &str = "p95<1s,failures<1%";
/// How long answers are waited for at the end of a trial.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Answers what is asked.
pub(crate) async fn size<'a>(ask: impl Into<Ask<'a>>) -> Result<ExitCode> {
    let ask = ask.into();
    let common = ask.common();
    let named = common.target.as_ref().context("no function was named")?;
    let spec = common.request.target(named, None, common.request.ca(&Files::Here)?);
    let deployer = Deployer::new(&spec)?;
    let store = Store::open(&common.state_dir.join("rightsize.sqlite"))?;
    let _alone = alone(common)?;
    let (gateway, function) = (deployer.gateway().to_owned(), deployer.function().to_string());
    if let Some(held) = store.held(&gateway, &function)? {
        eprintln!("trials of {function} were cut off: giving back what it had before");
        deployer.restore(&held).await.context("it does not have what it had")?;
        store.give_back(&gateway, &function)?;
    }
    if common.restore {
        println!("{function} has what it had");
        return Ok(ExitCode::SUCCESS);
    }
    let held = checked(&deployer, common).await?;
    if let Ask::Rightsize(RightsizeArgs { apply: Some(file), .. }) = ask {
        // Not after minutes of trials.
        apply::check(&read(file)?).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
    }
    store.hold(&gateway, &function, &held)?;
    let done = measure(ask, &deployer, &store, &held).await;
    eprintln!("giving {function} back what it had");
    let restored = deployer.restore(&held).await;
    if restored.is_ok() {
        store.give_back(&gateway, &function)?;
    }
    let sizing = done?;
    show(ask, &sizing)?;
    restored
        .with_context(|| format!("{function} does not have what it had: `loadgen rightsize {function} --restore`"))?;
    Ok(if sizing.stopped.is_some() || sizing.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Keeps a second of these commands away, which would take the first one's note for that of a killed one.
fn alone(common: &CommonArgs) -> Result<File> {
    let path = common.state_dir.join("rightsize.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another rightsize runs with the state in {}", common.state_dir.display())
        }
        Err(TryLockError::Error(e)) => Err(e).with_context(|| path.display().to_string()),
    }
}

/// Returns what the function has, if its size can be changed.
async fn checked(deployer: &Deployer, common: &CommonArgs) -> Result<Held> {
    let held = deployer.look().await?;
    let wanted = common.engine.map(|engine| match engine {
        EngineArg::Local => EngineKind::Local,
        EngineArg::Nomad => EngineKind::Nomad,
    });
    let (function, engine) = (deployer.function(), held.engine.label());
    if let Some(wanted) = wanted.filter(|wanted| *wanted != held.engine) {
        bail!("the gateway at {} runs {function} on {engine}, not on {}", deployer.gateway(), wanted.label());
    }
    if held.engine == EngineKind::Fixed {
        bail!("{function} has fixed instances, which something else runs: nobody here can give them another size");
    }
    if held.size.is_none() {
        bail!(
            "what an instance of {function} may use is not known: the gateway's token must be able to read Nomad's nodes"
        );
    }
    Ok(held)
}

async fn measure(ask: Ask<'_>, deployer: &Deployer, store: &Store, held: &Held) -> Result<Sizing> {
    let (common, began, clock) = (ask.common(), SystemTime::now(), Instant::now());
    let promises = promises(ask)?;
    let texts: Vec<String> = promises.iter().map(ToString::to_string).collect();
    let seconds = Duration::as_secs_f64;
    let timing =
        Timing { ramp_s: seconds(&common.ramp), warm_up_s: seconds(&common.warm_up), hold_s: seconds(&common.hold) };
    let code = deployer.code(held).await.map_err(|e| match e {
        NotDeployed::Error(e) => e,
        NotDeployed::OutOfMemory(why) | NotDeployed::NotReady(why) => Error::Gateway(why),
    })?;
    let wait = common.wait_time.unwrap_or(match ask {
        Ask::Scaling(_) => Wait::None,
        _ => Wait::Pacing(Duration::from_secs(1)),
    });
    let plan = Plan { wait, timeout: common.timeout, stop_timeout: STOP_TIMEOUT, ..Plan::default() };
    let question = Question {
        function: deployer.function().to_string(),
        code: code.clone(),
        engine: held.engine.label().to_owned(),
        load: format!("{} {:?} {}", common.request.digest(), plan.timeout, plan.wait),
        promises: texts.clone(),
        timing: format!("{timing:?}"),
        machine: machine::described(),
    };
    let named = deployer.function().as_str();
    let run = |plan: Plan| -> Running<'_> {
        Box::pin(async move {
            let run = prepare::on_function(&common.request, named, plan).await;
            run.map_err(|e| Error::Asked(format!("{e:#}")))
        })
    };
    let reports = watch::Sender::new(Arc::new(Report::empty()));
    let setup = Setup { deployer, promises: &promises, timing, run: &run, plan: &plan, reports: &reports };
    let mut session = Session::new(setup, store, question, !common.force, common.max_time, &tell)?;
    let outcome = ask::answer(ask, &mut session, held, interrupted()).await?;
    let Outcome { kind, answer, capacity, law, stopped, notes, settings, confidence } = outcome;
    let mut settings: BTreeMap<String, String> = settings;
    settings.insert("wait-time".into(), plan.wait.to_string());
    settings.insert("timeout".into(), humantime::format_duration(plan.timeout).to_string());
    Ok(Sizing {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        kind,
        began: humantime::format_rfc3339_seconds(began).to_string(),
        took_s: clock.elapsed().as_secs_f64(),
        function: deployer.function().to_string(),
        code,
        engine: held.engine.label().to_owned(),
        machine: machine::described(),
        plan: settings,
        promises: texts,
        timing,
        confidence,
        trials: session.trials().to_vec(),
        n_reused: session.n_reused(),
        answer,
        capacity,
        law,
        stopped,
        notes,
    })
}

fn promises(ask: Ask<'_>) -> Result<Vec<Promise>> {
    let mut promises = Vec::new();
    for text in &ask.common().slo {
        promises.extend(slo::parse(text).context("--slo")?);
    }
    // How throughput grows is asked of a function that is full.
    if promises.is_empty() && !matches!(ask, Ask::Scaling(_)) {
        promises = slo::parse(PROMISES)?;
    }
    Ok(promises)
}

/// Says what happens.
fn tell(progress: &Progress<'_>) {
    match progress {
        Progress::Tries { candidate, offer, because, n_left, left, best } => {
            let best = best.map(|best| format!("; best so far: {best}")).unwrap_or_default();
            let left = clock(left.as_secs_f64());
            eprintln!("tries {candidate} with {}: {because} (about {n_left} trials, {left} left{best})", offer.words());
        }
        Progress::Shown { trial, is_reused } => eprintln!("  {}", text::line(trial, *is_reused)),
    }
}

/// Waits for the first Ctrl-C or SIGTERM; the second one ends the process, and the note of what the function had stays.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("stopping; once more to end at once, and the next start gives back what the function had");
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
}

/// Shows what was found, and writes it where it is wanted.
fn show(ask: Ask<'_>, sizing: &Sizing) -> Result<()> {
    let common = ask.common();
    print!("{}", text::text(sizing));
    let write = |file: &Option<PathBuf>, text: &dyn Fn() -> String| match file {
        Some(file) => std::fs::write(file, text()).with_context(|| file.display().to_string()),
        None => Ok(()),
    };
    write(&common.html, &|| page::page(sizing))?;
    write(&common.markdown, &|| text::markdown(sizing))?;
    write(&common.json, &|| serde_json::to_string_pretty(sizing).unwrap_or_default() + "\n")?;
    let Ask::Rightsize(args) = ask else { return Ok(()) };
    let (Some(file), Some(answer)) = (&args.apply, &sizing.answer) else { return Ok(()) };
    let job = read(file)?;
    let plan = apply::plan(&job, answer).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
    println!("\n{}:", file.display());
    plan.changes.iter().for_each(|change| println!("  {change}"));
    std::fs::write(file, plan.text).with_context(|| file.display().to_string())
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}
