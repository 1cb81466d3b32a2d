use expect_test::expect;
use fastrand::Rng;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::read::Reader;
use super::*;

fn read(schema: &Value) -> Result<Shape, Vec<String>> {
    let mut reader = Reader::new(schema);
    let shape = reader.read(schema, "");
    match reader.wrong() {
        wrong if wrong.is_empty() => Ok(shape),
        wrong => Err(wrong),
    }
}

fn drawn(schema: &Value) -> Vec<Value> {
    let shape = read(schema).unwrap();
    let mut rng = Rng::with_seed(1);
    (0..300).map(|_| shape.draw(&mut rng)).collect()
}

#[test]
fn a_schema_that_cannot_be_met_is_told_with_every_field_and_why() {
    let schema = json!({"type": "object", "properties": {
        "mass": {"type": "number", "minimum": 10, "maximum": 5},
        "count": {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        "even": {"type": "integer", "minimum": 5, "maximum": 7, "multipleOf": 4},
        "text": {"type": "string", "minLength": 3, "maxLength": 2},
        "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "host": {"type": "string", "format": "hostname"},
        "list": {"type": "array", "minItems": 2, "maxItems": 1, "items": {"type": "integer"}},
        "inner": {"type": "object", "properties": {"deep": {"enum": []}}, "required": ["deep"]},
        "loop": {"$ref": "#"},
        "gone": {"$ref": "#/components/schemas/Gone"},
        "any": {},
        "neither": {"not": {"type": "string"}},
        "odd": {"type": "date"},
    }, "required": ["mass", "count", "even", "text", "code", "host", "list", "inner", "loop", "gone", "any", "neither", "odd", "ghost"]});
    let mut wrong = read(&schema).unwrap_err();
    let inside_the_loop = wrong.iter().position(|why| why.contains("without an end"));
    assert!(inside_the_loop.is_some(), "{wrong:?}");
    wrong.retain(|why| !why.contains("`loop"));
    expect![[r#"
        field `mass`: no number is allowed: minimum 10, maximum 5
        field `count`: no integer is allowed: exclusiveMinimum 1, exclusiveMaximum 2
        field `even`: no integer is allowed: minimum 5, maximum 7, multipleOf 4
        field `text`: minLength 3 is above maxLength 2
        field `code`: its pattern "^[A-Z]{3}$" cannot be drawn from, and it has no example
        field `host`: its format `hostname` cannot be drawn from, and it has no example
        field `list`: minItems 2 is above maxItems 1
        field `inner.deep`: its enumeration has no values
        field `gone`: `#/components/schemas/Gone` is not in the document
        field `any`: its schema says neither type nor example
        field `neither`: its schema says `not`, which cannot be drawn from: give rows in a file
        field `odd`: its type is `date`, which JSON does not have
        the body: requires `ghost`, which it does not describe"#]]
    .assert_eq(&wrong.join("\n"));
}

#[test]
fn an_optional_field_that_cannot_be_met_is_never_sent() {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"not": {}}}, "required": ["a"]});
    assert!(drawn(&schema).iter().all(|row| row["a"].is_boolean() && row.get("b").is_none()));
}

#[test]
fn what_contains_itself_twice_comes_to_an_end() {
    let tree = |required: &[&str]| {
        json!({"type": "object", "properties": {
            "value": {"type": "integer"}, "left": {"$ref": "#"}, "right": {"$ref": "#"},
        }, "required": required})
    };
    let wrong = read(&tree(&["value", "left", "right"])).unwrap_err();
    assert!(wrong[0].ends_with("it contains itself without an end"), "{}", wrong[0]);
    assert!(drawn(&tree(&["value"])).iter().all(|row| row["value"].is_i64()));
    assert!(read(&json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]})).is_err());
}

#[test]
fn what_is_too_large_to_be_sent_is_told_and_the_widest_range_drawn() {
    let long = read(&json!({"type": "string", "minLength": 5_000_000_000_u64})).unwrap_err();
    assert_eq!(long, ["the body: minLength is 5000000000, which is too large to be sent"]);
    assert!(read(&json!({"type": "array", "items": {"type": "integer"}, "minItems": 2_000_000})).is_err());
    let wide = drawn(&json!({"type": "number", "minimum": f64::MIN, "maximum": f64::MAX}));
    assert!(wide.iter().all(Value::is_f64), "{wide:?}");
}

#[test]
fn what_other_servers_publish_is_understood() {
    // FastAPI's way of an optional number, a reference with a bound beside it, and OpenAPI 3.0's words.
    let fastapi =
        json!({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}], "title": "Share"});
    let values = drawn(&fastapi);
    assert!(values.iter().any(Value::is_null) && values.iter().any(Value::is_number), "{values:?}");
    let older = json!({"type": "integer", "nullable": true, "minimum": 0, "exclusiveMinimum": true, "maximum": 2});
    assert!(drawn(&older).iter().all(|n| n.is_null() || *n == json!(1) || *n == json!(2)));
    let all_of = json!({"allOf": [
        {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        {"properties": {"b": {"const": 5}}, "required": ["b"]},
    ]});
    assert!(drawn(&all_of).iter().all(|row| row["a"].is_boolean() && row["b"] == 5));
    let both =
        json!({"oneOf": [{"type": "array", "items": {"type": "boolean"}}, {"type": "object", "properties": {}}]});
    assert!(matches!(read(&both).unwrap().row().kind, Kind::Record { .. }));
    let examples = json!({"type": "string", "pattern": "x", "examples": ["one", "two"]});
    assert!(drawn(&examples).iter().all(|text| text == "one" || text == "two"));
    let like = json!({"type": "number", "examples": [1.5, 2.5]});
    assert!(drawn(&like).iter().all(|n| *n == json!(1.5) || *n == json!(2.5)));
    for (format, start) in [("uuid", 14), ("date-time", 10), ("date", 4), ("email", 1), ("uri", 5), ("ipv4", 3)] {
        let texts = drawn(&json!({"type": "string", "format": format}));
        assert!(texts.iter().all(|text| text.as_str().unwrap().len() > start), "{format}: {texts:?}");
    }
    let id = drawn(&json!({"type": "string", "format": "uuid"}))[0].as_str().unwrap().to_owned();
    assert_eq!((id.len(), &id[14..15]), (36, "4"));
}

#[test]
fn whole_numbers_of_64_bits_are_drawn_to_their_ends() {
    let shape = read(&json!({"type": "integer", "minimum": u64::MAX - 1, "maximum": u64::MAX})).unwrap();
    let mut rng = Rng::with_seed(1);
    let values: std::collections::BTreeSet<u64> = (0..50).map(|_| shape.draw(&mut rng).as_u64().unwrap()).collect();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [u64::MAX - 1, u64::MAX]);
}

/// Schemas of one field, as declarations have them.
fn any_schema() -> impl Strategy<Value = Value> {
    let number = (-1e6..1e6f64, 0.0..1e6f64, any::<bool>(), any::<bool>()).prop_map(|(min, span, lower, upper)| {
        let mut schema = json!({"type": "number"});
        let end = (min + span).max(min + 0.001);
        schema[if lower { "minimum" } else { "exclusiveMinimum" }] = min.into();
        schema[if upper { "maximum" } else { "exclusiveMaximum" }] = end.into();
        schema
    });
    let integer = (any::<i32>(), 1..1000i64, 1..5i64).prop_map(|(min, span, step)| {
        json!({"type": "integer", "minimum": min, "maximum": i64::from(min) + span * step, "multipleOf": step})
    });
    let text = (0..20usize, 0..20usize).prop_map(
        |(min, more)| json!({"type": "string", "minLength": min, "maxLength": min + more, "examples": ["ñandú y más"]}),
    );
    let choice = Just(json!({"type": "string", "enum": ["a", "b"]}));
    let leaf = prop_oneof![number, integer, text, choice, Just(json!({"type": ["boolean", "null"]}))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0..3usize, 0..3usize).prop_map(|(items, min, more)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
            }),
            (inner.clone(), inner).prop_map(|(a, b)| {
                json!({"type": "object", "additionalProperties": false, "properties": {"a": a, "b": b}, "required": ["a"]})
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_drawn_fits_its_schema_and_what_is_spoilt_does_not(schema in any_schema(), seed in any::<u64>()) {
        let row = json!({"type": "object", "additionalProperties": false, "properties": {"x": schema}, "required": ["x"]});
        let shape = read(&row).unwrap();
        let mut rng = Rng::with_seed(seed);
        let wrong_of = |value: &Value| {
            let mut wrong = Vec::new();
            shape.check(value, "", &mut wrong);
            wrong
        };
        for _ in 0..20 {
            let value = shape.draw(&mut rng);
            prop_assert_eq!(wrong_of(&value), Vec::<String>::new(), "{} does not fit {}", value, row);
            let (spoilt, why) = shape.spoil(value, &Map::new(), &mut rng).unwrap();
            prop_assert!(why == NOT_JSON || !wrong_of(&spoilt).is_empty(), "{spoilt} fits {row}, though {why}");
        }
    }
}
