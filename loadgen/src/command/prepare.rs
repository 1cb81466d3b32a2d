//! From the command line, or a master's brief, to a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use loadgen::drive::{Settings, Share};
use loadgen::files::Files;
use loadgen::fleet::Brief;
use loadgen::guard::Reach;
use loadgen::plan::{Load, Plan, Stage};
use loadgen::run::{Needs, Run};
use loadgen::scenario::{Prepared, Preparing, Scenario};
use loadgen::target::usage::Usage;
use loadgen::target::{Target, TargetSpec};
use loadgen::{slo, target};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::args::{RequestArgs, RunArgs};

/// Files that are open beside connections.
const FILES: u64 = 100;

/// What a worker is told of the requests.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    target: String,
    request: RequestArgs,
}

/// Prepares the run that a person asks for.
pub(super) async fn run(args: &RunArgs) -> Result<Run> {
    let run = asked(args, &Files::Here).await?.0;
    allow_connections(&run.plan)?;
    Ok(run)
}

/// Prepares the same for the workers of a fleet: a run, and what each of them must know.
pub(super) async fn for_workers(args: &RunArgs) -> Result<(Run, Brief)> {
    let files = Files::Kept(std::sync::Mutex::default());
    let (run, target) = asked(args, &files).await?;
    let told = Told { target, request: args.request.clone() };
    let request = serde_json::to_value(told).context("the request cannot be told to workers")?;
    let brief = Brief { plan: run.plan.clone(), request, files: files.into_map(), share: Share::ALL };
    Ok((run, brief))
}

/// Prepares a worker's part of a run, which may `reach` so far.
pub(super) async fn as_told(brief: Brief, reach: Reach) -> Result<Run> {
    let Told { target, request } = serde_json::from_value(brief.request).context("the brief cannot be read")?;
    let (files, plan) = (Files::Given(brief.files), brief.plan);
    let scenario = request.scenario.as_deref().map(|file| Scenario::load(&files, file)).transpose()?;
    let spec = request.target(&target, scenario.as_ref(), request.ca(&files)?);
    let made = made(&request, &TargetSpec { reach, ..spec }, scenario, &plan, &files, brief.share).await?;
    allow_connections(&plan)?;
    Ok(Run {
        settings: made.settings,
        described: BTreeMap::new(),
        target: made.target,
        work: Arc::new(made.work),
        plan,
        promises: Vec::new(),
        abort_on_fail: false,
        needs: None,
        fleet: None,
    })
}

/// Prepares a run of `plan` on a function, without a promise.
pub(crate) async fn on_function(request: &RequestArgs, named: &str, plan: Plan) -> Result<Run> {
    let scenario = request.scenario.as_deref().map(|file| Scenario::load(&Files::Here, file)).transpose()?;
    allow_connections(&plan)?;
    whole(request, named, scenario, plan, &Files::Here).await
}

/// Prepares what a person asks for, and returns the name of its target, too.
async fn asked(args: &RunArgs, files: &Files) -> Result<(Run, String)> {
    let request = &args.request;
    let scenario = request.scenario.as_deref().map(|file| Scenario::load(files, file)).transpose()?;
    let settings = scenario.as_ref().map(|scenario| &scenario.settings);
    let plan = args.load.plan(settings)?;
    let promises = args.show.promises(settings)?;
    let named = args.target.as_ref().or(settings.and_then(|settings| settings.target.as_ref()));
    let named = named.context("no target: give a function's name or a URL")?.clone();
    let run = whole(request, &named, scenario, plan, files).await?;
    // Those of a scenario may be of tasks that tags leave out.
    if !args.show.slo.is_empty() {
        slo::check(&promises, run.work.tasks()).context("--slo")?;
    }
    Ok((Run { promises, abort_on_fail: args.show.abort_on_fail, ..run }, named))
}

/// Prepares a run by this process, without a promise.
async fn whole(
    request: &RequestArgs,
    named: &str,
    scenario: Option<Scenario>,
    plan: Plan,
    files: &Files,
) -> Result<Run> {
    let spec = request.target(named, scenario.as_ref(), request.ca(files)?);
    let made = made(request, &spec, scenario, &plan, files, Share::ALL).await?;
    for note in made.work.notes() {
        tracing::warn!("{note}");
    }
    let needs = match &made.target.instances {
        Some(instances) => Some(Arc::new(Usage::start(instances.clone())?) as Arc<dyn Needs>),
        None => None,
    };
    Ok(Run {
        settings: made.settings,
        described: described(&plan),
        target: made.target,
        work: Arc::new(made.work),
        plan,
        promises: Vec::new(),
        abort_on_fail: false,
        needs,
        fleet: None,
    })
}

/// What a master and its workers make alike.
struct Made {
    target: Target,
    work: Prepared,
    settings: Settings,
}

async fn made(
    request: &RequestArgs,
    spec: &TargetSpec,
    scenario: Option<Scenario>,
    plan: &Plan,
    files: &Files,
    share: Share,
) -> Result<Made> {
    let target = target::resolve(spec).await?;
    let scenario = scenario.unwrap_or_else(|| request.single(spec, &target));
    let work = scenario.prepare(&Preparing {
        files,
        openapi: target.openapi.as_ref(),
        base_path: &target.base_path,
        seed: plan.seed,
        share,
        tags: &request.tags,
        exclude_tags: &request.exclude_tags,
    })?;
    let settings = request.settings(&target, spec.ca.as_ref())?;
    Ok(Made { target, work, settings })
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
    let most = |stages: &[Stage]| stages.iter().map(|stage| stage.target).fold(0.0, f64::max);
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
