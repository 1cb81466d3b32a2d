//! `drover gateway` and `drover key` as a person uses them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use drover_testkit::Graylog;

use crate::running::{Place, eventually};

/// A server that something else runs: answers each connection once.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    address
}

/// A gateway that ends with the test.
struct Running(Child);

impl Running {
    fn start(place: &Place, port: u16) -> Self {
        Self::start_with(place, port, &[])
    }

    fn start_with(place: &Place, port: u16, settings: &[(&str, &str)]) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut command = place.command(&["gateway", "--config", "gateway.toml", "--listen", &listen]);
        command.envs(settings.iter().copied());
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn stop(mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns what a request is answered with, if there is somebody.
fn ask(port: u16, path: &str, headers: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Returns the answer to one request, if it is one of success.
fn get(port: u16, path: &str) -> Option<String> {
    ask(port, path, "").filter(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn a_new_gateway_takes_over_the_port_before_the_old_one_ends() {
    let place = Place::new();
    let config = format!("[functions.legacy]\ninstances = [\"{}\"]\n", server());
    fs::write(place.dir.path().join("gateway.toml"), config).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = "/functions/legacy/hello";
    let old = Running::start(&place, port);
    let answer = eventually("the gateway answers", || get(port, path));
    assert!(answer.ends_with("hello"), "{answer}");
    let new = Running::start(&place, port);
    // One of the two takes a connection, so both are asked soon enough.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(old.stop(), Some(0));
    for _ in 0..20 {
        assert!(get(port, path).is_some(), "the new gateway does not answer");
    }
    assert_eq!(new.stop(), Some(0));
}

#[test]
fn a_gateway_with_tls_and_an_admin_key_is_asked_with_both() {
    let place = Place::new();
    let write = |name: &str, text: &str| fs::write(place.dir.path().join(name), text).unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    write("cert.pem", &own.cert.pem());
    write("key.pem", &own.signing_key.serialize_pem());
    write("admin", "the admin key\n");
    let sha256 = Command::new("sh").args(["-c", "printf 'the admin key' | sha256sum"]).output().unwrap();
    let sha256 = String::from_utf8(sha256.stdout).unwrap();
    let config = format!(
        "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n[access]\nadmin_sha256 = \"{}\"\n\
         [functions.legacy]\ninstances = [\"{}\"]\n",
        sha256.split(' ').next().unwrap(),
        server()
    );
    write("gateway.toml", &config);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _running = Running::start(&place, port);
    let at = format!("https://localhost:{port}");
    let known = ["status", "--gateway", &at, "--ca-file", "cert.pem", "--key-file", "admin"];
    let shown = eventually("the gateway tells its status", || {
        let output = place.drover(&known);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    // Nobody schedules it: it has no count, and is shown all the same.
    assert!(shown.contains("legacy/0") && shown.contains("\nlegacy  "), "{shown}");
    for (args, why) in [
        (&known[..5], "unauthorized"),
        (&["status", "--gateway", &at, "--key-file", "admin"], "certificate"),
        (&["status", "--gateway", &at, "--ca-file", "admin"], "has no certificate, PEM"),
        (&["status", "--gateway", &at, "--key-file", "nothing"], "cannot read nothing"),
        (&["status", "--gateway", "ftp://localhost"], "neither HOST:PORT nor a URL"),
    ] {
        let output = place.drover(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
    }
    let mut command = place.command(&known[..5]);
    assert!(command.env("DROVER_KEY", "the admin key").status().unwrap().success());
}

#[test]
fn wrong_settings_are_said_all_at_once_and_end_it_with_64() {
    let place = Place::new();
    fs::write(place.dir.path().join("gateway.toml"), "[limits]\nbody = 10\nslotz = 1\n").unwrap();
    let mut command =
        place.command(&["gateway", "--config", "gateway.toml", "--listen", "0.0.0.0:0", "--domain", "a/b"]);
    let output = command.env("DROVER_GATEWAY_RETRY_MAX", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in [
        "5 wrong setting(s)",
        "gateway.toml:2: limits.body: `10` has no unit",
        "gateway.toml:3: limits.slotz: no such setting, did you mean `limits.slots`?",
        "DROVER_GATEWAY_RETRY_MAX: `many` is not a number from 0 to 10",
        "--domain: `a/b` is not a host name",
        "--listen: 0.0.0.0:0 can be reached from other machines",
    ] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn a_new_key_is_a_file_of_keys_that_does_not_hold_it() {
    let place = Place::new();
    let output = place.drover(&["key", "new", "shop", "--functions", "penguins,iris"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("[[keys]]\nname = \"shop\"\n") && text.contains("functions = [\"iris\", \"penguins\"]"),
        "{text}"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    let key = said.split_whitespace().find(|word| word.starts_with("drover_")).unwrap();
    assert!(key.len() == "drover_".len() + 64 && !text.contains(key), "{text}");
    assert!(!String::from_utf8(place.drover(&["key", "new", "shop"]).stderr).unwrap().contains(key));
    assert_eq!(place.drover(&["key", "new", "shop", "--functions", "No"]).status.code(), Some(1));
}

#[test]
fn the_settings_that_hold_are_printed_without_secrets() {
    let place = Place::new();
    let mut command = place.command(&["gateway", "--print-config", "--set", "limits.slots=7"]);
    let output = command.env("CONSUL_HTTP_TOKEN", "s3cret").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("limits.slots = \"7\" # --set limits.slots\n"), "{text}");
    assert!(text.contains("consul.token = \"<redacted>\"") && !text.contains("s3cret"), "{text}");
}

#[test]
fn a_gateway_tells_graylog_what_it_writes() {
    let (graylog, place) = (Graylog::tcp(), Place::new());
    let [port, nobody] = drover_testkit::process::free_ports();
    let config = "[limits]\ncold_start_timeout = \"2s\"\n";
    let config = format!("{config}[functions.legacy]\ninstances = [\"127.0.0.1:{nobody}\"]\n");
    fs::write(place.dir.path().join("gateway.toml"), config).unwrap();
    let gateway = Running::start_with(&place, port, &[("DROVER_GELF", &graylog.url), ("DROVER_LOG", "info")]);
    eventually("the gateway answers", || get(port, "/health"));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let ids = format!("x-request-id: failed\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n");
    let answer = ask(port, "/functions/legacy/hello", &ids).unwrap();
    let message = graylog.next("out of service").message;
    assert_eq!((&message["_service"], &message["_function"]), (&"drover-gateway".into(), &"legacy".into()));
    // What fails is a line that names the request, and the trace that it is part of.
    let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(problem).unwrap();
    let failure = graylog.next(problem["detail"].as_str().unwrap()).message;
    assert_eq!((&failure["_request_id"], &failure["_trace_id"]), (&"failed".into(), &trace.into()), "{failure}");
    assert_eq!(gateway.stop(), Some(0));
    let wrong = place.command(&["gateway", "--config", "gateway.toml"]).env("DROVER_GELF", "graylog").output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("DROVER_GELF: `graylog` is not an address"));
}
