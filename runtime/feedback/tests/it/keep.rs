//! What is kept, how long, and what becomes of it when the store is gone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drover_feedback::{Retention, Store};
use drover_testkit::{Postgres, eventually};
use reqwest::Method;
use serde_json::json;

use crate::service::{Running, judgement, stores};

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn the_same_verdict_is_kept_once_and_another_replaces_it() {
    for store in stores().await {
        let service = Running::start(&store.url, Retention::default(), None).await;
        let mut one = judgement("a", now_ms(), "down", "x");
        assert_eq!(service.judge(&one).await.0, 201);
        let (status, said) = service.judge(&one).await;
        assert_eq!((status, &said["replaced"]), (200, &json!(false)));
        one["opinion"]["expected"] = json!("Positivo");
        assert_eq!(service.judge(&one).await.1["replaced"], true);
        // A gateway that has the answer no more.
        let late = json!({"opinion": {"request_id": "a", "verdict": "up"}, "kept": null});
        assert_eq!(service.judge(&late).await.1["replaced"], true);
        let unknown = json!({"opinion": {"request_id": "b", "verdict": "up"}, "kept": null});
        assert_eq!(service.judge(&unknown).await.1["kind"], "unknown_request");
        let wrong = json!({"opinion": {"request_id": "a", "verdict": "down", "expected": "Both"}, "kept": null});
        let (status, problem) = service.judge(&wrong).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/expected")));
        // Another answer under the same id: a client chose it twice.
        let newer = judgement("a", now_ms() + 1, "down", "y");
        assert_eq!(service.judge(&newer).await.0, 201);
        assert_eq!(service.ids("?text=x").await.0.len() + service.ids("?text=y").await.0.len(), 1);
        service.stop().await;
    }
}

#[tokio::test]
async fn a_verdict_is_counted_once_also_after_a_restart() {
    for store in stores().await {
        let service = Running::start(&store.url, Retention::default(), None).await;
        let at_ms = now_ms() - 5;
        for id in ["a", "a", "b", "c"] {
            service.judge(&judgement(id, at_ms, if id == "c" { "down" } else { "up" }, "x")).await;
        }
        let (_, text) = service.get("/api/feedback").await;
        assert!(text.contains(r#""version":"1.0.0""#), "{text}");
        service.stop().await;
        let service = Running::start(&store.url, Retention::default(), None).await;
        let removed = service.request(Method::DELETE, "/api/feedback/c").send().await.unwrap();
        assert_eq!(removed.status().as_u16(), 204);
        assert_eq!(service.request(Method::DELETE, "/api/feedback/c").send().await.unwrap().status().as_u16(), 404);
        let (_, counters) = service.get("/metrics").await;
        let labels = r#"function="sentiment",version="1.0.0""#;
        for line in [
            format!("drover_feedback_verdicts_total{{{labels},verdict=\"up\"}} 2"),
            format!("drover_feedback_verdicts_total{{{labels},verdict=\"down\"}} 1"),
            format!("drover_feedback_agreement{{{labels}}} 1"),
            "drover_feedback_stored 2".to_owned(),
        ] {
            assert!(counters.contains(&line), "{line}\n{counters}");
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn what_is_too_old_or_too_much_is_deleted() {
    for store in stores().await {
        let service = Running::start(&store.url, Retention::default(), None).await;
        for n in 0..5 {
            service.judge(&judgement(&format!("r{n}"), now_ms() - 10_000 + n, "up", "x")).await;
        }
        service.judge(&judgement("old", now_ms() - 3_600_000, "up", "x")).await;
        service.stop().await;
        let short = Retention { keep: Duration::from_secs(600), rows: 3 };
        let service = Running::start(&store.url, short, None).await;
        eventually("the oldest are gone", Duration::from_secs(10), || async {
            (service.ids("").await.0 == ["r4", "r3", "r2"]).then_some(())
        })
        .await;
        service.stop().await;
    }
}

#[tokio::test]
async fn without_the_key_nothing_is_answered_but_counts() {
    for store in stores().await {
        let service = Running::start(&store.url, Retention::default(), Some("secret")).await;
        assert_eq!(service.get("/api/feedback").await.0, 401);
        assert_eq!(service.judge(&judgement("a", now_ms(), "up", "x")).await.0, 401);
        for key in ["wrong", "secret2", ""] {
            let asked = service.request(Method::GET, "/api/feedback").bearer_auth(key).send().await.unwrap();
            assert_eq!(asked.status().as_u16(), 401);
        }
        let asked = service.request(Method::GET, "/api/feedback").bearer_auth("secret").send().await.unwrap();
        assert_eq!(asked.status().as_u16(), 200);
        for open in ["/metrics", "/health", "/health/ready"] {
            assert_eq!(service.get(open).await.0, 200, "{open}");
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn while_postgres_is_away_nothing_is_taken_and_nothing_is_lost() {
    for mut store in stores().await {
        let Some(mut postgres) = store.postgres.take() else { continue };
        let service = Running::start(&store.url, Retention::default(), None).await;
        assert_eq!(service.judge(&judgement("a", now_ms(), "up", "x")).await.0, 201);
        postgres.stop();
        let (status, problem) = service.judge(&judgement("b", now_ms(), "up", "x")).await;
        assert_eq!((status, &problem["kind"]), (503, &json!("store_unavailable")));
        assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
        assert_eq!(service.get("/health/ready").await.0, 503);
        postgres.start_again().await;
        eventually("it is taken again", Duration::from_secs(20), || async {
            (service.judge(&judgement("b", now_ms(), "up", "x")).await.0 == 201).then_some(())
        })
        .await;
        assert_eq!(service.ids("").await.0, ["b", "a"]);
        service.stop().await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_is_named_without_its_password() {
    for (url, words) in [
        ("mysql://a", "neither sqlite:FILE nor postgres://"),
        ("postgres://drover:s3cret@127.0.0.1:1/x", "PostgreSQL at Tcp(\"127.0.0.1\"), database x"),
        ("sqlite:/dev/null/x", "/dev/null/x"),
    ] {
        let why = Store::open(url, Retention::default()).await.unwrap_err().to_string();
        assert!(why.contains(words) && !why.contains("s3cret"), "{why}");
    }
}

#[tokio::test]
async fn postgres_is_asked_by_tls_if_the_url_says_so_and_must_prove_its_name() {
    let Some(mut postgres) = Postgres::start().await else { return };
    let certificate = postgres.demand_tls();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (own, nothing) = (file("own.pem", &certificate), file("nothing.pem", ""));
    postgres.stop();
    postgres.start_again().await;
    let url = |query: &str| format!("{}?{query}", postgres.url);

    let service =
        Running::start(&url(&format!("sslmode=verify-full&sslrootcert={own}")), Retention::default(), None).await;
    assert_eq!(service.judge(&judgement("a", now_ms(), "down", "x")).await.0, 201);
    service.stop().await;

    for (query, why) in [
        // The server wants TLS, and nobody else has signed its certificate.
        ("sslmode=disable".to_owned(), "no encryption"),
        ("sslmode=require".to_owned(), "invalid peer certificate"),
        (format!("sslmode=require&sslrootcert={nothing}"), "no certificate is in it"),
    ] {
        let refused = Store::open(&url(&query), Retention::default()).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{query}: {refused}");
    }
}
