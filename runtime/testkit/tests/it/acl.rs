//! The policies of Consul and Nomad: enough for each, and no more.

use drover_engine::cluster::{Cluster as Engine, Endpoint, Settings};
use drover_engine::{Catalog, LogQuery, Peers, Scheduler as _};
use drover_testkit::{Consul, Nomad, built, checkout, client, eventually};
use serde_json::{Value, json};

use crate::catalog::{address, function, said, settings};
use crate::cluster::READY;

#[tokio::test]
async fn with_the_tokens_of_the_policies_a_function_is_found() {
    let Some(program) = Nomad::installed() else { return };
    let config = checkout().join("consul");
    let Some(server) = Consul::from_files(&[&config.join("server.hcl")], None).await else { return };
    let master = server.first_token();
    let [agent, nomad, gateway] = ["agent", "nomad", "gateway"].map(|policy| server.token(&master, policy));
    let Some(beside_nomad) = Consul::from_files(&[&config.join("agent.hcl")], Some(&server)).await else { return };
    for consul in [&server, &beside_nomad] {
        consul.takes_token(&master, &agent).await;
    }

    let url = beside_nomad.url.clone();
    let cluster = Nomad::start_with(&program, beside_nomad, &nomad).await;
    let binaries = format!("binary_dir={}", built(&["penguins"]).display());
    let output = cluster.run(&checkout(), &["job", "run", "-detach", "-var", &binaries, "jobs/predict.nomad"]);
    assert!(output.status.success(), "{output:?}");
    let listed = format!("{url}/v1/health/service/penguins?passing");
    let ask = |token: String| client().get(&listed).header("x-consul-token", token).send();
    eventually("the gateway's token sees a passing instance", READY, || async {
        let found: Value = ask(gateway.clone()).await.ok()?.json().await.ok()?;
        (found.as_array()?.len() == 1).then_some(())
    })
    .await;

    // The engine needs no more than that: it follows the catalog and leads.
    let endpoint = Endpoint { token: Some(gateway.clone().into()), ..Endpoint::new(&url) };
    let settings = Settings { consul: Some(endpoint), ..settings(Some(&url), None, address(1)) };
    let engine = Engine::start(settings).await.unwrap();
    let (view, party) = (Catalog::watch(&engine), Peers::watch(&engine));
    eventually("the engine sees the instance and leads", READY, || {
        let snapshot = view.borrow().clone();
        let found = said(&snapshot).len() == 1 && snapshot.lost.is_none() && party.borrow().leads;
        async move { found.then_some(()) }
    })
    .await;
    engine.leave().await;
    assert!(!party.borrow().leads);

    // Without a token nobody sees anything, and the gateway changes no service but its own.
    assert_eq!(ask(String::new()).await.unwrap().text().await.unwrap(), "[]");
    let register = client().put(format!("{url}/v1/agent/service/register")).header("x-consul-token", &gateway);
    assert_eq!(register.body(r#"{"Name":"other"}"#).send().await.unwrap().status(), 403);
    let own = client().put(format!("{url}/v1/agent/service/register")).header("x-consul-token", &gateway);
    assert_eq!(own.body(r#"{"Name":"drover-gateway"}"#).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn with_the_token_of_the_policy_a_gateway_scales_and_without_it_is_told_why_not() {
    let Some(program) = Nomad::installed() else { return };
    let Some(consul) = Consul::start().await else { return };
    let nomad = Nomad::start_with_acl(&program, consul).await;
    let job = ["job", "run", "-detach", "-var", "count=0", "-var", "binary_dir=/nowhere", "jobs/predict.nomad"];
    let output = nomad.run(&checkout(), &job);
    assert!(output.status.success(), "{output:?}");
    let rules = std::fs::read_to_string(checkout().join("jobs/gateway.policy.hcl")).unwrap();
    let gateway = nomad_token(&nomad, "gateway", &rules).await;
    let reads = nomad_token(&nomad, "reads", "namespace \"default\" {\n  policy = \"read\"\n}\n").await;

    let engine = async |token: &str| {
        let endpoint = Endpoint { token: Some(token.to_owned().into()), ..Endpoint::new(&nomad.url) };
        let settings = Settings { nomad: Some(endpoint), ..settings(Some(&nomad.consul.url), None, address(1)) };
        Engine::start(settings).await.unwrap()
    };
    let penguins = function("penguins");
    let reader = engine(&reads).await;
    let refused = reader.scale(&penguins, 1).await.unwrap_err().to_string();
    assert!(refused.contains("Permission denied") && refused.contains("scale-job"), "{refused}");
    let scaler = engine(&gateway).await;
    scaler.scale(&penguins, 1).await.unwrap();
    eventually("the count is 1", READY, || async {
        let all = scaler.status().await.unwrap();
        all.into_iter().find(|status| status.function == penguins && status.count == 1)
    })
    .await;
    let lines = scaler.logs(&penguins, LogQuery { tail: 1, follow: false }).await;
    assert!(lines.is_ok(), "{:?}", lines.err());
    scaler.scale(&penguins, 0).await.unwrap();
}

/// Makes a token with a policy of these rules.
async fn nomad_token(nomad: &Nomad, name: &str, rules: &str) -> String {
    let post = async |path: &str, body: Value| {
        let request = client().post(format!("{}{path}", nomad.url)).header("x-nomad-token", &nomad.token);
        let answer = request.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    post(&format!("/v1/acl/policy/{name}"), json!({"Name": name, "Rules": rules})).await;
    let token = post("/v1/acl/token", json!({"Name": name, "Type": "client", "Policies": [name]})).await;
    token["SecretID"].as_str().unwrap().to_owned()
}
