//! The agent configuration and the policies in `consul/`: enough for each, and no more.

use std::path::{Path, PathBuf};
use std::process::Command;

use drover_engine::cluster::{Cluster as Engine, Endpoint, Settings};
use drover_engine::{Catalog, Peers};
use drover_testkit::process::on_path;
use drover_testkit::{Consul, Nomad, built, checkout, client, eventually};
use serde_json::Value;

use crate::catalog::{address, said, settings};
use crate::cluster::READY;

#[tokio::test]
async fn with_the_tokens_of_the_policies_a_function_is_found() {
    let Some(program) = Nomad::installed() else { return };
    let config = checkout().join("consul");
    let server = Consul::from_file(&config.join("server.hcl"), None).await;
    let master = consul(&server, "", &["acl", "bootstrap", "-format=json"]);
    let master = master["SecretID"].as_str().unwrap();
    let token = |policy: &str| {
        let rules = format!("@{}", config.join("policies").join(format!("{policy}.hcl")).display());
        consul(&server, master, &["acl", "policy", "create", "-format=json", "-name", policy, "-rules", &rules]);
        let token = consul(&server, master, &["acl", "token", "create", "-format=json", "-policy-name", policy]);
        token["SecretID"].as_str().unwrap().to_owned()
    };
    let (agent, nomad, gateway) = (token("agent"), token("nomad"), token("gateway"));
    let beside_nomad = Consul::from_file(&config.join("agent.hcl"), Some(&server)).await;
    for consul in [&server, &beside_nomad] {
        let set = ["acl", "set-agent-token", "agent", &agent];
        eventually("the agent takes its token", READY, || async { run(consul, master, &set).ok() }).await;
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

#[track_caller]
fn consul(server: &Consul, token: &str, args: &[&str]) -> Value {
    let text = run(server, token, args).unwrap_or_else(|why| panic!("consul {args:?}: {why}"));
    serde_json::from_str(&text).unwrap()
}

fn run(server: &Consul, token: &str, args: &[&str]) -> Result<String, String> {
    let program: PathBuf = on_path("consul").unwrap_or_else(|| Path::new("consul").into());
    let mut command = Command::new(program);
    command.args(args).env("CONSUL_HTTP_ADDR", server.address()).env("CONSUL_HTTP_TOKEN", token);
    let output = command.output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
