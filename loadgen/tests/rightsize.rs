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
use std::process::Stdio;
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
use loadgen::rightsize::trial::Trial;
use loadgen::rightsize::{Answer, Kind, Sizing, Verdict};
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
    assert_eq!(sure(&again), Some(answer.clone()));

    // Measured anew, the answer is at most one step of the ladder away.
    let anew = place.sizing(&[&words[..], &["--force"]].concat()).await;
    assert_eq!(anew.n_reused, 0);
    if let Some(other) = sure(&anew) {
        let is_near = |a: f64, b: f64| a.max(b) / a.min(b) < 1.15;
        let (a, b) = (answer.least, other.least);
        assert!(is_near(a.cpu_cores, b.cpu_cores) && is_near(a.memory_mib as f64, b.memory_mib as f64), "{a}; {b}");
    }
    place.finish().await;
}

/// What short trials take.
const SHORT: [&str; 6] = ["--ramp", "300ms", "--warm-up", "700ms", "--hold", "2s"];

/// Whether something else than the function was measured in a trial, which a machine that compiles does.
fn was_busy(sizing: &Sizing) -> bool {
    let is_busy = sizing.trials.iter().any(|trial| matches!(trial.verdict, Verdict::Invalid(_)));
    if is_busy {
        eprintln!("skipped: this machine is too busy to measure");
    }
    is_busy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capacity_is_what_the_cpu_allows() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    let words = [
        "capacity",
        "burn",
        "--cpu",
        "0.4",
        "--memory",
        "192",
        "--start",
        "20",
        "--most",
        "100",
        "--grain",
        "coarse",
        "--confidence",
        "0.6",
        "--slo",
        "p95<700ms,failures<1%",
        "--max-time",
        "60s",
    ];
    let sizing = place.sizing(&[&words[..], &SHORT].concat()).await;
    place.has_what_it_had().await;
    place.finish().await;
    assert_eq!((sizing.kind, sizing.answer.is_some()), (Kind::Capacity, false));
    if was_busy(&sizing) {
        return;
    }
    let found = sizing.capacity.unwrap();
    // 0.4 CPU are 40 requests of 10 ms; with short trials a little more waits until they end.
    let users = found.offer.amount();
    assert!((25.0..=63.0).contains(&users) && found.held > 0, "{found:?}");
    assert!((found.rps / users - 1.0).abs() < 0.2, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_grows_with_instances_and_a_law_is_fitted() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    let words =
        ["scaling", "burn", "--counts", "1,2,3", "--cpu", "0.1", "--memory", "192", "--users", "3", "--repeats", "1"];
    let sizing = place.sizing(&[&words[..], &SHORT].concat()).await;
    place.has_what_it_had().await;
    // More than the job allows is refused before anything is changed.
    let refused = place.loadgen(&["scaling", "burn", "--counts", "4"]).output().await.unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the job scales from 1 to 3, not to 4"), "{refused:?}");
    place.finish().await;
    if was_busy(&sizing) {
        return;
    }
    let counts: Vec<_> = sizing.trials.iter().map(|trial| trial.candidate.count).collect();
    assert_eq!(counts, [1, 2, 3]);
    let law = sizing.law.unwrap();
    assert!((6.0..=14.0).contains(&law.rate), "10 ms of 0.1 CPU are 10 requests a second: {law:?}");
    assert!(sizing.notes.iter().any(|note| note.starts_with("3 instances: ")), "{:?}", sizing.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_matrix_shows_what_each_size_does_with_each_load() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    let words = ["matrix", "burn", "--cpu", "0.1,0.4", "--memory", "192", "--users", "3,20", "--slo", "p95<700ms"];
    let sizing = place.sizing(&[&words[..], &SHORT].concat()).await;
    place.has_what_it_had().await;
    let refused = place.loadgen(&["matrix", "burn", "--count", "4", "--users", "1"]).output().await.unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the job scales from 1 to 3, not to 4"), "{refused:?}");
    place.finish().await;
    if was_busy(&sizing) {
        return;
    }
    let shown = |trial: &Trial| (trial.candidate.cpu_cores, trial.offer.amount(), trial.verdict == Verdict::Held);
    let all: Vec<_> = sizing.trials.iter().map(shown).collect();
    assert_eq!(all, [(0.1, 3.0, true), (0.1, 20.0, false), (0.4, 3.0, true), (0.4, 20.0, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_written_into_a_job_file_whose_comments_stay() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    let file = place.dir.path().join("burn.nomad");
    let before = "job \"burn\" {\n  group \"g\" {\n    task \"t\" {\n      # Measured.\n      resources {\n        cpu    = 7 # MHz\n        memory = 9\n      }\n    }\n  }\n}\n";
    let words = [
        "rightsize",
        "burn",
        "--users",
        "3",
        "--counts",
        "1",
        "--min-cpu",
        "0.4",
        "--max-cpu",
        "0.4",
        "--min-memory",
        "150",
        "--max-memory",
        "150",
        "--confidence",
        "0.6",
        "--apply",
        "burn.nomad",
    ];
    let words = [&words[..], &SHORT].concat();

    // What cannot be written is said before anything is tried.
    std::fs::write(&file, "job \"burn\" {}").unwrap();
    let refused = place.loadgen(&words).output().await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("no block `job` with") && !said.contains("tries"), "{said}");

    std::fs::write(&file, before).unwrap();
    let done = place.loadgen(&words).output().await.unwrap();
    let (shown, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    place.has_what_it_had().await;
    let after = std::fs::read_to_string(file).unwrap();
    place.finish().await;
    if said.contains("invalid") {
        return eprintln!("skipped: this machine is too busy to measure");
    }
    assert!(shown.contains("burn.nomad:\n  resources: cpu = "), "{shown}{said}");
    assert!(shown.contains("  resources: memory = 180, before 9"), "{shown}");
    let mhz = (0.48 * Host::read().core_mhz as f64).ceil();
    assert_eq!(after, before.replace("= 7 #", &format!("= {mhz} #")).replace("= 9\n", "= 180\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_had_is_given_back_after_an_interrupt_and_after_a_kill() {
    let _alone = ALONE.lock().await;
    let Some(place) = Place::local().await else { return };
    let words = ["rightsize", "burn", "--users", "3", "--min-cpu", "0.2", "--max-cpu", "0.2", "--hold", "60s"];
    let cut = async |signal: &str| {
        let mut child = place.loadgen(&words).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        eventually("a trial has begun", Duration::from_secs(30), || async {
            let size = place.engine.status().await.unwrap().remove(0).size.unwrap();
            ((size.cpu_cores - 0.2).abs() < 0.01).then_some(())
        })
        .await;
        let id = child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().await.unwrap().success());
        let status = child.wait().await.unwrap();
        assert!(!status.success(), "{status}");
    };
    cut("INT").await;
    place.has_what_it_had().await;

    cut("KILL").await;
    let restored = place.loadgen(&["rightsize", "burn", "--restore"]).output().await.unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert!(String::from_utf8_lossy(&restored.stderr).contains("trials of burn were cut off"), "{restored:?}");
    place.has_what_it_had().await;
    // It is forgotten, and nothing is left to give back.
    let again = place.loadgen(&["rightsize", "burn", "--restore"]).output().await.unwrap();
    assert!(again.status.success() && !String::from_utf8_lossy(&again.stderr).contains("cut off"), "{again:?}");
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
