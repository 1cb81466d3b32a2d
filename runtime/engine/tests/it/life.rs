//! Start, readiness, restarts, drain, replacement, output.

use std::time::{Duration, Instant};

use drover_engine::{Catalog, InstanceState, LogQuery, Scheduler, Stream};
use futures_util::StreamExt;

use crate::herder::{Herder, Spec, eventually, get, lives};

#[tokio::test(flavor = "multi_thread")]
async fn instances_get_ports_and_the_words_of_nomad() {
    let herder = Herder::start();
    let function = herder.add("words", &Spec { count: 2, ..Spec::default() });
    let all = herder.until_ready(&function, 2).await;
    assert_ne!(all[0].address, all[1].address);
    assert_eq!(all[1].meta["version"], "1");
    let address = all[1].address.unwrap();
    for (name, wanted) in [
        ("NOMAD_ALLOC_ID", all[1].id.as_str()),
        ("NOMAD_ALLOC_INDEX", "1"),
        ("NOMAD_ADDR_http", &address.to_string()),
        ("NOMAD_JOB_NAME", "words"),
        ("NOMAD_GROUP_NAME", "g"),
        ("NOMAD_TASK_NAME", "t"),
        ("NOMAD_CPU_LIMIT", "1000"),
        ("NOMAD_MEMORY_LIMIT", "256"),
        ("MINE", "words.g[1] of words"),
        ("PATH", &std::env::var("PATH").unwrap()),
        ("DROVER_STATE_DIR", ""),
    ] {
        assert_eq!(get(address, &format!("/env/{name}")).await, wanted, "{name}");
    }
    assert!(get(address, "/env/MHZ").await.parse::<u64>().unwrap() > 100);
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_restarted_as_the_restart_block_says() {
    let herder = Herder::start();
    let group = "restart {\n attempts = 2\n interval = \"1h\"\n delay = \"20ms\"\n mode = \"fail\"\n }\n reschedule {\n attempts = 0\n }";
    let function = herder.add("crash", &Spec { probe: "crash", group, ..Spec::default() });
    eventually("the instance has failed", || async {
        herder.instances(&function).into_iter().find(|i| i.state == InstanceState::Failed)
    })
    .await;
    let [instance] = &herder.instances(&function)[..] else { panic!("not one instance") };
    assert_eq!((instance.restarts, instance.reason.as_deref()), (2, Some("exit code 3: probe crash complains")));
    let said: Vec<_> =
        herder.lines(&function).await.into_iter().filter(|l| l.stream == Stream::Engine).map(|l| l.text).collect();
    assert_eq!(
        said,
        [
            "exit code 3: probe crash complains; restart in 20ms",
            "exit code 3: probe crash complains; restart in 20ms",
            "exit code 3: probe crash complains; no restarts are left"
        ]
    );
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_delay_goes_on_after_the_interval() {
    let herder = Herder::start();
    let group = "restart {\n attempts = 1\n interval = \"300ms\"\n delay = \"1ms\"\n mode = \"delay\"\n }\n reschedule {\n attempts = 0\n }";
    let function = herder.add("later", &Spec { probe: "crash", group, ..Spec::default() });
    eventually("four restarts", || async { herder.instances(&function).into_iter().find(|i| i.restarts >= 4) }).await;
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_a_failure_with_its_reason() {
    let herder = Herder::start();
    let group = "restart {\n attempts = 0\n }\n reschedule {\n attempts = 0\n }";
    let mut job = Spec { group, ..Spec::default() }.job("absent");
    job.group.task.command = "/nowhere/absent".into();
    let function = herder.engine.add(job, None).unwrap();
    let instance = herder.until_reason(&function, "exit code 1: No such file or directory (os error 2)").await;
    assert_eq!(instance.state, InstanceState::Failed);
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_down_leaves_the_catalog_first_and_finishes_what_runs() {
    let herder = Herder::start();
    let spec = Spec { count: 2, group: "shutdown_delay = \"300ms\"", ..Spec::default() };
    let function = herder.add("drain", &spec);
    let all = herder.until_ready(&function, 2).await;
    let (victim, address) = (all[1].clone(), all[1].address.unwrap());
    let slow = tokio::spawn(async move { get(address, "/sleep/1000").await });
    eventually("the slow request has begun", || async { (!slow.is_finished()).then_some(()) }).await;
    let asked = Instant::now();
    herder.engine.scale(&function, 1).await.unwrap();
    eventually("the victim is draining", || async {
        herder.instances(&function).into_iter().find(|i| i.id == victim.id && i.state == InstanceState::Draining)
    })
    .await;
    assert_eq!(get(address, "/").await, "ok", "it still answers while the catalog's readers learn of it");
    assert_eq!(slow.await.unwrap(), "ok");
    eventually("the victim is gone", || async {
        (!herder.instances(&function).iter().any(|i| i.id == victim.id)).then_some(())
    })
    .await;
    assert!(asked.elapsed() >= Duration::from_millis(300));
    assert!(!lives(victim.pid.unwrap()));
    let said = herder.lines(&function).await;
    assert!(said.iter().any(|l| l.instance == victim.id && l.text == "drained"), "{said:#?}");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_function_does_not_scale_by_itself_until_somebody_scales_it() {
    let herder = Herder::start();
    let function = herder.add("stopped", &Spec::default());
    herder.until_ready(&function, 1).await;
    let seen = async || {
        let status = herder.engine.status().await.unwrap();
        status.iter().find(|s| s.function == function).map(|s| (s.count, s.scales)).unwrap()
    };
    herder.engine.scale(&function, 2).await.unwrap();
    assert_eq!(seen().await, (2, true));
    herder.engine.stop(&function).await.unwrap();
    assert_eq!(seen().await, (0, false));
    herder.engine.scale(&function, 1).await.unwrap();
    assert_eq!(seen().await, (1, true));
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_stop_is_killed_after_its_time() {
    let herder = Herder::start();
    let spec = Spec { probe: "stubborn", task: "kill_timeout = \"200ms\"", ..Spec::default() };
    let function = herder.add("stubborn", &spec);
    herder.until_ready(&function, 1).await;
    herder.engine.stop(&function).await.unwrap();
    eventually("it is killed", || async {
        let said = herder.lines(&function).await;
        said.into_iter().find(|l| l.text == "stopped: killed, as it did not end within 200ms of SIGTERM")
    })
    .await;
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_of_an_instance_ends_with_it() {
    let herder = Herder::start();
    let function = herder.add("parent", &Spec { probe: "parent", ..Spec::default() });
    let pid = herder.until_ready(&function, 1).await[0].pid.unwrap();
    let all: Vec<u32> = procfs::process::all_processes()
        .unwrap()
        .flatten()
        .filter(|p| p.stat().is_ok_and(|s| u32::try_from(s.ppid) == Ok(pid)))
        .filter_map(|p| u32::try_from(p.pid).ok())
        .collect();
    let name =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    assert_eq!(all.iter().map(|pid| name(*pid)).collect::<Vec<_>>(), ["sleep 1000 "]);
    herder.finish().await;
    eventually("the grandchild is gone", || async { (!lives(all[0])).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_stays_within_the_job_s_bounds() {
    let herder = Herder::start();
    let function = herder.add("bounds", &Spec::default());
    herder.until_ready(&function, 1).await;
    let refused = herder.engine.scale(&function, 6).await.unwrap_err();
    assert_eq!(refused.to_string(), "`bounds` scales from 0 to 5, not to 6");
    herder.engine.scale(&function, 3).await.unwrap();
    herder.until_ready(&function, 3).await;
    herder.engine.scale(&function, 0).await.unwrap();
    herder.until_ready(&function, 0).await;
    let unknown = herder.engine.scale(&"nobody".parse().unwrap(), 1).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no function is called `nobody`");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_check_takes_an_instance_out_and_check_restart_starts_it_again() {
    let herder = Herder::start();
    let check = "check_restart {\n limit = 3\n grace = \"3s\"\n }";
    let group = "restart {\n attempts = 5\n interval = \"1h\"\n delay = \"10ms\"\n }\n reschedule {\n attempts = 0\n }";
    let function = herder.add("sick", &Spec { probe: "sick", check, group, ..Spec::default() });
    eventually("it was started again", || async { herder.instances(&function).into_iter().find(|i| i.restarts >= 1) })
        .await;
    let said = herder.lines(&function).await;
    let why = "check `/health/ready`: GET /health/ready answered 503 Service Unavailable; exit code 0";
    assert!(said.iter().any(|l| l.text.starts_with(why) && l.text.ends_with("; restart in 10ms")), "{said:#?}");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_is_ready_before_the_old_one_drains() {
    let herder = Herder::start();
    let function = herder.add("roll", &Spec { count: 2, ..Spec::default() });
    let old = herder.until_ready(&function, 2).await;
    let (mut catalog, watched) = (herder.engine.watch(), function.clone());
    let least = tokio::spawn(async move {
        let mut least = usize::MAX;
        while tokio::time::timeout(Duration::from_secs(2), catalog.changed()).await.is_ok_and(|c| c.is_ok()) {
            let snapshot = catalog.borrow_and_update().clone();
            least = least.min(snapshot.instances(&watched).unwrap().iter().filter(|i| i.state.is_ready()).count());
        }
        least
    });
    let replaced = herder.engine.replace(&function, Duration::from_secs(30)).await.unwrap();
    assert_eq!((replaced.n_replaced, replaced.n_wanted), (2, 2));
    let new = herder.until_ready(&function, 2).await;
    assert!(new.iter().all(|n| old.iter().all(|o| o.id != n.id)));
    assert!(least.await.unwrap() >= 2, "there were always two ready instances");
    herder.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_kept_in_rotated_files_and_can_be_followed() {
    let herder = Herder::start();
    let task = "logs {\n max_files = 2\n max_file_size = 1\n }";
    let function = herder.add("chatter", &Spec { probe: "chatter", task, ..Spec::default() });
    let query = LogQuery { tail: 0, follow: true };
    let mut lines = herder.engine.logs(&function, query).await.unwrap();
    let last = format!("line 4999 {}", "x".repeat(500));
    loop {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next()).await.unwrap().unwrap();
        if line.text == last {
            assert_eq!(line.stream, Stream::Stdout);
            break;
        }
    }
    let instance = herder.until_ready(&function, 1).await.remove(0);
    let dir = herder.dir.path().join("state/alloc").join(instance.id.as_str()).join("alloc/logs");
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["t.stderr.0", "t.stdout.1", "t.stdout.2"], "2.5 MB in files of 1 MiB, of which 2 are kept");
    assert!(files.iter().all(|f| f.metadata().unwrap().len() <= 1 << 20));
    assert!(std::fs::read_to_string(&files[2]).unwrap().contains(&last));
    herder.finish().await;
}
