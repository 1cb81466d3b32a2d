//! `drover up` and the commands that talk to it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::running::{Place, Up, bad, eventually, good, lives};

#[test]
fn everything_a_person_does_in_one_sitting() {
    let place = Place::new();
    let mut up = place.up(&[], 2);
    let text = eventually("the welcome is printed", || Some(place.text("out.txt")).filter(|t| t.contains("curl")));
    assert!(text.contains("/functions/herd/predict -H 'content-type: application/json' -d '{\"a\":1}'"), "{text}");
    let curl = text.lines().find(|l| l.starts_with("curl")).unwrap();
    let answer = Command::new("sh").args(["-c", curl]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "ok", "{curl}");

    let status = good(&place.drover(&["status"]));
    let mut lines = status.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()));
    let heads = ["FUNCTION", "SIZE", "READY", "COUNT", "RANGE", "IN FLIGHT", "QUEUE", "WANTED", "WHY"];
    assert_eq!(lines.next().unwrap().collect::<Vec<_>>(), heads, "{status}");
    let cells: Vec<_> = lines.next().unwrap().collect();
    assert!(cells[1].ends_with(" CPU, 256 MiB"), "{status}");
    assert_eq!((cells[0], &cells[2..7]), ("herd", &["2", "2", "1-3", "0", "0"][..]), "{status}");
    resize(&place, &up);
    assert_eq!(good(&place.drover(&["invoke", "herd", "{}"])), "ok\n");
    assert_eq!(good(&place.drover(&["scale", "herd", "3"])), "herd: 3 wanted\n");
    eventually("three are ready", || {
        (up.instances().iter().filter(|i| i["state"] == "ready").count() == 3).then_some(())
    });
    let refused = bad(&place.drover(&["scale", "herd", "4"]));
    assert!(refused.starts_with("drover: `herd` scales from 1 to 3, not to 4 (invalid_value, request "), "{refused}");
    let logs = good(&place.drover(&["logs", "herd"]));
    assert!(logs.lines().any(|l| l.starts_with("herd/2 ") && l.ends_with("probe serve")));
    assert!(logs.contains("herd/0 probe serve complains\n"), "{logs}");
    assert!(place.text("err.txt").contains("herd/0         | probe serve complains\n"), "the terminal shows it too");
    assert!(place.text("err.txt").contains("herd.nomad: without effect on one machine: datacenters"));

    let second = bad(&place.drover(&["up", "--port", "0", "herd.nomad"]));
    assert!(second.contains(&format!("drover already runs here (process {})", up.child.id())), "{second}");
    assert!(good(&place.drover(&["doctor"])).contains("drover up runs (process "));

    let pids = up.pids();
    assert_eq!(good(&place.drover(&["stop", "herd"])), "herd: stopping\n");
    eventually("they have ended", || (!pids.iter().copied().any(lives)).then_some(()));
    let refused = place.drover(&["invoke", "herd", "{}"]);
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("no instance of `herd` runs"), "{said}");
    assert_eq!(up.instances().len(), 0, "stopped is stopped: neither its least count nor a request starts one");
    assert_eq!(good(&place.drover(&["scale", "herd", "1"])), "herd: 1 wanted\n");
    assert_eq!(good(&place.drover(&["invoke", "herd", "{}"])), "ok\n");

    let pids = up.pids();
    assert_eq!(good(&place.drover(&["stop"])), "stopping\n");
    assert_eq!(up.end(), Some(0));
    assert!(!pids.into_iter().any(lives));
    let gone = bad(&place.drover(&["--gateway", "127.0.0.1:1", "status"]));
    assert!(
        gone.starts_with("drover: no gateway answers at http://127.0.0.1:1/: is `drover up` running here?"),
        "{gone}"
    );
}

/// Another size, in the same processes where that is allowed.
fn resize(place: &Place, up: &Up<'_>) {
    let pids = up.pids();
    let resized = place.drover(&["resize", "herd", "--cpu", "0.5"]);
    if place.text("err.txt").contains("limits of CPU and memory do not hold") {
        assert!(bad(&resized).contains("limits do not hold on this machine"), "{resized:?}");
        return;
    }
    assert_eq!(good(&resized), "herd: 0.5 CPU, 256 MiB each\n");
    assert_eq!(up.pids(), pids);
    let said = good(&place.drover(&["resize", "herd", "--cpu", "1.5", "--memory", "300"]));
    assert!(
        said.starts_with("herd: 1.5 CPU, 300 MiB each\ninstances that run have prepared for fewer cores"),
        "{said}"
    );
    assert!(good(&place.drover(&["status"])).contains(" CPU, 300 MiB"));
    assert_eq!(
        good(&place.drover(&["resize", "herd", "--memory", "256", "--replace"])),
        "herd: 1.5 CPU, 256 MiB each\n"
    );
    eventually("two others are ready", || {
        let ready = up.instances().iter().filter(|i| i["state"] == "ready").count();
        (ready == 2 && up.pids().iter().all(|pid| !pids.contains(pid))).then_some(())
    });
    let refused = bad(&place.drover(&["resize", "herd", "--cpu", "0"]));
    assert!(refused.contains("0 CPU: an instance has 0.01 to 4096 cores"), "{refused}");
}

#[test]
fn ctrl_c_leaves_nothing() {
    let place = Place::new();
    let mut up = place.up(&[], 2);
    let (pids, cgroups) = (up.pids(), place.cgroups());
    assert_eq!(pids.len(), 2);
    up.signal("INT");
    assert_eq!(up.end(), Some(0));
    assert!(!pids.into_iter().any(lives));
    assert!(!cgroups.iter().any(|dir| dir.exists()), "{cgroups:?}");
    assert!(!place.dir.path().join("state/up.json").exists());
    assert!(place.text("err.txt").contains("| drained\n"), "they were asked and finished");
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let place = Place::new();
    let mut up = place.up(&["-var", "probe=stubborn"], 2);
    let pids = up.pids();
    up.signal("INT");
    eventually("they were asked", || place.text("err.txt").contains("asked to stop").then_some(()));
    let asked = Instant::now();
    up.signal("INT");
    assert_eq!(up.end(), Some(1));
    assert!(asked.elapsed() < Duration::from_secs(10), "it did not wait for the kill timeout");
    assert!(!pids.into_iter().any(lives));
}

#[test]
fn nothing_survives_a_kill_of_drover_itself() {
    let place = Place::new();
    let mut up = place.up(&["-var", "probe=parent"], 2);
    let (pids, cgroups) = (up.pids(), place.cgroups());
    let children: Vec<u32> = pids.iter().flat_map(|pid| children(*pid)).collect();
    assert_eq!(children.len(), 2);
    up.signal("KILL");
    assert_eq!(up.end(), None);
    eventually("the instances are gone with drover", || (!pids.iter().copied().any(lives)).then_some(()));
    // What instances had started is cleaned up by the next start.
    let mut next = place.up(&["--count", "1"], 1);
    assert!(!children.iter().copied().any(lives), "a child of an instance is left");
    assert!(!cgroups.iter().any(|dir| dir.exists()), "{cgroups:?}");
    next.signal("TERM");
    assert_eq!(next.end(), Some(0));
}

#[test]
fn what_is_asked_for_wrongly_is_said() {
    let place = Place::new();
    for (args, words) in [
        (&["up", "absent.nomad"][..], "drover: cannot read absent.nomad: No such file or directory"),
        (&["up"], "drover: no job file was given and there is no jobs/predict.nomad here"),
        (&["up", "-var", "x=1", "herd.nomad"], "drover: no job file has a variable `x`; there are: probe"),
        (&["up", "-var", "x", "herd.nomad"], "drover: `-var x` is not NAME=VALUE"),
        (&["up", "--count", "9", "--port", "0", "herd.nomad"], "drover: `herd` scales from 1 to 3, not to 9"),
        (&["scale", "herd", "-1"], "error: unexpected argument '-1' found"),
    ] {
        let said = bad(&place.drover(args));
        assert!(said.contains(words), "{args:?}: {said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = bad(&place.drover(&["up", "--port", &port, "herd.nomad"]));
    assert!(said.contains(&format!("the gateway cannot listen on 127.0.0.1:{port} (see --port)")), "{said}");
}

#[test]
fn completions_and_help_are_printed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(good(&place.drover(&["completions", shell])).contains("scale"), "{shell}");
    }
    let help = good(&place.drover(&["--help"]));
    assert!(help.contains("Run functions on this machine") && !help.contains("launch"), "{help}");
    let closed = place.command(&["completions", "bash"]).stdout(Stdio::null()).status().unwrap();
    assert!(closed.success());
}

/// Returns the children of all threads of `pid`.
fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let text: String =
        threads.map(|t| std::fs::read_to_string(t.path().join("children")).unwrap_or_default() + " ").collect();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
