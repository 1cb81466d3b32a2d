//! A PostgreSQL of the test's own.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;
use crate::process::{Process, free_ports, on_path};

/// Where Debian puts what is not on `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A PostgreSQL with an empty database; what it keeps outlives a stop.
#[derive(Debug)]
pub struct Postgres {
    /// The database `test`, such as `postgres://drover@127.0.0.1:40001/test`.
    pub url: String,
    port: u16,
    programs: PathBuf,
    /// Whom it runs as: it refuses root.
    user: Option<(u32, u32)>,
    process: Option<Process>,
    dir: TempDir,
}

impl Postgres {
    /// Starts PostgreSQL on a free port and makes a database. Returns nothing, and says so, where it is not installed.
    ///
    /// # Panics
    /// If PostgreSQL is there, but does not start.
    pub async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: initdb of PostgreSQL is neither on PATH nor below {DEBIAN}");
            return None;
        };
        let dir = TempDir::new().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let user = is_root().then(unprivileged);
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", dir.path().display()));
        }
        let [port] = free_ports();
        let url = format!("postgres://drover@127.0.0.1:{port}/test");
        let mut postgres = Self { url, port, programs, user, process: None, dir };
        postgres.run("initdb", &["--auth=trust", "--username=drover", "--no-sync", "--encoding=UTF8", "-D", "data"]);
        postgres.start_again().await;
        postgres.run("createdb", &["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "drover", "test"]);
        Some(postgres)
    }

    /// Ends PostgreSQL without waiting for its clients; nobody answers at its address then.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take()
            && process.runs()
        {
            process.signal("INT");
        }
    }

    /// Starts a PostgreSQL that was stopped, where it was and with what it kept, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_again(&mut self) {
        let mut command = self.command("postgres");
        command.args(["-D", "data", "-h", "127.0.0.1", "-k", ".", "-p", &self.port.to_string()]);
        let mut process = Process::start(command, &self.dir.path().join("postgres.log"));
        eventually("postgres answers", Duration::from_secs(60), || {
            assert!(process.runs(), "postgres ended:\n{}", process.last_lines());
            let mut asked = self.command("pg_isready");
            asked.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            async move { asked.status().is_ok_and(|status| status.success()).then_some(()) }
        })
        .await;
        self.process = Some(process);
    }

    /// Has it speak to nobody without TLS, once it is started again; returns the certificate that it shows then, PEM.
    ///
    /// # Panics
    /// If its files cannot be written.
    #[must_use]
    pub fn demand_tls(&self) -> String {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.unwrap_or_else(|e| panic!("no certificate: {e}"));
        let certificate = made.cert.pem();
        for (file, text) in [
            ("server.crt", &*certificate),
            ("server.key", &made.signing_key.serialize_pem()),
            ("pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n"),
            ("postgresql.conf", "ssl = on\n"),
        ] {
            let path = self.dir.path().join("data").join(file);
            std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            // It refuses a key that others may read.
            let own = std::fs::set_permissions(&path, Permissions::from_mode(0o600));
            own.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            if let Some((uid, gid)) = self.user {
                chown(&path, Some(uid), Some(gid)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
        }
        certificate
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path()).env("LC_ALL", "C.UTF-8");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn run(&self, program: &str, args: &[&str]) {
        let done = self.command(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns the folder of all programs of the newest PostgreSQL.
fn programs() -> Option<PathBuf> {
    let newest = || {
        let mut found: Vec<_> = std::fs::read_dir(DEBIAN).ok()?.flatten().map(|version| version.path()).collect();
        found.retain(|version| version.join("bin/initdb").is_file());
        found.sort();
        found.pop().map(|version| version.join("bin"))
    };
    newest().or_else(|| on_path("initdb")?.parent().map(Path::to_owned))
}

fn is_root() -> bool {
    procfs::process::Process::myself().and_then(|me| me.uid()).is_ok_and(|uid| uid == 0)
}

/// Returns user and group of `postgres`, or else of `nobody`.
fn unprivileged() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let fields: Vec<_> = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("a user other than root")
}
