use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::plan::{Arrivals, Load, Plan, Stage, Wait};
use crate::work::{Answer, Script, Work};

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(Path::new("shop.toml"), text.to_owned())
}

#[track_caller]
fn wrong(text: &str, expected: &expect_test::Expect) {
    expected.assert_eq(&parse(text).unwrap_err().to_string());
}

fn prepared(text: &str) -> Prepared {
    parse(text).unwrap().prepare(&Preparing::default()).unwrap()
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from(body.to_string()),
        took: Duration::ZERO,
    }
}

/// Returns the next request as `METHOD path body`, or how the iteration ends.
fn next(user: &mut Box<dyn Script>) -> String {
    match user.next() {
        Ok(Some(ask)) => {
            let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            format!("{} {} {}", ask.method, text(&ask.path), text(&ask.body)).trim_end().to_owned()
        }
        Ok(None) => "end".into(),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_the_near_name() {
    wrong(
        r#"
wait_tiem = "1s"
seed = -1
timeout = 1 

[[stages]]
target = 10
duration = "10"

[[tasks]]
name = "predict"
wieght = 2
path = "predict"
method = "P OST"
json = { a = 1 }
body = "b"
invalid = "150%"
check = { statuss = 200, json = { label = "x" } }

[[tasks]]
name = "two"
path = "/x"
[[tasks.steps]]
jsn = {}

[data.rows]
order = "suffled"
"#,
        &expect![[r#"
            shop.toml:2:1: unknown key `wait_tiem`; near: `wait_time`
            shop.toml:3:8: `-1` is not a whole number, at least 0
            shop.toml:10:1: `invalid` needs `generate = true` or `data`
            shop.toml:10:1: `json` and `body` both say what the body is: keep one
            shop.toml:12:1: unknown key `wieght`; near: `weight`
            shop.toml:13:8: the path `predict` does not begin with /
            shop.toml:14:10: `P OST` is no method
            shop.toml:17:11: `"150%"` is not a share such as 0.05 or "5%"
            shop.toml:18:11: unknown key `statuss`; near: `status`
            shop.toml:18:43: `label` is no JSON pointer: write `/label`
            shop.toml:20:1: `path` belongs into a step, as this task has [[tasks.steps]]
            shop.toml:23:1: a step has no path
            shop.toml:24:1: unknown key `jsn`; near: `json`
            shop.toml:26:1: data `rows` has no file
            shop.toml:27:9: `suffled` is no order; near: `shuffled`"#]],
    );
    wrong(
        "[[tasks]]\npath = \"/a\nmethod = \"GET\"\n",
        &expect![[r#"shop.toml:2:11: invalid basic string, expected `"`"#]],
    );
    wrong(
        "users = 5\nrate = 3\n",
        &expect![[r#"
        shop.toml:1:1: `users` and `rate` do not go together: keep one
        shop.toml:1:1: there is no [[tasks]]: give one at least"#]],
    );
    let missing = Scenario::load(&Files::Here, Path::new("/nowhere/shop.toml")).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/shop.toml: "), "{missing}");
}

#[test]
fn names_that_nothing_gives_are_told_before_the_run() {
    let text = r#"
[vars]
colour = "red"
[[tasks]]
path = "/{{colur}}"
method = "POST"
json = { id = "{{token}}" }
headers = { x-a = "{{colour" }
extract = { tokn = "/t" }
[[tasks]]
path = "/b"
data = "rwos"
[[tasks]]
path = "/c"
generate = true
"#;
    let found = parse(text).unwrap().prepare(&Preparing::default()).unwrap_err().to_string();
    expect![[r#"
        shop.toml:5:8: `{{colur}}` is in no vars, data or extract; near: `colour`
        shop.toml:7:8: `{{token}}` is in no vars, data or extract; near: `tokn`
        shop.toml:8:19: `{{colour`: unexpected end of input, expected end of variable block
        shop.toml:12:8: there is no [data.rwos]
        shop.toml:13:1: bodies can be generated only for a target with an OpenAPI document"#]]
    .assert_eq(&found);
}

#[test]
fn names_that_no_text_could_say_are_told_before_the_run() {
    let text = r#"
[vars]
none = 1
colour = "red"
[[tasks]]
path = "/a"
extract = { my-id = "/id", id = "/id" }
"#;
    let found = parse(text).unwrap().prepare(&Preparing::default()).unwrap_err().to_string();
    expect![[r#"
        shop.toml:1:1: `none` cannot stand in `{{none}}`: it is no name, or a word of Jinja's
        shop.toml:7:21: `my-id` cannot stand in `{{my-id}}`: it is no name, or a word of Jinja's"#]]
    .assert_eq(&found);
}

#[test]
fn what_the_file_says_of_the_run_goes_into_the_plan() {
    let plan = |text: &str| {
        let scenario = parse(&format!("{text}\n[[tasks]]\npath = \"/\"\n")).unwrap();
        let mut plan = Plan::default();
        scenario.settings.apply(&mut plan);
        plan
    };
    let seconds = Duration::from_secs;
    let stage = |target, ramp, hold| Stage { target, ramp: seconds(ramp), hold: Some(seconds(hold)) };
    let users = plan("users = 500\nspawn_rate = 50\nrun_time = \"5m\"\nwait_time = \"between(1s, 3s)\"\ntimeout = 2.5");
    assert_eq!(users.load, Load::Users(vec![Stage { target: 500.0, ramp: seconds(10), hold: None }]));
    assert_eq!((users.run_time, users.timeout), (Some(seconds(300)), Duration::from_millis(2500)));
    assert_eq!(users.wait, Wait::Between(seconds(1), seconds(3)));
    let stages = plan(
        "[[stages]]\nduration = \"30s\"\ntarget = 100\n[[stages]]\nhold = \"1m\"\ntarget = 300\nspawn_rate = 20\n\
         [[stages]]\ntarget = 0\nramp = 4\nsteps = 2",
    );
    let expected =
        vec![stage(100.0, 30, 0), stage(300.0, 10, 60), stage(150.0, 0, 2), stage(0.0, 0, 2), stage(0.0, 0, 0)];
    assert_eq!(stages.load, Load::Users(expected));
    let rate = plan("rate = 200\narrivals = \"poisson\"\nseed = 9");
    let stages = vec![Stage::step(200.0)];
    assert_eq!(rate.load, Load::Rate { stages, arrivals: Arrivals::Poisson, connections: Plan::CONNECTIONS });
    assert_eq!(rate.seed, 9);
    assert_eq!(plan(""), Plan::default());
}

#[test]
fn promises_are_kept_with_their_place() {
    let scenario = parse("slo = \"p95<1s\"\n[[tasks]]\nname = \"a\"\npath = \"/\"\nslo = \"failures<1%\"\n").unwrap();
    let promise = |text: &str, task: Option<&str>, place: &str| Promise {
        text: text.into(),
        task: task.map(Into::into),
        place: place.into(),
    };
    let expected = [promise("p95<1s", None, "shop.toml:1:7"), promise("failures<1%", Some("a"), "shop.toml:5:7")];
    assert_eq!(scenario.settings.promises, expected);
}

#[test]
fn a_task_goes_step_by_step_and_keeps_what_answers_give() {
    let work = prepared(
        r#"
[on_start]
method = "POST"
path = "/login"
extract = { token = "/token" }
[[tasks]]
name = "buy"
[[tasks.steps]]
path = "/list"
extract = { item = "/items/0/id" }
[[tasks.steps]]
name = "order"
method = "POST"
path = "/orders/{{item}}"
headers = { authorization = "Bearer {{token}}" }
json = { item = "{{item}}", note = "for {{item}}" }
"#,
    );
    assert_eq!(work.tasks(), ["on_start", "buy /list", "order"]);
    let mut user = work.user(1);
    assert_eq!(next(&mut user), "POST /login");
    user.judge(&answer(200, &json!({"token": "t 1"}))).unwrap();
    for _ in 0..2 {
        assert_eq!(next(&mut user), "GET /list");
        user.judge(&answer(200, &json!({"items": [{"id": 7}]}))).unwrap();
        let ask = user.next().unwrap().unwrap();
        assert_eq!((ask.task, &ask.path[..]), (2, &b"/orders/7"[..]));
        assert_eq!(ask.headers["authorization"], "Bearer t 1");
        assert_eq!(ask.headers["content-type"], "application/json");
        assert_eq!(&ask.body[..], br#"{"item":7,"note":"for 7"}"#);
        user.judge(&answer(200, &json!({}))).unwrap();
        assert_eq!(next(&mut user), "end");
    }
}

#[test]
fn an_iteration_ends_where_it_fails_and_the_next_begins_at_its_first_step() {
    let text = "[[tasks]]\n[[tasks.steps]]\npath = \"/a\"\nextract = { id = \"/id\" }\n[[tasks.steps]]\npath = \"/b/{{id}}\"\n";
    let mut user = prepared(text).user(1);
    assert_eq!(next(&mut user), "GET /a");
    let failure = user.judge(&answer(503, &json!({"kind": "not_ready"}))).unwrap_err();
    assert_eq!(failure.to_string(), "http_503: not_ready");
    assert_eq!(next(&mut user), "GET /a");
    let failure = user.judge(&answer(200, &json!({}))).unwrap_err();
    assert_eq!(failure.to_string(), "extract: the answer has no `/id` for `id`");
    // No answer at all.
    assert_eq!(next(&mut user), "GET /a");
    assert_eq!(next(&mut user), "GET /a");
    user.judge(&answer(200, &json!({"id": "é"}))).unwrap();
    assert_eq!(next(&mut user), "GET /b/%C3%A9");
    assert_eq!(next(&mut user), "GET /a");
}

#[test]
fn tasks_are_chosen_by_weight_and_tag_and_by_the_seed() {
    let text = "[[tasks]]\npath = \"/a\"\nweight = 3\ntags = [\"x\"]\n[[tasks]]\npath = \"/b\"\ntags = \"y\"\n\
                [[tasks]]\npath = \"/c\"\nweight = 0\n";
    let count = |user: &mut Box<dyn Script>| {
        let mut counts = BTreeMap::new();
        for _ in 0..4000 {
            *counts.entry(next(user)).or_insert(0) += 1;
            user.judge(&answer(200, &json!({}))).unwrap();
            assert_eq!(next(user), "end");
        }
        counts
    };
    let work = prepared(text);
    let counts = count(&mut work.user(1));
    assert_eq!(counts.len(), 2);
    assert!((2850..3150).contains(&counts["GET /a"]), "{counts:?}");
    assert_eq!(counts, count(&mut work.user(1)));
    assert_ne!(counts, count(&mut work.user(2)));
    let tagged = |tags: &[&str], exclude: &[&str]| {
        let own = |all: &[&str]| all.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let (tags, exclude) = (own(tags), own(exclude));
        let how = Preparing { tags: &tags, exclude_tags: &exclude, ..Preparing::default() };
        parse(text).unwrap().prepare(&how).map(|work| work.tasks().to_vec()).map_err(|e| e.to_string())
    };
    assert_eq!(tagged(&["y"], &[]).unwrap(), ["/b"]);
    assert_eq!(tagged(&[], &["y"]).unwrap(), ["/a"]);
    let none = "shop.toml:1:1: no task is left by weight and tags; there are the tags x, y";
    assert_eq!(tagged(&["z"], &[]).unwrap_err(), none);
}

#[test]
fn a_row_is_the_same_in_all_steps_of_an_iteration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.csv"), "name,mass\nana,1\nbea,2.5\n").unwrap();
    let text = "[data.who]\nfile = \"rows.csv\"\n[[tasks]]\n[[tasks.steps]]\npath = \"/a\"\ndata = \"who\"\n\
                [[tasks.steps]]\npath = \"/b/{{who.name}}\"\n";
    let scenario = Scenario::parse(&folder.path().join("shop.toml"), text.to_owned()).unwrap();
    assert!(scenario.reads_schema());
    let work = scenario.prepare(&Preparing::default()).unwrap();
    let (mut first, mut second) = (work.user(1), work.user(2));
    for (user, name, mass) in [(0, "ana", "1"), (1, "bea", "2.5"), (0, "ana", "1")] {
        let user = if user == 0 { &mut first } else { &mut second };
        assert_eq!(next(user), format!("POST /a {{\"name\":\"{name}\",\"mass\":{mass}}}"));
        user.judge(&answer(200, &json!({}))).unwrap();
        assert_eq!(next(user), format!("GET /b/{name}"));
        user.judge(&answer(200, &json!({}))).unwrap();
        assert_eq!(next(user), "end");
    }
    std::fs::write(folder.path().join("rows.csv"), "name,mass\nana\n").unwrap();
    let broken = scenario.prepare(&Preparing::default()).unwrap_err().to_string();
    assert!(broken.contains("rows.csv:2: has 1 cells"), "{broken}");
    assert!(broken.contains("shop.toml:1:1: a row is broken"), "{broken}");
}

#[test]
fn one_request_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.jsonl");
    std::fs::write(&file, "{\"a\": 1}\n").unwrap();
    let single = Single {
        name: "predict".into(),
        path: "/predict".into(),
        body: Some("{\"x\": {{row.a}}}".into()),
        rows_of: Some(RowsOf { file, ..RowsOf::default() }),
        ..Single::default()
    };
    let work = Scenario::single(single).prepare(&Preparing::default()).unwrap();
    assert_eq!(work.tasks(), ["predict"]);
    assert_eq!(next(&mut work.user(1)), "POST /predict {\"x\": 1}");
    let get = Scenario::single(Single { name: "GET".into(), ..Single::default() });
    assert_eq!(next(&mut get.prepare(&Preparing::default()).unwrap().user(1)), "GET");
}
