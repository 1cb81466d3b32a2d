use super::*;

/// A job with `top` before it, `group` and `task` in those blocks.
fn file(top: &str, group: &str, task: &str) -> String {
    format!(
        "{top}\njob \"j\" {{\n  group \"g\" {{\n    {group}\n    task \"t\" {{\n      driver = \"raw_exec\"\n      \
         config {{\n        command = \"/bin/x\"\n      }}\n      {task}\n    }}\n  }}\n}}\n"
    )
}

fn read(text: &str, vars: &[&str]) -> Result<Loaded, String> {
    let mut given = Variables::default();
    for assignment in vars {
        given.add(assignment).unwrap();
    }
    load("f.nomad", text, &given).map_err(|e| e.to_string())
}

#[test]
fn the_job_file_for_any_function_is_understood() {
    let text = include_str!("../../../../jobs/predict.nomad");
    let vars = ["function=covertype", "count=2", "max=4", "cpu=750", "memory_max=512"];
    let Loaded { job, warnings, .. } = read(text, &vars).unwrap();
    assert_eq!((job.id.as_str(), job.name.as_str(), job.group.count), ("covertype", "covertype", 2));
    let policy = [("utilisation", "0.7"), ("stable_window", "60s"), ("zero_after", "60s")];
    let policy: BTreeMap<_, _> = policy.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    drover_core::scale::Policy::read(&policy).unwrap();
    assert_eq!(job.group.scaling, Scaling { min: 0, max: 4, enabled: true, policy });
    let task = &job.group.task;
    assert!(task.command.ends_with("/target/release/covertype") && task.command.starts_with('/'), "{}", task.command);
    assert_eq!(task.env["DROVER_CORE_MHZ"], "${attr.cpu.frequency}");
    assert_eq!((task.resources.cpu_mhz, task.resources.memory_limit_bytes()), (750, 512 << 20));
    assert_eq!(job.group.services[0].name, "covertype");
    assert_eq!(
        job.group.services[0].checks[0].kind,
        CheckKind::Http { method: "GET".into(), path: "/health/ready".into() }
    );
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.starts_with("f.nomad: without effect on one machine: "), "{warning}");
    assert!(warning.contains("datacenters") && warning.contains("update"), "{warning}");
}

#[test]
fn what_is_not_said_has_nomad_s_default() {
    let job = read(&file("", "", ""), &[]).unwrap().job;
    let (group, task) = (&job.group, &job.group.task);
    assert_eq!((job.name.as_str(), job.namespace.as_str(), job.region.as_str()), ("j", "default", "global"));
    assert_eq!((group.count, group.restart.attempts, group.restart.mode), (1, 2, RestartMode::Fail));
    assert_eq!((group.restart.interval, group.restart.delay), (Duration::from_secs(1800), Duration::from_secs(15)));
    assert_eq!((task.resources.cpu_mhz, task.resources.memory_mib), (100, 300));
    assert_eq!((task.kill_signal.as_str(), task.kill_timeout), ("SIGINT", Duration::from_secs(5)));
    assert_eq!((task.logs.max_files, task.logs.max_file_bytes), (10, 10 << 20));
}

#[test]
fn every_mistake_is_named_with_its_line() {
    let ok = |group: &str, task: &str| file("", group, task);
    for (text, wanted) in [
        (ok("volume \"v\" {}", ""), "f.nomad:4: `volume` in `group` cannot be honoured on one machine"),
        (ok("", "template {\n data = \"x\" \n}"), "f.nomad:10: `template` in `task` cannot be honoured on one machine"),
        (ok("", "user = \"root\""), "f.nomad:10: `user` in `task` cannot be honoured on one machine"),
        (ok("count = \"many\"", ""), "f.nomad:4: `count` is `many`, not a whole number from 0"),
        (ok("count = -1", ""), "f.nomad:4: `count` is `-1`, not a whole number from 0"),
        (ok("shutdown_delay = \"5\"", ""), "f.nomad:4: `shutdown_delay` is `5`, not a duration such as 250ms or 10s"),
        (ok("count = 9\nscaling {\n max = 3\n}", ""), "f.nomad:3: `count` is 9, but `scaling` allows 9 to 3"),
        (ok("restart {\n mode = \"never\"\n}", ""), "f.nomad:4: `mode` is `never`, not fail or delay"),
        (
            ok("network {\n mode = \"bridge\"\n}", ""),
            "f.nomad:4: network mode `bridge` is not run on one machine, only `host`",
        ),
        (
            ok("service {\n port = \"web\"\n}", ""),
            "f.nomad:3: a service uses port `web`, but `network` has none of that name",
        ),
        (ok("", "kill_signal = \"TERM\""), "f.nomad:5: `kill_signal` is `TERM`, which is not a signal such as SIGTERM"),
        (ok("", "resources {\n memory = 9\n memory_max = 8\n}"), "f.nomad:10: `memory_max` is less than `memory`"),
        (ok("count = var.n", ""), "f.nomad:4: no such key: `n`"),
        (ok("count = nine()", ""), "f.nomad:4: undefined function `nine`"),
        (
            ok("count = ", ""),
            "f.nomad:4: invalid expression; expected `\"`, `[`, `{`, `-`, `!`, `(`, `_`, `<`, letter or digit",
        ),
        (ok("", "}\ntask \"u\" {"), "f.nomad:11: a second `task` block: drover runs one"),
        (file("x = 1", "", ""), "f.nomad:1: an attribute outside of the job"),
        (
            file("locals {\n a = local.b\n b = local.a\n}", "", ""),
            "f.nomad:2: no such key: `b`\nf.nomad:3: no such key: `a`",
        ),
        (
            file("variable \"v\" {\n type = number\n}", "", ""),
            "f.nomad:1: variable `v` has no default: give it with -var v=...",
        ),
        (String::new(), "f.nomad:1: 0 `job` blocks, one is needed"),
        (
            ok("", "").replace("raw_exec", "docker"),
            "f.nomad:5: driver `docker` is not run on one machine, only raw_exec and exec",
        ),
        (
            ok("", "").replace("job \"j\" {", "job \"j\" {\ntype = \"batch\""),
            "f.nomad:2: type `batch` is not run on one machine, only `service`",
        ),
    ] {
        assert_eq!(read(&text, &[]).map(|_| ()).unwrap_err(), wanted, "{text}");
    }
}

#[test]
fn all_mistakes_are_named_at_once() {
    let text = file("", "count = \"x\"\nfoo = 1", "bar {}");
    let wanted = "f.nomad:4: `count` is `x`, not a whole number from 0\n\
                  f.nomad:11: `bar` in `task` cannot be honoured on one machine\n\
                  f.nomad:5: `foo` in `group` cannot be honoured on one machine";
    assert_eq!(read(&text, &[]).unwrap_err(), wanted);
}

#[test]
fn variables_have_types() {
    let top = "variable \"n\" {\n type = number\n default = 1\n validation {\n condition = var.n < 5\n \
               error_message = \"n must be less than 5\"\n }\n}\nvariable \"l\" {\n type = list(string)\n default = []\n}";
    let text = file(top, "count = var.n + length(var.l)", "");
    for (vars, wanted) in [
        (&["n=2"][..], Ok(2)),
        (&["n=2", "l=[\"a\", \"b\"]"], Ok(4)),
        (&["n=two"], Err("f.nomad:1: variable `n`: `two` is not a number")),
        (&["n=5"], Err("f.nomad:4: variable `n`: n must be less than 5")),
        (&["l={}"], Err("f.nomad:9: variable `l`: `{}` is not a list(string)")),
    ] {
        let answer = read(&text, vars).map(|loaded| loaded.job.group.count);
        assert_eq!(answer.as_ref().map_err(String::as_str), wanted.as_ref().map_err(|e| *e), "{vars:?}");
    }
    let mut given = Variables::default();
    given.add_file("v.hcl", "n = 3\nl = [\"a\"]").unwrap();
    assert_eq!(load("f.nomad", &text, &given).unwrap().job.group.count, 4);
    given.add("typo=1").unwrap();
    assert_eq!(given.unknown(&["n".into(), "l".into()]).collect::<Vec<_>>(), ["typo"]);
    assert_eq!(given.add("novalue").unwrap_err(), "`-var novalue` is not NAME=VALUE");
    assert!(given.add_file("v.hcl", "block {}").unwrap_err().starts_with("v.hcl: a variables file"));
}

#[test]
fn expressions_functions_and_dynamic_blocks_are_evaluated() {
    let top = "locals {\n b = \"${local.a}-b\"\n a = \"a\"\n}";
    let task = r#"
        dynamic "env" {
          for_each = { X = "1", Y = "2" }
          iterator = pair
          content {
            KEY_VALUE = "${pair.key}=${pair.value}"
          }
        }
        env {
          JOINED   = join(",", [local.b, upper("c"), tostring(floor(2.7))])
          CHOSEN   = local.a == "a" ? "yes" : "no"
          RUNTIME  = "${NOMAD_PORT_http}/${attr.kernel.name}/${node.unique.id}/${local.a}"
          FORMAT   = format("%s-%03d", "x", 7)
          ESCAPED  = "$${HOME}"
          LOOKUP   = lookup({ a = "1" }, "b", "none")
          SPLIT    = split("-", local.b)[1]
        }"#;
    let env = read(&file(top, "", task), &[]).unwrap().job.group.task.env;
    for (key, wanted) in [
        ("JOINED", "a-b,C,2"),
        ("CHOSEN", "yes"),
        ("RUNTIME", "${NOMAD_PORT_http}/${attr.kernel.name}/${node.unique.id}/a"),
        ("FORMAT", "x-007"),
        ("ESCAPED", "${HOME}"),
        ("LOOKUP", "none"),
        ("SPLIT", "b"),
        ("KEY_VALUE", "Y=2"),
    ] {
        assert_eq!(env[key], wanted, "{key}");
    }
}
