//! What is found again: lists, files, sums.

use drover_feedback::Retention;
use serde_json::{Value, json};

use crate::service::{Running, judgement, stores};

/// 2026-11-21T00:00:00Z.
const DAY: u64 = 1_795_219_200_000;
/// Old verdicts are to stay.
const ALL: Retention = Retention { keep: std::time::Duration::from_secs(100 * 365 * 24 * 3600), rows: 1_000_000 };

/// Six verdicts that differ in what can be asked for.
async fn filled(url: &str) -> Running {
    let service = Running::start(url, ALL, None).await;
    let mut all = [
        judgement("a", DAY, "up", "Me ha GUSTADO, ¡ÁRBOL!"),
        judgement("b", DAY + 1, "down", "100% malo"),
        judgement("c", DAY + 1, "down", "=cmd|' /C calc'!A0"),
        judgement("d", DAY + 86_400_000, "down", "<script>alert(1)</script>"),
        judgement("e", DAY + 86_400_001, "up", "uno_dos"),
        judgement("f", DAY + 86_400_002, "down", "x"),
    ];
    all[2]["opinion"]["expected"] = json!("Positivo");
    all[2]["opinion"]["comment"] = json!("@SUM(A1) dice \u{0}Óscar");
    all[3]["opinion"]["expected"] = json!("Positivo");
    all[3]["kept"]["answer"]["model_version"] = json!("1.1.0");
    all[5]["kept"]["function"] = json!("covertype");
    all[5]["kept"]["input"] = Value::Null;
    all[5]["kept"]["answer"] = json!({"prediction": 2, "probabilities": {"p": 0.1, "q": 0.2, "r": 0.7}});
    all[5]["opinion"]["expected"] = json!(1);
    for one in &all {
        let (status, said) = service.judge(one).await;
        assert_eq!(status, 201, "{said}");
    }
    service
}

#[tokio::test]
async fn every_filter_leaves_what_it_says() {
    for store in stores().await {
        let service = filled(&store.url).await;
        for (query, wanted) in [
            ("", "f e d c b a"),
            ("?function=covertype", "f"),
            ("?version=1.1.0", "d"),
            ("?verdict=up", "e a"),
            ("?verdict=down&function=sentiment", "d c b"),
            ("?class=2", "f"),
            ("?class=Negativo&expected=Positivo", "d c"),
            ("?expected=1", "f"),
            ("?since=2026-11-22T00:00:00Z", "f e d"),
            ("?until=2026-11-21T00:00:00.001Z", "a"),
            ("?since=2026-11-21T00:00:00.001Z&until=2026-11-22T00:00:00Z", "c b"),
            ("?text=gustado", "a"),
            ("?text=%C3%A1rbol", "a"),
            ("?text=100%25", "b"),
            ("?text=o_d", "e"),
            ("?text=%C3%B3SCAR", "c"),
            ("?text=%3Cscript%3E", "d"),
            ("?text='%20OR%20'1'%3D'1", ""),
        ] {
            assert_eq!(service.ids(query).await.0.join(" "), wanted, "{query}");
        }
        let (mut seen, mut next) = (Vec::new(), Some(String::new()));
        while let Some(cursor) = next {
            let (ids, more) = service.ids(&format!("?limit=2&before={cursor}")).await;
            assert!(ids.len() <= 2);
            seen.extend(ids);
            next = more;
        }
        assert_eq!(seen.join(" "), "f e d c b a");
        for bad in ["?limit=501", "?verdict=x", "?since=1", "?sort=at"] {
            assert_eq!(service.get(&format!("/api/feedback{bad}")).await.0, 400, "{bad}");
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn failures_are_exported_without_formulas_and_without_loss() {
    for store in stores().await {
        let service = filled(&store.url).await;
        let (status, csv) = service.get("/api/feedback/export?function=sentiment").await;
        assert_eq!(status, 200);
        let lines: Vec<_> = csv.lines().collect();
        let [head, d, c, b] = lines.as_slice() else { panic!("{csv}") };
        assert_eq!(*head, "request_id,function,version,at,verdict,prediction,expected,confidence,comment,text,input");
        assert!(d.ends_with(r#",<script>alert(1)</script>,"{""text"":""<script>alert(1)</script>""}""#), "{d}");
        assert!(
            c.starts_with("c,sentiment,1.0.0,2026-11-21T00:00:00.001Z,down,Negativo,Positivo,0.9,'@SUM(A1)"),
            "{c}"
        );
        assert!(c.contains(",'=cmd|' /C calc'!A0,"), "{c}");
        assert!(b.contains(",100% malo,"), "{b}");
        let (_, lines) = service.get("/api/feedback/export?format=jsonl&verdict=up").await;
        let texts: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((texts.len(), &texts[1]["input"]["text"]), (2, &json!("Me ha GUSTADO, ¡ÁRBOL!")));
        assert_eq!(service.get("/api/feedback/export?format=xml").await.0, 400);
        service.stop().await;
    }
}

#[tokio::test]
async fn agreement_and_confusion_are_those_of_the_verdicts() {
    for store in stores().await {
        let service = filled(&store.url).await;
        let (status, text) = service.get("/api/feedback/summary?function=sentiment").await;
        assert_eq!(status, 200, "{text}");
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&summary["up"], &summary["down"], &summary["agreement"]), (&json!(2), &json!(3), &json!(0.4)));
        let days = json!([{"day": "2026-11-21", "up": 1, "down": 2}, {"day": "2026-11-22", "up": 1, "down": 0}]);
        let first = json!({"version": "1.0.0", "up": 2, "down": 2, "agreement": 0.5, "days": days});
        assert_eq!(summary["versions"][0], first);
        assert_eq!(
            (&summary["versions"][1]["version"], &summary["versions"][1]["agreement"]),
            (&json!("1.1.0"), &json!(0.0))
        );
        let confusion = json!([
            {"predicted": "Negativo", "expected": "Negativo", "count": 2},
            {"predicted": "Negativo", "expected": "Positivo", "count": 2},
        ]);
        assert_eq!(summary["confusion"], confusion);
        let (_, text) = service.get("/api/feedback/summary?function=sentiment&until=2026-11-22T00:00:00Z").await;
        assert!(text.contains(r#""up":1,"down":2"#), "{text}");
        let (_, none) = service.get("/api/feedback/summary?function=nobody").await;
        assert!(none.contains(r#""agreement":null,"versions":[]"#), "{none}");
        assert_eq!(service.get("/api/feedback/summary").await.0, 400);
        service.stop().await;
    }
}
