//! `loadgen TARGET`: from the command line to the exit code.

mod fleet;
pub(crate) mod prepare;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use loadgen::control::{Choice, Chosen, Control};
use loadgen::report::{Outcome, Report, csv, live, terminal};
use loadgen::run::Run;
use loadgen::web;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub(crate) use self::fleet::{master, worker};
use crate::args::RunArgs;

/// Loads what is asked for, by this process; without a target, what is chosen at the page.
pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode> {
    if !args.show.web || args.show.autostart || args.target.is_some() || args.request.scenario.is_some() {
        return follow(args, Some(prepare::run(args).await?), None).await;
    }
    follow(args, None, Some(mpsc::channel(1))).await
}

/// What is chosen at the page, and who waits for it.
type Choices = (mpsc::Sender<Chosen>, mpsc::Receiver<Chosen>);

/// Goes through runs as a person wants them, and shows what comes of each.
async fn follow(args: &RunArgs, mut run: Option<Run>, choices: Option<Choices>) -> Result<ExitCode> {
    let reports = watch::Sender::new(Arc::new(run.as_ref().map_or_else(Report::empty, Run::ready)));
    let (control, mut wishes) = mpsc::channel(16);
    tokio::spawn(interrupt(control.clone()));
    let (choose, mut choices) = choices.unzip();
    let page = match args.show.web {
        true => Some(page(args, &reports, control.clone(), choose).await?),
        false => None,
    };
    let waits_for_page = page.is_some();
    let mut begins = !waits_for_page || args.show.autostart;
    let report = loop {
        if !begins {
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(Control::Start) => {}
                    Some(Control::Stop) | None => return Ok(ExitCode::SUCCESS),
                    Some(_) => continue,
                },
                chosen = next(choices.as_mut()) => match prepared(args, chosen).await {
                    Some(made) => run = Some(made),
                    None => continue,
                },
            }
        }
        let Some(run) = &run else { continue };
        // What was shown last is over, and would end those who follow.
        reports.send_replace(Arc::new(run.ready()));
        let csv = args.show.csv()?.map(|files| tokio::spawn(csv::follow(files, reports.subscribe())));
        let live = (!args.show.headless).then(|| tokio::spawn(live::follow(reports.subscribe())));
        let report = run.go(&reports, &mut wishes).await?;
        if let Some(live) = live {
            // It ends with the run's last report.
            let _shown = live.await;
        }
        finish(args, &report)?;
        if let Some(csv) = csv {
            csv.await?.context("--csv")?;
        }
        if !waits_for_page || args.show.autoquit {
            break report;
        }
        begins = false;
    };
    drop(page);
    Ok(if Outcome::of(&report).is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits for what is chosen; for ever where nothing can be.
async fn next(choices: Option<&mut mpsc::Receiver<Chosen>>) -> Chosen {
    match choices {
        Some(choices) => match choices.recv().await {
            Some(chosen) => chosen,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Prepares what was chosen, and tells who chose it that it begins, or why it cannot.
async fn prepared(args: &RunArgs, chosen: Chosen) -> Option<Run> {
    let Choice { function, preset, scale_time } = chosen.choice;
    let mut plan = preset.plan();
    plan.scale_time(scale_time);
    let made = prepare::on_function(&args.request, function.as_str(), plan).await;
    let (made, answer) = match made {
        Ok(run) => (Some(run), Ok(())),
        Err(why) => (None, Err(format!("{why:#}"))),
    };
    let _nobody_waits = chosen.told.send(answer);
    made
}

/// Shows what has come of the run.
fn finish(args: &RunArgs, report: &Report) -> Result<()> {
    let look = live::terminal().unwrap_or(terminal::Look { width: 100, colour: false });
    println!("{}", terminal::summary(report, look));
    args.show.write(report)
}

/// Serves the live page, and says where.
async fn page(
    args: &RunArgs,
    reports: &watch::Sender<Arc<Report>>,
    control: mpsc::Sender<Control>,
    choices: Option<mpsc::Sender<Chosen>>,
) -> Result<impl Drop + use<>> {
    let place = (args.show.web_host, args.show.web_port);
    let listener = TcpListener::bind(place).await.with_context(|| {
        let (host, port) = place;
        format!("the page cannot be at {}: --web-port says another port", std::net::SocketAddr::new(host, port))
    })?;
    eprintln!("http://{}", listener.local_addr()?);
    let page = tokio::spawn(web::serve(listener, reports.subscribe(), control, choices));
    Ok(tokio_util::task::AbortOnDropHandle::new(page))
}

/// The first Ctrl-C ends the run, and it is reported what ran so far; the second ends the process.
async fn interrupt(control: mpsc::Sender<Control>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("stopping: waiting for answers; once more to end at once");
        let _ended = control.send(Control::Stop).await;
    }
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(130);
    }
}
