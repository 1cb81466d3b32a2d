//! Fleets of real processes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drover_testkit::eventually;
use loadgen::control::Control;
use loadgen::drive::Share;
use loadgen::fleet::{self, Brief, Ended, Key, Worker};
use loadgen::plan::{Plan, Wait};
use loadgen::report::{Report, RunState, json};
use loadgen::run::Run;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::command::loadgen;
use crate::drive::{Get, two_threads, users};
use crate::server::Server;

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// How long something may take on a busy machine.
const SEEN: Duration = Duration::from_secs(30);

/// A master, and what it says.
struct Master {
    child: Child,
    lines: tokio::io::Lines<BufReader<ChildStderr>>,
    address: SocketAddr,
    dir: TempDir,
}

/// What a master has come to.
struct Done {
    code: Option<i32>,
    report: Report,
}

impl Master {
    async fn start(server: &Server, workers: &str, words: &[&str]) -> Self {
        Self::start_on(&format!("http://{}/", server.address), workers, words).await
    }

    async fn start_on(url: &str, workers: &str, words: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fleet = ["master", "--headless", "--bind", "127.0.0.1:0", "--expect-workers", workers, url];
        let mut command = loadgen(&[&fleet[..], words].concat());
        let mut child = command.env("LOADGEN_KEY", KEY).arg("--json").arg(dir.path().join("a.json")).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let address = line.strip_prefix("loadgen worker --master ").unwrap_or_else(|| panic!("{line}"));
        Self { address: address.parse().unwrap(), child, lines, dir }
    }

    fn worker(&self, name: &str) -> Child {
        self.worker_with(name, KEY)
    }

    fn worker_with(&self, name: &str, key: &str) -> Child {
        self.worker_told(name, key, &[])
    }

    fn worker_told(&self, name: &str, key: &str, words: &[&str]) -> Child {
        let address = self.address.to_string();
        let mut command = loadgen(&["worker", "--master", &address, "--name", name]);
        // It needs no file of its own.
        command.args(words).env("LOADGEN_KEY", key).current_dir("/").spawn().unwrap()
    }

    /// Waits until it has said something.
    async fn says(&mut self, part: &str) -> String {
        let said = async {
            loop {
                let line = self.lines.next_line().await.unwrap().unwrap();
                if line.contains(part) {
                    return line;
                }
            }
        };
        tokio::time::timeout(SEEN, said).await.unwrap_or_else(|_| panic!("it never says {part}"))
    }

    fn json(&self) -> PathBuf {
        self.dir.path().join("a.json")
    }

    async fn done(mut self) -> Done {
        let mut rest = String::new();
        // It must not wait for who reads what it says.
        self.lines.get_mut().read_to_string(&mut rest).await.unwrap();
        let json = self.json();
        let output = self.child.wait_with_output().await.unwrap();
        let text = std::fs::read(&json).unwrap_or_else(|e| panic!("{e}: {output:?} {rest}"));
        Done { code: output.status.code(), report: json::read(&text).unwrap() }
    }
}

impl Done {
    /// Checks what holds of every run that lost nobody.
    fn check(&self, server: &Server, workers: usize) {
        let report = &self.report;
        assert_eq!(report.total.requests, server.requests(), "{:?}", report.invalid);
        assert_eq!(report.workers.len(), workers);
        assert_eq!(report.workers.iter().map(|worker| worker.requests).sum::<u64>(), report.total.requests);
        assert_eq!(report.workers.iter().map(|worker| worker.late).sum::<u64>(), report.late);
        assert!(report.workers.iter().all(|worker| !worker.lost));
        // On a machine that is busy with other things, a run may be invalid, and says so.
        assert!(report.invalid.iter().all(|why| why.contains("late") || why.contains("cores")), "{:?}", report.invalid);
        assert_eq!(self.code, Some(i32::from(!report.invalid.is_empty())));
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

async fn ended(worker: Child) -> (Option<i32>, String) {
    let output = tokio::time::timeout(SEEN, worker.wait_with_output()).await.unwrap().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let file = dir.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn four_workers_count_what_the_server_counts() {
    let server = Server::ok().await;
    let master = Master::start(&server, "4", &["--rate", "401", "--threads", "1", "-t", "3s"]).await;
    let workers = ["a", "b", "c", "d"].map(|name| master.worker(name));
    let done = master.done().await;
    done.check(&server, 4);
    let report = &done.report;
    assert_eq!((report.state, report.total.requests), (RunState::Finished, 1203), "the remainder is spread exactly");
    for worker in &report.workers {
        assert!((300..=301).contains(&worker.requests), "{worker:?}");
        assert!(worker.usage.memory_bytes > 1 << 20 && worker.usage.cores == 1.0, "{worker:?}");
        assert!(worker.round_trip_ms > 0.0 && worker.clock_ahead_ms.abs() < 20.0, "one clock: {worker:?}");
    }
    assert_eq!(report.generator.cores, 4.0);
    assert!(report.total.latency.max_ms > 0.0);
    for worker in workers {
        let (code, said) = ended(worker).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains(KEY), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn workers_need_no_file_of_their_own() {
    let server = Server::start(async |request| http::Response::new(request.into_body().into()), None).await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "rows.csv", "x\n1\n2\n3\n4\n");
    let scenario = write(
        dir.path(),
        "scenario.toml",
        "users = 3\nwait_time = \"20ms\"\nrun_time = \"1.5s\"\n\n[data.rows]\nfile = \"rows.csv\"\n\n[[tasks]]\n\
         name = \"echo\"\npath = \"/echo\"\nmethod = \"POST\"\nbody = '{\"x\": {{rows.x}}}'\n\
         check = { json = { \"/x\" = { min = 1 } } }\n",
    );
    let mut master = Master::start(&server, "2", &["-f", &scenario]).await;
    // The master has read them; whoever reads them again finds nothing.
    std::fs::remove_file(&scenario).unwrap();
    std::fs::remove_file(dir.path().join("rows.csv")).unwrap();
    let workers = [master.worker("a"), master.worker("b")];
    master.says("2 of 2 workers are there").await;
    let done = master.done().await;
    done.check(&server, 2);
    assert_eq!((done.report.total.failures, &*done.report.tasks[0].name), (0, "echo"));
    assert_eq!(done.report.history[0].users, 3);
    drop(workers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_has_another_key_is_refused_and_garbage_costs_nothing() {
    let server = Server::ok().await;
    let mut master = Master::start(&server, "1", &["-u", "2", "--wait-time", "10ms", "-t", "1s"]).await;
    let (code, said) = ended(master.worker_with("a", "another key of some length")).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("the master refuses this worker: its key is not this fleet's"), "{said}");
    assert!(!said.contains("another key") && !said.contains(KEY), "{said}");
    let told = master.says("a worker was refused").await;
    assert!(!told.contains("another key") && !told.contains(KEY), "{told}");
    let (code, said) = ended(master.worker_with("a", "")).await;
    assert_eq!(code, Some(2), "{said}");

    let four_gigabytes = [0xff; 5_000];
    let hello = br#"{"hello":{"version":"0","name":"x","nonce":"x","proof":"x"}}"#;
    let framed = |body: &[u8]| [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    let nested = framed("[".repeat(4_000).as_bytes());
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &four_gigabytes, &framed(b"{}"), &framed(hello), &nested] {
        let mut stream = TcpStream::connect(master.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut heard = Vec::new();
        // It is closed, with what was not read still on its way.
        let _reset = tokio::time::timeout(SEEN, stream.read_to_end(&mut heard)).await.unwrap();
        assert!(heard.len() < 1_000, "{}", heard.len());
    }
    let silent = TcpStream::connect(master.address).await.unwrap();
    let worker = master.worker("b");
    let done = master.done().await;
    done.check(&server, 1);
    assert_eq!(ended(worker).await.0, Some(0));
    drop(silent);
}

/// `0.0.0.0` is this machine, and no address that is known to be one's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_loads_nobody_because_the_master_says_so() {
    let server = Server::ok().await;
    let url = format!("http://0.0.0.0:{}/", server.address.port());
    let words = ["--i-own-this-target", "-u", "2", "--wait-time", "10ms", "-t", "1s"];
    let mut master = Master::start_on(&url, "1", &words).await;
    let (code, said) = ended(master.worker("a")).await;
    let why = "which is neither this machine nor a private network";
    assert!(code == Some(2) && said.contains(why) && said.contains("each worker of a fleet"), "{code:?}: {said}");
    master.says(why).await;
    assert_eq!(master.child.wait().await.unwrap().code(), Some(2));
    assert_eq!((server.connections(), server.requests()), (1, 0), "the master looked whether somebody listens");

    let master = Master::start_on(&url, "1", &words).await;
    let worker = master.worker_told("a", KEY, &["--i-own-this-target"]);
    master.done().await.check(&server, 1);
    assert_eq!(ended(worker).await.0, Some(0));
}

/// A run by rate on two workers, one of whom `end`s in its middle.
async fn loses_one(end: Signal) {
    let server = Server::ok().await;
    let mut master = Master::start(&server, "2", &["--rate", "200", "-t", "14s", "--threads", "1"]).await;
    let (a, b) = (master.worker("a"), master.worker("b"));
    eventually("both send", SEEN, || async { (server.requests() > 300).then_some(()) }).await;
    signal(&b, end);
    let told = master.says("worker b is lost").await;
    assert!(told.contains("closed") || told.contains("nothing was heard for 4s"), "{told}");
    let done = master.done().await;
    let report = &done.report;
    assert_eq!(done.code, Some(1));
    let why = report.invalid.iter().find(|why| why.contains("worker b: it was lost")).unwrap();
    assert!(why.contains("is not known"), "{why}");
    let mut lost: Vec<_> = report.workers.iter().map(|worker| (&*worker.id, worker.lost)).collect();
    lost.sort_unstable();
    assert_eq!(lost, [("a", false), ("b", true)]);
    // What the lost one had not told of is not known, and all else is.
    let (seen, real) = (report.total.requests, server.requests());
    assert!(seen <= real && real - seen < 400, "{seen} of {real}");
    let last = &report.history[report.history.len() - 3];
    assert!(last.rps > 150.0, "its share is moved: {}", last.rps);
    assert_eq!(ended(a).await.0, Some(0));
    signal(&b, Signal::KILL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_share_of_a_killed_worker_is_moved() {
    loses_one(Signal::KILL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_share_of_a_hung_worker_is_moved() {
    loses_one(Signal::STOP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_comes_late_and_one_leaves_and_the_total_stays() {
    let server = Server::ok().await;
    let mut master = Master::start(&server, "2", &["--rate", "300", "-t", "9s", "--threads", "1"]).await;
    let (a, b) = (master.worker("a"), master.worker("b"));
    eventually("both send", SEEN, || async { (server.requests() > 300).then_some(()) }).await;
    let c = master.worker("c");
    master.says("worker c at").await;
    let before = server.requests();
    eventually("it takes part", SEEN, || async { (server.requests() > before + 600).then_some(()) }).await;
    signal(&a, Signal::TERM);
    assert_eq!(ended(a).await.0, Some(0), "who leaves tells all it has seen");
    let done = master.done().await;
    done.check(&server, 3);
    // Each request of the schedule is somebody's, whoever shares it: what all sent is what one would have.
    assert_eq!(done.report.total.requests, 2700);
    assert!(done.report.workers.iter().all(|worker| worker.requests > 200), "{:?}", done.report.workers);
    assert_eq!((ended(b).await.0, ended(c).await.0), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn interrupted_a_master_reports_and_its_workers_end() {
    let server = Server::ok().await;
    let master = Master::start(&server, "2", &["-u", "4", "--wait-time", "10ms"]).await;
    let workers = [master.worker("a"), master.worker("b")];
    eventually("they send", SEEN, || async { (server.requests() > 100).then_some(()) }).await;
    signal(&master.child, Signal::INT);
    let done = master.done().await;
    done.check(&server, 2);
    assert_eq!((done.report.state, done.report.total.failures), (RunState::Stopped, 0));
    for worker in workers {
        assert_eq!(ended(worker).await.0, Some(0));
    }

    // Before enough have come, too.
    let master = Master::start(&server, "2", &[]).await;
    let worker = master.worker("a");
    signal(&master.child, Signal::INT);
    assert_eq!(master.done().await.report.state, RunState::Stopped);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_that_cannot_take_part_says_why() {
    let server = Server::ok().await;
    let master = Master::start(&server, "1", &["--ca-file", "/dev/null"]).await;
    drop(master);
    for (words, part) in [
        (&["master", "--bind", "0.0.0.0:0", "http://127.0.0.1:9"][..], "is reached by others than this machine"),
        (&["master", "--expect-workers", "0", "http://127.0.0.1:9"], "a run needs one worker at least"),
        (&["master", "--key-file", "/no/such/key", "http://127.0.0.1:9"], "/no/such/key"),
        (&["master", "--bind", "127.0.0.1:0", "http://127.0.0.1:9"], "cannot be reached"),
        (&["master", "--bind", "127.0.0.1:0", "http://192.0.2.1"], "--i-own-this-target"),
    ] {
        let output = loadgen(words).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(part), "{words:?}: {told}");
    }
    let output = loadgen(&["worker"]).env("LOADGEN_KEY", "short").output().await.unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("has 5 bytes, and must have 16 at least"));
}

/// A wish of the person who watches changes all workers, and what they do together is what was wished.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_changed_while_a_run_goes_on() {
    let server = Server::ok().await;
    let plan = Plan { wait: Wait::Pacing(Duration::from_millis(100)), ..users(3.0, 3600.0) };
    let run = Run {
        target: server.target(),
        work: Get::work("/x"),
        plan: plan.clone(),
        settings: two_threads(),
        promises: Vec::new(),
        abort_on_fail: false,
        described: BTreeMap::new(),
        needs: None,
        fleet: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let brief = Brief { plan, request: serde_json::Value::Null, files: BTreeMap::new(), share: Share::ALL };
    let master = fleet::Master::start(listener, Key::none(), brief, 2).unwrap();
    let work = async |name: &str| {
        let worker = Worker { name: name.into(), key: Key::none(), leave: CancellationToken::new() };
        let ended = worker.work(&address, async |brief: Brief| Ok(Run { plan: brief.plan, ..run.clone() })).await;
        assert_eq!(ended.unwrap(), Ended::Dismissed);
    };
    let load = async {
        let run = Run { fleet: Some(master.clone()), ..run.clone() };
        let (control, mut wishes) = mpsc::channel(4);
        let reports = watch::Sender::new(Arc::new(run.ready()));
        let seen = reports.subscribe();
        let wish = async {
            let shows = async |users| {
                eventually("users", SEEN, || async {
                    let now = seen.borrow().history.last().map(|point| point.users);
                    (now == Some(users)).then_some(())
                })
                .await;
            };
            shows(3).await;
            control.send(Control::Users { count: 8, spawn_rate: 0.0 }).await.unwrap();
            shows(8).await;
            control.send(Control::Users { count: 1, spawn_rate: 0.0 }).await.unwrap();
            shows(1).await;
            control.send(Control::Stop).await.unwrap();
        };
        let (report, ()) = tokio::join!(run.go(&reports, &mut wishes), wish);
        let report = report.unwrap();
        assert_eq!((report.state, report.total.requests), (RunState::Stopped, server.requests()));
        assert_eq!(server.connections(), 8, "users that go on keep their connections");
        master.dismiss().await;
    };
    tokio::join!(load, work("a"), work("b"));
}
