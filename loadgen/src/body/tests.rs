use std::io::Write as _;

use expect_test::expect;
use serde_json::json;

use super::*;
use crate::files::Files;

/// The document of the probe, as the SDK publishes it.
fn probe() -> OpenApi {
    let text = include_str!("../../../runtime/sdk/tests/it/snapshots/openapi.json");
    OpenApi { document: serde_json::from_str(text).unwrap(), folder: String::new() }
}

fn file(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    (folder, path)
}

#[test]
fn the_same_seed_gives_the_same_bodies_and_another_gives_others() {
    let shape = probe().request("POST", "/predict").unwrap();
    let draw = |seed| {
        let making = Making { seed, invalid: 0.2, ..Making::default() };
        let bodies = Bodies::drawn(&shape, &making).unwrap();
        let mut rng = Rng::with_seed(7);
        (0..500).map(|_| bodies.draw(&mut rng).body).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn bodies_of_the_probe_are_what_its_declaration_says() {
    let shape = probe().request("post", "/predict").unwrap();
    let bodies = Bodies::drawn(&shape, &Making::default()).unwrap();
    assert_eq!(bodies.valid().len(), DRAWN_MAX);
    let rows: Vec<Value> = bodies.valid().iter().map(|body| serde_json::from_slice(body).unwrap()).collect();
    let numbers = |name: &str| rows.iter().filter_map(|row| row[name].as_f64()).collect::<Vec<_>>();
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let length = numbers("length");
    assert_eq!(length.len(), rows.len());
    assert!(length.iter().all(|n| (0.0..=100.0).contains(n)));
    assert!((mean(&length) - 50.0).abs() < 2.0, "{}", mean(&length));
    let counts = numbers("count");
    for n in 0..=10 {
        let share = counts.iter().filter(|count| **count == f64::from(n)).count() as f64 / rows.len() as f64;
        assert!((share - 1.0 / 11.0).abs() < 0.02, "{n}: {share}");
    }
    let texts = rows.iter().map(|row| row["text"].as_str().unwrap().chars().count());
    assert!(texts.clone().all(|n| (1..=8).contains(&n)), "twice `hola` at most");
    let acts = rows.iter().filter(|row| row.get("act").is_some()).count() as f64 / rows.len() as f64;
    assert!((acts - 0.5).abs() < 0.05, "an optional field is there half of the time: {acts}");
}

#[test]
fn fields_can_be_set_and_rows_sent_as_arrays() {
    let shape = probe().request("POST", "/predict").unwrap();
    let set = json!({"act": "answer", "count": 3}).as_object().unwrap().clone();
    let making = Making { rows: Some(3), set, ..Making::default() };
    for body in Bodies::drawn(&shape, &making).unwrap().valid() {
        let rows: Vec<Value> = serde_json::from_slice(body).unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row["act"] == "answer" && row["count"] == 3), "{rows:?}");
    }
    let wrong = |set: Value| {
        let making = Making { set: set.as_object().unwrap().clone(), ..Making::default() };
        Bodies::drawn(&shape, &making).unwrap_err()
    };
    assert_eq!(wrong(json!({"acts": 1})), "the body has no field `acts`; near: `act`");
    assert_eq!(wrong(json!({"count": 11})), "`count` is 11, not at most 10");
}

#[test]
fn what_is_spoilt_does_not_fit_and_every_kind_of_fault_is_there() {
    let shape = probe().request("POST", "/predict").unwrap();
    let making = Making { invalid: 0.25, ..Making::default() };
    let bodies = Bodies::drawn(&shape, &making).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for Spoilt { body, why } in &bodies.spoilt {
        if let Ok(row) = serde_json::from_slice::<Value>(body) {
            let mut wrong = Vec::new();
            shape.check(&row, "", &mut wrong);
            assert_eq!(wrong.len(), 1, "{row}: {why}");
        } else {
            assert_eq!(&**why, shape::NOT_JSON);
        }
        kinds.insert(why.rsplit('`').next().unwrap().trim().to_owned());
    }
    expect![[r#"
        {
            "is missing",
            "is of another type",
            "is out of its range",
            "it has a field that nobody knows",
            "the body is not JSON",
        }
    "#]]
    .assert_debug_eq(&kinds);
    let mut rng = Rng::with_seed(3);
    let n_wrong = (0..10_000).filter(|_| bodies.draw(&mut rng).wrong.is_some()).count();
    assert!((2300..2700).contains(&n_wrong), "{n_wrong}");
}

#[test]
fn rows_are_sent_in_order_shuffled_or_sampled() {
    let text: String = (0..100).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let (_folder, path) = file("rows.jsonl", &text);
    let rows = Rows::read(&Files::Here, &path, &[], None, Broken::Error).unwrap();
    let sent = |order, making: &Making, n: usize| {
        let bodies = Bodies::from_rows(&rows, order, None, making);
        let mut rng = Rng::with_seed(5);
        let of = |body: Bytes| serde_json::from_slice::<Value>(&body).unwrap()["n"].as_u64().unwrap();
        (0..n).map(|_| of(bodies.draw(&mut rng).body)).collect::<Vec<_>>()
    };
    let all: Vec<u64> = (0..100).collect();
    let making = Making::default();
    let twice = sent(Order::Sequential, &making, 200);
    assert_eq!((&twice[..100], &twice[100..]), (&all[..], &all[..]));
    let mut shuffled = sent(Order::Shuffled, &making, 100);
    assert_ne!(shuffled, all);
    shuffled.sort_unstable();
    assert_eq!(shuffled, all);
    let mut sampled = sent(Order::Sampled, &making, 100);
    sampled.sort_unstable();
    sampled.dedup();
    assert!((50..80).contains(&sampled.len()), "about 63 of 100 are drawn: {}", sampled.len());
    let second = Making { share: Share { index: 1, of: 4 }, ..Making::default() };
    assert_eq!(sent(Order::Sequential, &second, 4), [1, 5, 9, 13]);
}

#[test]
fn files_of_other_editors_are_read_or_told() {
    let read = |name: &str, bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let rows = Rows::read(&Files::Here, &path, &[], None, Broken::Error).map_err(|e| e.to_string());
        let wrong = rows.as_ref().err().map(|why| why.replace(&path.display().to_string(), "FILE"));
        (
            rows.map(|rows| rows.values().map(ToString::to_string).collect::<Vec<_>>().join(" ")).unwrap_or_default(),
            wrong,
        )
    };
    let bom = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    assert_eq!(read("a.jsonl", &bom("{\"n\":1}\r\n\r\n{\"n\":2}")), ("{\"n\":1} {\"n\":2}".into(), None));
    assert_eq!(read("a.csv", &bom("n\r\n1\r\n2\r\n")), ("{\"n\":1} {\"n\":2}".into(), None));
    let told = |name: &str, bytes: &[u8]| read(name, bytes).1.unwrap();
    let why = told("a.jsonl", b"{\"n\":1}\n{\"n\":\"\xff\"}\n");
    assert!(why.starts_with("a row is broken\n  FILE:2: is not JSON: invalid unicode"), "{why}");
    let why = told("a.csv", b"n,m\n1,2\n3,\xff\n");
    assert!(why.contains("FILE:3: cannot be read") && why.contains("UTF-8"), "{why}");
    assert!(told("a.csv", b"n,\xff\n1,2\n").contains("UTF-8"));
    assert_eq!(told("a.csv", b"n,m,n\n1,2,3\n"), "FILE: has the column `n` twice");
    assert_eq!(told("a.csv", b""), "FILE: has no rows");
    assert!(told("a.csv.gz", b"n\n1\n").contains("FILE"));
}

#[test]
fn cells_become_what_the_request_takes() {
    let (_folder, path) = file(
        "rows.csv",
        "length,count,text,colour,act,species\n12,3,7,red,,Adelie\n0.5,0,\"a, b\",green,fail,Gentoo\n",
    );
    let shape = probe().request("POST", "/predict").unwrap();
    let rows = Rows::read(&Files::Here, &path, &[], Some(&shape), Broken::Error).unwrap();
    let all: Vec<_> = rows.values().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            r#"{"length":12.0,"count":3,"text":"7","colour":"red"}"#,
            r#"{"length":0.5,"count":0,"text":"a, b","colour":"green","act":"fail"}"#
        ]
    );
    assert_eq!(rows.notes(), ["columns that the request does not have are left out: species"]);
}

#[test]
fn broken_rows_are_told_with_their_lines() {
    let text = "length,count,text,colour\n1,2,x,red\nNA,2,x,red\n1,2,x\n1,20,x,blue\n";
    let (_folder, path) = file("rows.csv", text);
    let shape = probe().request("POST", "/predict").unwrap();
    let said = |broken| {
        Rows::read(&Files::Here, &path, &[], Some(&shape), broken)
            .map_err(|e| e.to_string().replace(path.to_str().unwrap(), "rows.csv"))
    };
    expect![[r#"
        3 rows are broken
          rows.csv:3: `length` is "NA", not a number
          rows.csv:4: has 3 cells, and the first line has 4 names
          rows.csv:5: `count` is 20, not at most 10; `colour` is "blue", not one of "red", "green""#]]
    .assert_eq(&said(Broken::Error).unwrap_err());
    let skipped = said(Broken::Skip).unwrap();
    assert_eq!(skipped.values().len(), 1);
    assert_eq!(skipped.notes(), ["3 broken rows are left out; the first in line 3: `length` is \"NA\", not a number"]);
    assert_eq!(said(Broken::Send).unwrap().values().len(), 3);

    let (_folder, path) = file("rows.jsonl", "{\"length\":1}\n\n[1]\n{\"length\":\n");
    let wrong = Rows::read(&Files::Here, &path, &[], Some(&shape), Broken::Error).unwrap_err().to_string();
    expect![[r#"
        3 rows are broken
          rows.jsonl:1: `count` is missing; `text` is missing; `colour` is missing
          rows.jsonl:3: is not a JSON object
          rows.jsonl:4: is not JSON: EOF while parsing a value at line 1 column 10"#]]
    .assert_eq(&wrong.replace(path.to_str().unwrap(), "rows.jsonl"));
}

#[test]
fn rows_of_a_packed_file_are_read_and_a_column_that_is_not_there_is_told() {
    let penguins = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/penguins/data/penguins.csv.gz");
    let columns = ["bill_length_mm".to_owned(), "body_mass_g".to_owned()];
    let rows = Rows::read(&Files::Here, &penguins, &columns, None, Broken::Skip).unwrap();
    assert!(rows.values().len() > 300);
    assert_eq!(rows.columns().collect::<Vec<_>>(), columns);
    let wrong = Rows::read(&Files::Here, &penguins, &["bill_lenght_mm".to_owned()], None, Broken::Skip).unwrap_err();
    assert!(wrong.to_string().ends_with("has no column `bill_lenght_mm`; near: `bill_length_mm`"), "{wrong}");
}

#[test]
fn a_request_that_is_not_described_is_told_with_those_that_are() {
    let wrong = probe().request("POST", "/predikt").unwrap_err().to_string();
    expect![[r#"
        no body can be drawn for POST /predikt:
          the OpenAPI document has no path `/predikt`; bodies are taken by /predict, /v2/models/probe/infer"#]]
    .assert_eq(&wrong);
    let wrong = probe().request("GET", "/v2").unwrap_err().to_string();
    assert!(wrong.ends_with("says that it takes no body"), "{wrong}");
}
