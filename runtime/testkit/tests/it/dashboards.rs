//! The dashboards of this checkout: what every panel must have, and what it asks.

use std::collections::BTreeSet;
use std::process::Command;

use drover_testkit::checkout;
use serde_json::Value;

/// Units of Grafana that are used here.
const UNITS: [&str; 7] = ["reqpm", "cpm", "s", "none", "percentunit", "bytes", "bool_yes_no"];

/// A query of a panel, with its variables filled in.
pub(crate) struct Query {
    /// `dashboard: panel`.
    pub(crate) place: String,
    pub(crate) expression: String,
}

/// Returns the queries of all panels of a dashboard, for `function` and a scrape every second.
pub(crate) fn queries(dashboard: &str, function: &str) -> Vec<Query> {
    let fill = |text: &Value| {
        let text = text.as_str().unwrap().replace("$__rate_interval", "10s").replace("$function", function);
        assert!(!text.contains('$'), "a variable is left in {text}");
        text
    };
    let document = read(dashboard);
    let panels = document["panels"].as_array().unwrap().iter();
    let each = panels.flat_map(|panel| {
        let place = format!("{dashboard}: {}", panel["title"].as_str().unwrap());
        let targets = panel["targets"].as_array().unwrap().iter();
        targets.map(move |target| Query { place: place.clone(), expression: fill(&target["expr"]) })
    });
    each.collect()
}

/// Returns the queries of the annotations of a dashboard.
pub(crate) fn annotations(dashboard: &str, function: &str) -> Vec<String> {
    let document = read(dashboard);
    let all = document["annotations"]["list"].as_array().unwrap().iter();
    all.map(|one| one["expr"].as_str().unwrap().replace("$function", function)).collect()
}

fn read(dashboard: &str) -> Value {
    let path = checkout().join(format!("grafana/dashboards/{dashboard}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn all() -> Vec<String> {
    let files = std::fs::read_dir(checkout().join("grafana/dashboards")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    names.map(|name| name.strip_suffix(".json").unwrap().to_owned()).collect()
}

#[test]
fn every_panel_can_be_read() {
    let mut uids = BTreeSet::new();
    for name in all() {
        let document = read(&name);
        for field in ["uid", "title", "description"] {
            assert!(document[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert!(uids.insert(document["uid"].to_string()), "{name}: its uid is another's");
        let variable = &document["templating"]["list"][0];
        assert_eq!((&variable["name"], &variable["type"]), (&"datasource".into(), &"datasource".into()), "{name}");
        let (mut titles, mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in document["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title), "{name}: two panels `{title}`");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}: its id is another's");
            let known = ["timeseries", "stat", "gauge", "heatmap"];
            assert!(known.contains(&panel["type"].as_str().unwrap()), "{name}: {title}: type {}", panel["type"]);
            let description = panel["description"].as_str().unwrap();
            assert!(description.len() > 20 && description.ends_with('.'), "{name}: {title}: `{description}`");
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            assert!(UNITS.contains(&unit), "{name}: {title}: unit `{unit}`");
            for target in panel["targets"].as_array().unwrap() {
                assert!(
                    target["legendFormat"].as_str().is_some_and(|text| !text.is_empty()),
                    "{name}: {title}: no legend"
                );
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}: {title}");
            }
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {title}: wider than the page");
            for (x, y) in (place("x")..place("x") + place("w"))
                .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
            {
                assert!(taken.insert((x, y)), "{name}: {title}: lies on another panel");
            }
        }
    }
    assert_eq!(uids.len(), 4);
}

/// Grafana's alerts ask what Prometheus' rules ask.
#[test]
fn dashboards_and_grafana_s_alerts_are_those_that_the_script_makes() {
    let yaml = Command::new("python3").args(["-c", "import yaml"]).output().unwrap();
    if !yaml.status.success() {
        eprintln!("skipped: python3 has no PyYAML");
        return;
    }
    let output = Command::new("python3").args(["grafana/make.py", "--check"]).current_dir(checkout()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
