//! What users send, judged by the functions themselves.

use std::path::Path;

use drover_testkit::{Instance, Probe, built};
use loadgen::files::Files;
use loadgen::scenario::{Preparing, Scenario, Single};
use loadgen::target::{Target, TargetSpec, resolve};
use serde_json::{Map, Value, json};

use crate::crew;

async fn target(url: &str) -> Target {
    resolve(&TargetSpec { target: url.into(), reads_schema: true, ..TargetSpec::default() }).await.unwrap()
}

fn predict(set: &Value, rows: Option<usize>, invalid: f64) -> Scenario {
    let set: Map<String, Value> = set.as_object().unwrap().clone();
    let path = "/predict".to_owned();
    Scenario::single(Single { name: "predict".into(), path, generate: true, rows, invalid, set, ..Single::default() })
}

fn preparing(target: &Target) -> Preparing<'_> {
    Preparing { openapi: target.openapi.as_ref(), base_path: &target.base_path, seed: 1, ..Preparing::default() }
}

#[tokio::test]
async fn a_function_takes_every_drawn_body_and_refuses_every_spoilt_one() {
    let probe = Probe::start(&[]).await;
    let target = target(&probe.url).await;
    for rows in [None, Some(3)] {
        let work = predict(&json!({"act": "answer"}), rows, 0.3).prepare(&preparing(&target)).unwrap();
        let tally = crew::run(&work, &target, 5, 100).await;
        assert!(tally.failures.is_empty(), "{tally:?}");
        let refused: u64 = tally.statuses.iter().filter(|(status, _)| **status >= 400).map(|(_, n)| n).sum();
        assert!((100..200).contains(&refused), "about 150 of 500 are wrong: {tally:?}");
        assert!(tally.statuses.keys().all(|status| [200, 400, 422].contains(status)), "{tally:?}");
    }
}

#[tokio::test]
async fn a_function_that_fails_is_counted_by_what_it_says() {
    let probe = Probe::start(&[]).await;
    let target = target(&probe.url).await;
    let work = predict(&json!({"act": "fail"}), None, 0.0).prepare(&preparing(&target)).unwrap();
    let tally = crew::run(&work, &target, 1, 3).await;
    assert_eq!(tally.failures, [("http_500: model_failed".to_owned(), 3)].into());
    let wrong = predict(&json!({"acts": "fail"}), None, 0.0).prepare(&preparing(&target)).unwrap_err();
    assert_eq!(wrong.to_string(), "the request: the body has no field `acts`; near: `act`");
}

#[tokio::test]
async fn a_url_says_all_of_its_path() {
    let probe = Probe::start(&[]).await;
    let target = target(&format!("{}/predict", probe.url)).await;
    assert_eq!((&target.base_path[..], target.path), ("/predict", ""));
    let single = Single {
        name: "predict".into(),
        generate: true,
        set: [("act".into(), "answer".into())].into_iter().collect(),
        ..Single::default()
    };
    let work = Scenario::single(single).prepare(&preparing(&target)).unwrap();
    let tally = crew::run(&work, &target, 1, 20).await;
    assert_eq!((tally.failures.len(), tally.statuses[&200]), (0, 20), "{tally:?}");
}

/// The example of docs/loadgen-scenario.md, and the file that it shows.
#[tokio::test]
async fn the_example_of_the_documentation_runs() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("examples/penguins/scenario.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let page = std::fs::read_to_string(here.join("../docs/loadgen-scenario.md")).unwrap();
    assert!(page.contains(&format!("```toml\n{text}```")), "docs/loadgen-scenario.md shows another text");

    let penguins = Instance::start(Instance::command(&built(&["penguins"]).join("penguins"))).await;
    let target = target(&penguins.url).await;
    let scenario = Scenario::load(&Files::Here, &file).unwrap();
    assert_eq!(scenario.settings.target.as_deref(), Some("penguins"));
    assert_eq!(scenario.settings.promises.len(), 2);
    let work = scenario.prepare(&preparing(&target)).unwrap();
    assert!(work.notes().is_empty(), "{:?}", work.notes());
    let tally = crew::run(&work, &target, 10, 30).await;
    assert!(tally.failures.is_empty(), "{tally:?}");
    let names: Vec<_> = tally.requests.keys().map(String::as_str).collect();
    assert_eq!(names, ["colony", "look/infer", "look/model", "predict", "ready"]);
    assert_eq!(tally.requests["ready"], 10);
    assert_eq!(tally.requests["look/infer"], tally.requests["look/model"]);
    assert!(tally.statuses.keys().any(|status| *status >= 400), "2 of 100 are wrong: {tally:?}");
}
