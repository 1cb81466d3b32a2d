//! What a function needs, found by measurement, where it is known.
//!
//! A test binary of its own: others that run beside it would be measured too.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy's own exemption covers `#[test]` only"
)]

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drover_engine::cluster::{Cluster, Endpoint, Settings};
use drover_engine::job::{Variables, load};
use drover_engine::local::{Host, Launch, Launcher, LocalEngine};
use drover_engine::{Alone, Catalog, Scheduler};
use drover_gateway::access::{Access, AccessConfig};
use drover_gateway::{Gateway, Parts, serve};
use drover_testkit::probe::write_model;
use drover_testkit::{Nomad, built_example, eventually};
use loadgen::rightsize::{Answer, Sizing, Verdict};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// One measures at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// CPU of a row, milliseconds.
const CPU_MS: f64 = 10.0;
/// Memory that the function holds, MiB.
const MIB: f64 = 100.0;
/// Requests a second.
const RATE: f64 = 20.0;

/// Becomes an instance's program, as `drover launch` does.
#[test]
#[ignore = "not a test: what the engine runs as its launcher"]
fn launch_process() {
    let mut args = std::env::args_os().skip_while(|arg| arg != "launch_process").skip(1);
    let mut launch = Launch { parent: 0, join: Vec::new(), command: Vec::new() };
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--parent") => launch.parent = args.next().unwrap().to_str().unwrap().parse().unwrap(),
            Some("--join") => launch.join.push(args.next().unwrap().into()),
            _ => launch.command = args.by_ref().collect::<Vec<OsString>>(),
        }
    }
    if !launch.command.is_empty() {
        eprintln!("{}", launch.exec());
        std::process::exit(1);
    }
}

/// A gateway in this process, before instances of the SDK's example `burn`.
struct Place<E> {
    engine: Arc<E>,
    gateway: String,
    stop: CancellationToken,
    dir: tempfile::TempDir,
}

/// Makes the model that `burn` asks for and does not read.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model");
    std::fs::create_dir(&model).unwrap();
    write_model(&model);
    let card = std::fs::read_to_string(model.join("model.toml")).unwrap();
    std::fs::write(model.join("model.toml"), card.replace("'probe'", "'burn'")).unwrap();
    dir
}

impl Place<LocalEngine> {
    /// Starts an engine on this machine; nothing, and says so, where limits cannot be set.
    async fn local() -> Option<Self> {
        let dir = folder();
        let model = dir.path().join("model");
        let args = ["--exact", "--ignored", "--nocapture", "--", "launch_process"];
        let launcher = Launcher { program: std::env::current_exe().unwrap(), args: args.map(String::from).to_vec() };
        let settings = drover_engine::local::Settings { state_dir: dir.path().join("state"), launcher };
        let engine = Arc::new(LocalEngine::start(settings).unwrap());
        engine.add(load("burn.nomad", &job(&model), &Variables::default()).unwrap().job, None).unwrap();
        if let Some(why) = engine.limits_warning() {
            eprintln!("skipped: {why}");
            engine.shut_down().await;
            return None;
        }
        Some(Self::before(engine, dir).await)
    }

    async fn finish(self) {
        self.stop.cancel();
        self.engine.shut_down().await;
    }
}

impl<E: Catalog + Scheduler + 'static> Place<E> {
    /// Starts a gateway before `engine`, and waits until an instance is ready.
    async fn before(engine: Arc<E>, dir: tempfile::TempDir) -> Self {
        let stop = CancellationToken::new();
        let gateway = Gateway::new(Parts {
            catalog: Arc::clone(&engine) as _,
            scheduler: Arc::clone(&engine) as _,
            peers: Arc::new(Alone::default()),
            access: Access::open(AccessConfig::default()).await.unwrap(),
            settings: drover_gateway::Settings::default(),
            load: None,
            stop: stop.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(vec![listener], None, gateway.unwrap(), stop.clone()));
        let place = Self { engine, gateway: url, stop, dir };
        eventually("burn is ready", Duration::from_secs(60), || {
            let ready = place.engine.watch().borrow().all_instances().filter(|i| i.state.is_ready()).count();
            async move { (ready == 1).then_some(()) }
        })
        .await;
        place
    }

    fn loadgen(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args(words).env_remove("DROVER_KEY").kill_on_drop(true).current_dir(self.dir.path());
        command.env("DROVER_GATEWAY", &self.gateway).env("DROVER_STATE_DIR", self.dir.path().join("sizes"));
        command
    }

    /// Runs it to its end, and returns what it wrote.
    async fn sizing(&self, words: &[&str]) -> Sizing {
        let file = self.dir.path().join("out.json");
        let output = self.loadgen(words).arg("--json").arg(&file).output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        eprintln!("{said}");
        let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{e}: {said}"));
        serde_json::from_slice(&text).unwrap()
    }

    /// Makes sure that the function has what it had in the beginning.
    async fn has_what_it_had(&self) {
        eventually("burn has what it had", Duration::from_secs(20), || async {
            let status = self.engine.status().await.unwrap().remove(0);
            let size = status.size.unwrap();
            let is_cpu = (size.cpu_cores - 0.5).abs() < 0.01;
            (is_cpu && (size.memory_mib, size.memory_max_mib, status.count) == (192, Some(256), 1)).then_some(())
        })
        .await;
    }
}

/// Returns a job that runs `burn`, for this machine and for Nomad.
fn job(model: &Path) -> String {
    let (program, mhz) = (built_example("drover", "burn"), Host::read().core_mhz / 2);
    format!(
        r#"job "burn" {{
             meta {{
               drover = "function"
             }}
             update {{
               max_parallel = 0
             }}
             group "g" {{
               scaling {{
                 enabled = true
                 min     = 1
                 max     = 3
               }}
               network {{
                 port "http" {{}}
               }}
               task "t" {{
                 driver      = "raw_exec"
                 kill_signal = "SIGTERM"
                 config {{
                   command = {program:?}
                 }}
                 env {{
                   DROVER_MODEL    = {model:?}
                   DROVER_CORE_MHZ = "${{attr.cpu.frequency}}"
                   BURN_CPU_MS     = "{CPU_MS}"
                   BURN_MIB        = "{MIB}"
                 }}
                 resources {{
                   cpu        = {mhz}
                   memory     = 192
                   memory_max = 256
                 }}
                 service {{
                   name = "burn"
                   port = "http"
                   check {{
                     type     = "http"
                     path     = "/health/ready"
                     interval = "1s"
                     timeout  = "2s"
                   }}
                 }}
               }}
             }}
           }}"#
    )
}

/// Returns the answer; nothing, and says why, where the machine did too much else to find one.
fn sure(sizing: &Sizing) -> Option<Answer> {
    if let Some(why) = &sizing.stopped {
        let is_busy = sizing.trials.iter().any(|trial| matches!(trial.verdict, Verdict::Invalid(_)));
        assert!(is_busy || why.contains("--max-time"), "{why}");
        eprintln!("skipped: this machine is too busy to measure: {why}");
        return None;
    }
    let answer = sizing.answer.clone().unwrap();
    assert!(answer.is_sure, "{answer:?}");
    Some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for minutes, and needs a machine that does nothing else: run it with --ignored"]
async fn what_is_known_to_be_needed_is_found() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    // Spread over the second that they begin in, so that their requests come evenly: at random moments, a size that
    // just suffices does not keep a promise of latency.
    let users = RATE.to_string();
    let words = [
        "rightsize",
        "burn",
        "--users",
        &users,
        "--slo",
        "p95<600ms,failures<1%",
        "--counts",
        "1",
        "--min-cpu",
        "0.1",
        "--max-cpu",
        "0.5",
        "--min-memory",
        "80",
        "--max-memory",
        "200",
        "--confidence",
        "0.75",
        "--ramp",
        "1s",
        "--warm-up",
        "1s",
        "--hold",
        "4s",
        "--max-time",
        "100s",
    ];
    let sizing = place.sizing(&words).await;
    place.has_what_it_had().await;
    let Some(answer) = sure(&sizing) else { return place.finish().await };
    let cpu_ms = 1000.0 * answer.least.cpu_cores / RATE;
    assert!((cpu_ms / CPU_MS - 1.0).abs() <= 0.15, "{cpu_ms} ms of CPU for a request, and not {CPU_MS}");
    let mib = answer.least.memory_mib as f64;
    assert!((mib / MIB - 1.0).abs() <= 0.15, "{mib} MiB, and not {MIB}");
    assert!(sizing.trials.iter().any(|trial| matches!(trial.verdict, Verdict::OutOfMemory(_))));

    // The same question again is answered by the store alone.
    let again = place.sizing(&words).await;
    assert_eq!(again.n_reused, again.trials.len());
    assert_eq!(sure(&again), Some(answer));
    place.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nomad_runs_the_trials_too() {
    let _alone = ALONE.lock().await;
    let Some(nomad) = Nomad::start().await else { return };
    let dir = folder();
    let file = dir.path().join("burn.nomad");
    std::fs::write(&file, job(&dir.path().join("model"))).unwrap();
    let ran = nomad.run(dir.path(), &["job", "run", "-detach", &file.display().to_string()]);
    assert!(ran.status.success(), "{ran:?}");
    let settings = Settings {
        consul: Some(Endpoint::new(&nomad.consul.url)),
        nomad: Some(Endpoint::new(&nomad.url)),
        datacenter: None,
        namespace: "default".into(),
        own_address: ([127, 0, 0, 1], 1).into(),
        service: "drover-gateway".into(),
    };
    let place = Place::before(Arc::new(Cluster::start(settings).await.unwrap()), dir).await;
    let rate = RATE.to_string();
    let words = [
        "rightsize",
        "burn",
        "--rate",
        &rate,
        "--slo",
        "p95<600ms,failures<1%",
        "--counts",
        "1",
        "--min-cpu",
        "0.1",
        "--max-cpu",
        "0.5",
        "--min-memory",
        "90",
        "--max-memory",
        "200",
        "--grain",
        "coarse",
        "--confidence",
        "0.6",
        "--engine",
        "nomad",
        "--ramp",
        "100ms",
        "--warm-up",
        "900ms",
        "--hold",
        "3s",
        "--max-time",
        "60s",
    ];
    let sizing = place.sizing(&words).await;
    place.has_what_it_had().await;
    assert_eq!(sizing.engine, "nomad");
    place.stop.cancel();
    let Some(answer) = sure(&sizing) else { return };
    assert!((0.125..=0.4).contains(&answer.least.cpu_cores), "{}", answer.least);
}
