//! The command line: from words to files and exit codes.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use loadgen::report::{Report, RunState, json};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::server::Server;

pub(crate) fn loadgen(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(words);
    for name in [
        "DROVER_KEY",
        "DROVER_GATEWAY",
        "LOADGEN_KEY",
        "CONSUL_HTTP_ADDR",
        "CONSUL_HTTP_TOKEN",
        "NOMAD_ADDR",
        "NOMAD_TOKEN",
    ] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// What a run said and wrote.
struct Done {
    output: Output,
    report: Report,
}

async fn done(child: Child, json_file: &Path) -> Done {
    let output = child.wait_with_output().await.unwrap();
    let text = std::fs::read(json_file).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    Done { output, report: json::read(&text).unwrap() }
}

impl Done {
    /// On a machine that is busy with other things, a run may be invalid, and says so.
    fn check(&self, code: i32) {
        let code = if self.report.invalid.is_empty() { code } else { 1 };
        assert_eq!(self.output.status.code(), Some(code), "{:?}: {:?}", self.report.invalid, self.output);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_writes_what_is_asked_for() {
    let server = Server::ok().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let url = format!("http://{}/x?y=1", server.address);
    let (json, html, markdown, csv) = (file("a.json"), file("a.html"), file("a.md"), file("a"));
    let words = ["-u", "4", "-r", "20", "-t", "1", "--wait-time", "between(0.01, 0.02)", "--slo", "failures<1%", &url];
    let outputs = ["--json", &json, "--html", &html, "--markdown", &markdown, "--csv", &csv, "--headless"];
    let child = loadgen(&[&words[..], &outputs].concat()).spawn().unwrap();
    let done = done(child, Path::new(&json)).await;
    done.check(0);
    assert_eq!((done.report.state, done.report.total.requests), (RunState::Finished, server.requests()));
    assert_eq!(server.connections(), 4 + 1, "one more looked whether somebody listens");
    let told = String::from_utf8(done.output.stdout).unwrap();
    assert!(told.contains("failures<1%"), "{told}");
    for (name, part) in [("a.html", "<html"), ("a.md", "|"), ("a_stats.csv", "Aggregated"), ("a_failures.csv", "Error")]
    {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.contains(part), "{name}: {text}");
    }
    let compared = loadgen(&["compare", &json, &json]).output().await.unwrap();
    assert_eq!(compared.status.code(), Some(0), "{compared:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_promise_is_exit_code_1() {
    let server = Server::ok().await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("a.json");
    let url = format!("http://{}/", server.address);
    let words =
        ["--rate", "50", "--arrivals", "poisson", "-t", "500ms", "--slo", "rps>1000", "--headless", &url, "--json"];
    let done = done(loadgen(&words).arg(&json).spawn().unwrap(), &json).await;
    assert_eq!(done.output.status.code(), Some(1), "{:?}", done.output);
    assert_eq!(done.report.promises[0].kept, Some(false));
    assert_eq!(done.report.total.requests, server.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn interrupted_it_reports_what_ran() {
    let server = Server::ok().await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("a.json");
    let url = format!("http://{}/", server.address);
    let child = loadgen(&["-u", "2", "--wait-time", "10ms", "--headless", &url, "--json"]).arg(&json).spawn().unwrap();
    while server.requests() < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let done = done(child, &json).await;
    done.check(0);
    assert_eq!(done.report.state, RunState::Stopped);
    assert_eq!(done.report.total.requests, server.requests());
    assert_eq!(done.report.total.failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_it_leaves_its_csv_files() {
    let server = Server::ok().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://{}/", server.address);
    let words = ["-u", "2", "--wait-time", "10ms", "--headless", &url, "--csv"];
    let mut child = loadgen(&words).arg(dir.path().join("a")).spawn().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    while read("a_stats_history.csv").lines().count() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    child.kill().await.unwrap();
    let stats = read("a_stats.csv");
    assert!(stats.lines().last().unwrap().starts_with(",Aggregated,") && stats.ends_with('\n'), "{stats}");
    assert!(read("a_failures.csv").starts_with("Method,Name,Error,Occurrences"));
    let history = read("a_stats_history.csv");
    assert!(history.lines().skip(1).all(|line| line.contains(",Aggregated,")), "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn instances_that_consul_lists_are_loaded() {
    let Some(consul) = drover_testkit::Consul::start().await else { return };
    let probe = drover_testkit::Probe::start(&[]).await;
    consul.register("probe", "a", probe.address().parse().unwrap(), &["drover"], "passing").await;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("a.json");
    let words = ["-u", "2", "-t", "1", "--wait-time", "10ms", "--headless", "--direct", "--threads", "1"];
    // As the commands of Consul have it: with or without a scheme, by flag or by environment.
    let bare = consul.url.trim_start_matches("http://");
    let mut by_flag = loadgen(&words);
    by_flag.args(["--consul", bare, "probe", "--data", r#"{"length": 1, "count": 1, "text": "a"}"#, "--json"]);
    let done = done(by_flag.arg(&json).spawn().unwrap(), &json).await;
    assert_eq!(done.report.instances.len(), 1, "{:?}", done.output);
    assert_eq!((&*done.report.instances[0].address, &*done.report.target), (probe.address(), "probe"));
    let output = loadgen(&["--direct", "prode"]).env("CONSUL_HTTP_ADDR", bare).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no function is called `prode`; near: `probe`"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_stands_in_the_way_of_its_outputs_is_told_before_anything_is_sent() {
    let (server, taken) = (Server::ok().await, tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (url, port) = (format!("http://{}/", server.address), taken.local_addr().unwrap().port().to_string());
    let page = format!("the page cannot be at 127.0.0.1:{port}: --web-port says another port: Address already in use");
    for (words, part) in [
        (&["--web", "--autostart", "--web-port", &*port][..], &*page),
        (
            &["--headless", "--csv", "/no/such/folder/a"],
            "--csv: /no/such/folder/a_*.csv cannot be written: No such file",
        ),
        (&["--headless", "--slo", "/x:p95<1s"], "--slo: `/x:p95<1s` is of no task; near: `/`"),
    ] {
        let output = loadgen(words).args(["-t", "1", &url]).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(part), "{words:?}: {told}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_sends_at_its_moments() {
    let server = Server::ok().await;
    let dir = tempfile::tempdir().unwrap();
    let (json, moments) = (dir.path().join("a.json"), dir.path().join("moments"));
    std::fs::write(&moments, "0\n0.1\n0.1\n\n0.35\n").unwrap();
    let url = format!("http://{}/", server.address);
    let mut command = loadgen(&["--headless", &url]);
    let child = command.arg("--replay").arg(&moments).arg("--json").arg(&json).spawn().unwrap();
    assert_eq!(done(child, &json).await.report.total.requests, 4);

    std::fs::write(&moments, "0\n0.2\n0.1\n").unwrap();
    let output = loadgen(&[&url]).arg("--replay").arg(&moments).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("moments:3: `0.1` is before the line above it"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mistakes_say_what_to_do() {
    let url = "http://127.0.0.1:9";
    for (words, part) in [
        (&[][..], "no target: give a function's name or a URL"),
        (&[url, "--slo", "p95<1"], "`1` has no unit: write 1ms or 1s"),
        (&[url, "--slo", "p9x<1s"], "did you mean"),
        (&[url, "-u", "1", "--rate", "5"], "cannot be used with"),
        (&[url, "--rate", "0"], "--rate is 0, and must be above 0"),
        (&[url, "-u", "9", "--spawn-rate", "NaN"], "--spawn-rate is NaN, and must be above 0"),
        (&[url, "--invalid", "NaN"], "`NaN` is not a share from 0 to 1"),
        (&[url, "--batch", "0"], "0 is not in 1..=65535"),
        (&[url, "--timeout", "1e12"], "`1e12` is longer than a year"),
        (&["--direct", "--consul", "unix:///x", "penguins"], "the URL of Consul is `unix:///x`"),
        (&[url, "--scale-time", "0"], "--scale-time is 0, and must be above 0"),
        (&[url, "--wait-time", "soon"], "`soon` is not a duration"),
        (&[url, "-f", "/no/such/file"], "/no/such/file"),
        // Nobody there is asked: it would take seconds.
        (&["http://192.0.2.1/"], "--i-own-this-target"),
        (&["http://192.0.2.1/predict"], "--i-own-this-target"),
        (&["192.0.2.1:80"], "--i-own-this-target"),
        (&[url], "cannot be reached"),
        (&["--gateway", url, "penguins"], "cannot be reached"),
        (&["compare", "/no/such/a.json", "/no/such/b.json"], "/no/such/a.json"),
    ] {
        let output = loadgen(words).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(part), "{words:?}: {told}");
    }
}
