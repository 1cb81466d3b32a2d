//! `loadgen TARGET`: from the command line to the exit code.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use loadgen::control::Control;
use loadgen::plan::{Load, Plan};
use loadgen::report::{InstanceReport, Outcome, Point, Report, live, terminal};
use loadgen::run::{Needs, Run};
use loadgen::scenario::{Preparing, Scenario};
use loadgen::target::usage::Usage;
use loadgen::{target, web};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::args::RunArgs;

/// Files that are open beside connections.
const FILES: u64 = 100;

/// Samples what instances need.
struct Samples(Usage);

impl Needs for Samples {
    fn reset(&self) {
        self.0.reset();
    }

    fn fill(&self, point: &mut Point) {
        let now = self.0.now();
        (point.instances, point.cpu_percent, point.ram_percent) =
            (Some(now.instances), now.cpu_percent, now.ram_percent);
    }

    fn instances(&self) -> Vec<InstanceReport> {
        self.0.instances()
    }
}

/// Loads what is asked for.
pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode> {
    let run = prepare(args).await?;
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
        let live = (!args.show.headless).then(|| tokio::spawn(live::follow(reports.subscribe())));
        let report = run.go(&reports, &mut wishes).await?;
        if let Some(live) = live {
            // It ends with the run's last report.
            let _shown = live.await;
        }
        finish(args, &report)?;
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

async fn prepare(args: &RunArgs) -> Result<Run> {
    let request = &args.request;
    let scenario = request.scenario.as_deref().map(Scenario::load).transpose()?;
    let settings = scenario.as_ref().map(|scenario| &scenario.settings);
    let plan = args.load.plan(settings)?;
    let promises = args.show.promises(settings)?;
    let named = args.target.as_ref().or(settings.and_then(|settings| settings.target.as_ref()));
    let named = named.context("no target: give a function's name or a URL")?;
    let spec = request.target(named, scenario.as_ref());
    let target = target::resolve(&spec).await?;
    let scenario = scenario.unwrap_or_else(|| request.single(&spec, &target));
    let work = scenario.prepare(&Preparing {
        openapi: target.openapi.as_ref(),
        base_path: &target.base_path,
        seed: plan.seed,
        tags: &request.tags,
        exclude_tags: &request.exclude_tags,
        ..Preparing::default()
    })?;
    for note in work.notes() {
        tracing::warn!("{note}");
    }
    let needs = match &target.instances {
        Some(instances) => Some(Arc::new(Samples(Usage::start(instances.clone())?)) as Arc<dyn Needs>),
        None => None,
    };
    allow_connections(&plan)?;
    Ok(Run {
        settings: request.settings(&target)?,
        described: described(&plan),
        target,
        work: Arc::new(work),
        plan,
        promises,
        abort_on_fail: args.show.abort_on_fail,
        needs,
    })
}

/// Serves the live page, and says where.
async fn page(
    args: &RunArgs,
    reports: &watch::Sender<Arc<Report>>,
    control: mpsc::Sender<Control>,
) -> Result<impl Drop + use<>> {
    let place = (args.show.web_host, args.show.web_port);
    let listener = TcpListener::bind(place).await.with_context(|| format!("--web: {}:{}", place.0, place.1))?;
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

/// Lets this process open as many connections as the plan may need.
fn allow_connections(plan: &Plan) -> Result<()> {
    let needed = match &plan.load {
        Load::Users(stages) => stages.iter().map(|stage| stage.target).fold(0.0, f64::max),
        Load::Rate { connections, .. } => *connections as f64,
    };
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files cannot be raised")?;
    match limit.maximum {
        Some(most) if needed + FILES as f64 > most as f64 => {
            tracing::warn!(
                "{needed} connections may be needed, and this process may open {most} files: raise `ulimit -Hn`"
            );
        }
        _ => {}
    }
    Ok(())
}

/// The plan in words, by the names of the options.
fn described(plan: &Plan) -> BTreeMap<String, String> {
    let time = |time| humantime::format_duration(time).to_string();
    let most = |stages: &[loadgen::plan::Stage]| stages.iter().map(|stage| stage.target).fold(0.0, f64::max);
    let mut all = BTreeMap::new();
    match &plan.load {
        Load::Users(stages) => {
            all.insert("users".to_owned(), most(stages).to_string());
            all.insert("wait-time".to_owned(), plan.wait.to_string());
        }
        Load::Rate { stages, connections, .. } => {
            all.insert("rate".to_owned(), most(stages).to_string());
            all.insert("connections".to_owned(), connections.to_string());
        }
    }
    if let Some(end) = plan.end() {
        all.insert("run-time".to_owned(), time(end));
    }
    all.insert("timeout".to_owned(), time(plan.timeout));
    all.insert("stop-timeout".to_owned(), time(plan.stop_timeout));
    all.insert("seed".to_owned(), plan.seed.to_string());
    all
}
