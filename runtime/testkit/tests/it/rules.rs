//! The configuration of Prometheus and Alertmanager, as their own tools judge it.

use std::process::Command;

use drover_testkit::process::installed;
use drover_testkit::{checkout, promtool};

#[track_caller]
fn good(args: &[&str]) {
    let Some(output) = promtool(args, None) else { return };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

#[test]
fn the_configuration_and_the_rules_are_valid() {
    // That for Consul is loaded where a Prometheus with Consul's discovery is.
    good(&["check", "config", "prometheus.yml"]);
    let Some(amtool) = installed("amtool") else { return };
    let mut command = Command::new(amtool);
    let output = command.args(["check-config", "grafana/prometheus/alertmanager.yml"]).current_dir(checkout()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn alerts_fire_when_they_must_and_only_then() {
    good(&["test", "rules", "rules/tests.yml", "rules/tests-days.yml"]);
}

/// Every alert is tested firing, and says what to do.
#[test]
fn every_alert_has_a_test_and_a_runbook() {
    let read = |name: &str| std::fs::read_to_string(checkout().join("grafana/prometheus/rules").join(name)).unwrap();
    let (alerts, tests) = (read("alerts.yml"), read("tests.yml") + &read("tests-days.yml"));
    let mut n = 0;
    for text in alerts.split("- alert: ").skip(1) {
        let name = text.lines().next().unwrap();
        for part in ["expr:", "severity:", "summary:", "runbook: |"] {
            assert!(text.contains(part), "{name} has no {part}");
        }
        let firing = format!("alertname=\"{name}\", alertstate=\"firing\"");
        let fires = tests.split("- expr: ").any(|case| case.contains(&firing) && case.contains("value: 1"));
        assert!(fires, "no test in which {name} fires");
        n += 1;
    }
    assert!(n > 15, "{n} alerts were found");
}
