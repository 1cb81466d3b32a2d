//! `loadgen TARGET`: from the command line to the exit code.

mod fleet;
pub(crate) mod prepare;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use loadgen::control::Control;
use loadgen::report::{Outcome, Report, csv, live, terminal};
use loadgen::run::Run;
use loadgen::web;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

pub(crate) use self::fleet::{master, worker};
use crate::args::RunArgs;

/// Loads what is asked for, by this process.
pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode> {
    follow(args, prepare::run(args).await?).await
}

/// Goes through runs as a person wants them, and shows what comes of each.
async fn follow(args: &RunArgs, run: Run) -> Result<ExitCode> {
    let reports = watch::Sender::new(Arc::new(run.ready()));
    let (control, mut wishes) = mpsc::channel(16);
    tokio::spawn(interrupt(control.clone()));
    let page = match args.show.web {
        true => Some(page(args, &reports, control.clone()).await?),
        false => None,
    };
    let waits_for_page = page.is_some();
    let mut begins = !waits_for_page || args.show.autostart;
    let report = loop {
        if !begins {
            match wishes.recv().await {
                Some(Control::Start) => {}
                Some(Control::Stop) | None => return Ok(ExitCode::SUCCESS),
                Some(_) => continue,
            }
        }
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
) -> Result<impl Drop + use<>> {
    let place = (args.show.web_host, args.show.web_port);
    let listener = TcpListener::bind(place).await.with_context(|| {
        let (host, port) = place;
        format!("the page cannot be at {}: --web-port says another port", std::net::SocketAddr::new(host, port))
    })?;
    eprintln!("http://{}", listener.local_addr()?);
    let page = tokio::spawn(web::serve(listener, reports.subscribe(), control));
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
