//! The script that makes the machines of a cluster, rehearsed: three servers and a client on this machine.

use std::process::Command;

use drover_testkit::process::installed;
use drover_testkit::{built, checkout};
use serde_json::Value;

use crate::cluster::row;

/// What a person does on the client: runs a function, finds it in Consul, and asks it where Consul says that it is. The
/// folder of the binary is `$0`, the row `$1`.
const SERVE: &str = r#"
nomad server members
consul members
nomad job run -detach -var binary_dir="$0" jobs/predict.nomad >&2
address() {
    curl -fs -H "X-Consul-Token: $CONSUL_HTTP_TOKEN" '127.0.0.1:8500/v1/health/service/penguins?passing' |
        python3 -c 'import json, sys; it = json.load(sys.stdin)[0]["Service"]; print(it["Address"], it["Port"], sep=":")'
}
until at=$(address 2>/dev/null); do sleep 0.5; done
echo "penguins at $at"
curl -fsS "http://$at/predict" -H 'content-type: application/json' -d "$1"
"#;

#[test]
fn provision_sh_makes_a_cluster_that_serves_a_function() {
    // The machines have no way out to fetch ONNX Runtime by.
    let binaries = built(&["penguins"]);
    let fetched = Command::new(binaries.join("penguins")).arg("--fetch-runtime").output().unwrap();
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    if !["nomad", "consul", "unshare"].into_iter().all(|program| installed(program).is_some()) {
        return;
    }
    let namespaces = Command::new("unshare").args(["--mount", "--net", "--pid", "--fork", "true"]).status();
    if !namespaces.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no namespaces may be made here");
    }
    let output = Command::new("timeout")
        .args(["--kill-after=5", "240", "jobs/cluster/rehearse.sh", "bash", "-euo", "pipefail", "-c", SERVE])
        .args([binaries.as_os_str(), row("penguins").to_string().as_ref()])
        .current_dir(checkout())
        .env_remove("AWS_CA_BUNDLE")
        .output()
        .unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{log}");
    for (what, n) in [("alive ", 7), ("server-3.global", 1), ("client-1", 1)] {
        assert!(said.matches(what).count() >= n, "not {n} times `{what}`: {said}");
    }
    // Not at the address of its way out, which all machines have.
    assert!(said.contains("penguins at 10.77.0.21:"), "{said}");
    let answer: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(answer["prediction"], "MALE", "{said}");
}
