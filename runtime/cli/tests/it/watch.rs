//! `drover up --watch` in a checkout whose cargo only writes down what it was asked to build.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::running::{Place, eventually, lives};

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_changed_source_is_built_and_replaces_instances_without_a_failed_request() {
    let place = Place::new();
    let dir = fs::canonicalize(place.dir.path()).unwrap();
    let (exe, binary) = (std::env::current_exe().unwrap(), dir.join("target/release/herd"));
    script(&binary, &format!("[ \"$1\" = --fetch-runtime ] && exit 0\nexec '{}' \"$@\"", exe.display()));
    script(&dir.join("cargo"), &format!("echo \"$@\" >> '{}/built.txt'", dir.display()));
    fs::create_dir_all(dir.join("functions/herd/src")).unwrap();
    fs::write(dir.join("functions/herd/Cargo.toml"), "").unwrap();
    let job = place.text("herd.nomad").replace(&format!("{exe:?}"), &format!("{binary:?}"));
    fs::write(dir.join("herd.nomad"), job).unwrap();

    let mut up = place.up_with(&["--watch"], 2, &[("CARGO", dir.join("cargo").to_str().unwrap())]);
    let build = format!("build --release --target-dir {} -p herd\n", dir.join("target").display());
    assert_eq!(place.text("built.txt"), build);
    let (old, record) = (up.pids(), serde_json::from_str::<Value>(&place.text("state/up.json")).unwrap());
    let (gateway, stop) = (record["gateway"].as_str().unwrap().to_owned(), Arc::new(AtomicBool::new(false)));
    let load = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(&gateway).unwrap();
                let request = "GET /functions/herd/sleep/2 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200"), "request {n}: {answer}");
                n += 1;
            }
            n
        }
    });
    fs::write(dir.join("functions/herd/src/main.rs"), "changed").unwrap();
    eventually("the instances were replaced", || place.text("err.txt").contains("herd: 2 of 2 replaced").then_some(()));
    eventually("the old ones are gone", || (!old.iter().copied().any(lives)).then_some(()));
    assert_eq!(place.text("built.txt"), build.repeat(2));
    stop.store(true, Ordering::Relaxed);
    assert!(load.join().unwrap() > 10);
    assert_eq!(up.pids().len(), 2);

    script(&dir.join("cargo"), "exit 1");
    let now = up.pids();
    fs::write(dir.join("functions/herd/src/main.rs"), "broken").unwrap();
    eventually("that is said", || place.text("err.txt").contains("the old instances go on").then_some(()));
    assert_eq!(up.pids(), now);
    up.signal("TERM");
    assert_eq!(up.end(), Some(0));
}
