//! `drover up`: runs functions on this machine.

mod build;
mod example;
mod feedback;
mod jobs;
mod load;
mod observe;
mod servers;
mod terminal;
mod watch;

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use drover_core::FunctionName;
use drover_engine::local::{Launcher, LocalEngine, Settings};
use drover_engine::{Catalog, InstanceState, Snapshot};
use drover_gateway::Gateway;
use drover_gateway::access::{Access, AccessConfig};
use http::Method;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::{Place, Up};
use crate::client::{Client, Door};
use crate::control::print;
use crate::signals::Signals;
use feedback::Feedback;
use jobs::Plan;
use load::Generator;
use servers::Servers;
use terminal::Terminal;

/// How long a replaced instance may take until it is ready.
const REPLACE_LIMIT: Duration = Duration::from_secs(60);

/// Builds, starts, serves, and drains at the first signal.
pub(crate) async fn up(args: Up, place: &Place) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::new(args.quiet);
    let plan = Plan::read(&args)?;
    for warning in &plan.warnings {
        terminal.warn(warning);
    }
    // Asked for before the build, which may take minutes.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .with_context(|| format!("the gateway cannot listen on 127.0.0.1:{} (see --port)", args.port))?;
    let address = listener.local_addr()?;
    let mut signals = Signals::new()?;
    if !args.no_build {
        let build = async {
            build::functions(&plan.functions, &terminal).await?;
            build::fetch_runtime(&plan.functions).await
        };
        tokio::select! {
            built = build => built?,
            () = signals.next() => return Ok(ExitCode::FAILURE),
        }
    }
    drover_telemetry::start("drover-gateway", None).map_err(anyhow::Error::msg)?;
    let feedback = Feedback::start(args.feedback.as_deref(), &place.state_dir).await?;
    let launcher = Launcher { program: std::env::current_exe()?, args: vec!["launch".into()] };
    let engine = Arc::new(LocalEngine::start(Settings { state_dir: place.state_dir.clone(), launcher })?);
    engine.record(Some(address)).context("the state cannot be written")?;
    let show = terminal.follow(engine.follow());
    let mut names = Vec::new();
    let added = plan.jobs.into_iter().try_for_each(|job| engine.add(job, args.count).map(|name| names.push(name)));
    if let Err(e) = added {
        engine.shut_down().await;
        return Err(e.into());
    }
    if let Some(warning) = engine.limits_warning() {
        terminal.warn(&warning);
    }

    let stop = CancellationToken::new();
    let servers = Servers::default();
    let generator = Generator::new(address, &place.state_dir, !args.no_build, servers.clone(), terminal)?;
    // What they ask this gateway for before it serves waits for it, as the port is taken.
    let prometheus = if args.observe {
        let started = observe::start(&servers, address, &place.state_dir, terminal);
        started.inspect_err(|why| terminal.warn(&format!("{why:#}"))).ok().flatten()
    } else {
        None
    };
    let settings = drover_gateway::Settings { feedback: feedback.settings.clone(), prometheus, ..Default::default() };
    let gateway = Gateway::new(drover_gateway::Parts {
        catalog: Arc::clone(&engine) as _,
        scheduler: Arc::clone(&engine) as _,
        peers: Arc::new(drover_engine::Alone::default()),
        access: Access::open(AccessConfig::default()).await?,
        settings,
        load: Some(Arc::new(generator)),
        stop: stop.clone(),
    })?;
    let server = tokio::spawn(drover_gateway::serve(vec![listener], None, gateway, stop.clone()));
    let url = format!("http://{address}");
    let welcome = tokio::spawn(welcome(Arc::clone(&engine), url, names));
    let watching = if args.watch { Some(watch::start(plan.functions, Arc::clone(&engine), terminal)?) } else { None };
    tokio::select! {
        () = signals.next() => {}
        () = stop.cancelled() => {}
    }
    terminal.say("stopping; once more Ctrl-C kills at once");
    welcome.abort();
    drop(watching);
    stop.cancel();
    let drain = async {
        let served = server.await;
        feedback.stop().await;
        engine.shut_down().await;
        servers.stop().await;
        served
    };
    tokio::pin!(drain);
    let served = tokio::select! {
        served = &mut drain => served,
        () = signals.next() => {
            engine.kill();
            engine.shut_down().await;
            return Ok(ExitCode::FAILURE);
        }
    };
    served.context("the gateway failed")?;
    show.abort();
    terminal.say("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Waits for the instances and says how to reach them.
async fn welcome(engine: Arc<LocalEngine>, url: String, names: Vec<FunctionName>) {
    let mut catalog = engine.watch();
    let settled = |snapshot: &Arc<Snapshot>| {
        let still = |state| matches!(state, InstanceState::Starting | InstanceState::Waiting);
        !snapshot.all_instances().any(|i| still(i.state) && i.restarts == 0)
            && names.iter().all(|name| snapshot.instances(name).is_some())
    };
    let _engine_gone = catalog.wait_for(settled).await.is_err();
    let client = Client::new(Door { gateway: url.clone(), ..Door::default() });
    let mut text = format!("\ngateway    {url}\n");
    for name in &names {
        let at = format!("{url}/functions/{name}");
        text.push_str(&format!("{name:<10} {at}/predict   docs: {at}/docs\n"));
    }
    let snapshot = Arc::clone(&catalog.borrow());
    let ready = |name: &&FunctionName| snapshot.instances(name).unwrap_or_default().iter().any(|i| i.state.is_ready());
    for name in names.iter().filter(ready) {
        let openapi = async {
            client.as_ref().ok()?.call(Method::GET, &format!("/functions/{name}/openapi.json"), None).await.ok()
        }
        .await;
        let example = openapi.and_then(|openapi| example::of(&openapi));
        if let Some(example) = example {
            text.push_str(&format!("\n{}\n", example::curl(&format!("{url}/functions/{name}/predict"), &example)));
        }
    }
    print(&format!("{text}\n"));
}
