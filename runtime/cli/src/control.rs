//! Commands for a `drover up` that runs: status, scale, resize, logs, invoke, stop.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use drover_engine::{EngineKind, Instance, LogLine, Size};
use http::Method;
use serde_json::{Value, json};

use crate::args::Place;
use crate::client::successful;
use crate::table::table;

/// Changes of counts that are shown.
const DECISIONS_SHOWN: usize = 8;

/// Shows functions, instances and how they were scaled.
pub(crate) async fn status(place: &Place, as_json: bool) -> anyhow::Result<ExitCode> {
    let client = place.client()?;
    let functions = client.call(Method::GET, "/api/functions", None).await?;
    let instances = client.call(Method::GET, "/api/instances", None).await?;
    let decisions = client.call(Method::GET, "/api/decisions", None).await?;
    if as_json {
        let all = json!({ "functions": functions, "instances": instances, "decisions": decisions });
        print(&format!("{}\n", serde_json::to_string_pretty(&all)?));
        return Ok(ExitCode::SUCCESS);
    }
    let heads = ["FUNCTION", "SIZE", "READY", "COUNT", "RANGE", "IN FLIGHT", "QUEUE", "WANTED", "WHY"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for f in functions.as_array().into_iter().flatten() {
        let max = if f["max"] == json!(u32::MAX) { "any".into() } else { f["max"].to_string() };
        rows.push(vec![
            f["name"].as_str().unwrap_or_default().into(),
            size_of(f).map(|size| size.to_string()).unwrap_or_default(),
            f["n_ready"].to_string(),
            number(&f["count"]),
            if f["min"].is_null() { String::new() } else { format!("{}-{max}", f["min"]) },
            f["in_flight"].to_string(),
            f["waiting"].to_string(),
            number(&f["wanted"]),
            f["trouble"].as_str().or(f["why"].as_str()).unwrap_or_default().into(),
        ]);
    }
    print(&table(&rows));
    let heads = ["INSTANCE", "STATE", "ADDRESS", "PID", "RESTARTS", "IN FLIGHT", "WHY"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for value in instances.as_array().into_iter().flatten() {
        let instance: Instance = serde_json::from_value(value.clone())?;
        rows.push(vec![
            format!("{}/{}", instance.function, instance.index),
            instance.state.to_string(),
            instance.address.map(|a| a.to_string()).unwrap_or_default(),
            instance.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            instance.restarts.to_string(),
            value["in_flight"].to_string(),
            value["out"].as_str().map(|out| format!("out: {out}")).or(instance.reason).unwrap_or_default(),
        ]);
    }
    if rows.len() > 1 {
        print(&format!("\n{}", table(&rows)));
    }
    show_decisions(&decisions);
    Ok(ExitCode::SUCCESS)
}

/// Shows a number; nothing of what nobody knows.
fn number(value: &Value) -> String {
    value.as_u64().map(|n| n.to_string()).unwrap_or_default()
}

/// Shows the newest decisions that changed a count.
fn show_decisions(decisions: &Value) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let mut rows = vec![["SCALED", "AGO", "FROM", "TO", "WHY"].map(String::from).to_vec()];
    for decided in decisions.as_array().into_iter().flatten().take(DECISIONS_SHOWN) {
        let age = now_ms.saturating_sub(decided["at_unix_ms"].as_u64().unwrap_or_default().into()) / 1000;
        rows.push(vec![
            decided["function"].as_str().unwrap_or_default().into(),
            humantime::format_duration(Duration::from_secs(u64::try_from(age).unwrap_or(u64::MAX))).to_string(),
            decided["from"].to_string(),
            decided["to"].to_string(),
            decided["why"].as_str().unwrap_or_default().into(),
        ]);
    }
    if rows.len() > 1 {
        print(&format!("\n{}", table(&rows)));
    }
}

/// Asks for so many instances.
pub(crate) async fn scale(place: &Place, name: &str, count: u32) -> anyhow::Result<ExitCode> {
    let path = format!("/api/functions/{}/scale", segment(name));
    place.client()?.call(Method::POST, &path, Some(json!({ "count": count }))).await?;
    print(&format!("{name}: {count} wanted\n"));
    Ok(ExitCode::SUCCESS)
}

/// Gives each instance another size; what is not given stays.
pub(crate) async fn resize(
    place: &Place,
    name: &str,
    cpu: Option<f64>,
    memory: Option<u64>,
    replace: bool,
) -> anyhow::Result<ExitCode> {
    let client = place.client()?;
    let path = format!("/api/functions/{}", segment(name));
    let function = client.call(Method::GET, &path, None).await?;
    let now = size_of(&function);
    let unknown = || format!("what {name} may use now is not known: give both --cpu and --memory");
    let cores = cpu.or(now.map(|size| size.cpu_cores)).with_context(unknown)?;
    let kept = now.map(|now| (now.memory_mib, now.memory_max_mib));
    let (mib, max_mib) = memory.map(|mib| (mib, None)).or(kept).with_context(unknown)?;
    let wish = json!({ "cpu": cores, "memory": mib, "memory_max": max_mib, "replace": replace });
    let done = client.call(Method::POST, &format!("{path}/resize"), Some(wish)).await?;
    let size = size_of(&done).map(|size| size.to_string()).unwrap_or_default();
    print(&format!("{name}: {size} each\n"));
    let grown = now.is_some_and(|now| cores.ceil() > now.cpu_cores.ceil());
    let is_local = function.get("engine").is_some_and(|engine| engine == EngineKind::Local.label());
    if grown && !replace && is_local {
        print("instances that run have prepared for fewer cores: --replace lets new ones take their place\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns what an instance of a function may use, if that is known.
fn size_of(function: &Value) -> Option<Size> {
    serde_json::from_value(function.get("size")?.clone()).ok()
}

/// Stops a function's instances, or everything.
pub(crate) async fn stop(place: &Place, name: Option<&str>) -> anyhow::Result<ExitCode> {
    let client = place.client()?;
    match name {
        Some(name) => {
            client.call(Method::POST, &format!("/api/functions/{}/stop", segment(name)), Some(json!({}))).await?;
            print(&format!("{name}: stopping\n"));
        }
        None => {
            client.call(Method::POST, "/api/stop", Some(json!({}))).await?;
            print("stopping\n");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows what the instances of a function wrote.
pub(crate) async fn logs(
    place: &Place,
    name: &str,
    follow: bool,
    tail: usize,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = format!("/api/functions/{}/logs?tail={tail}&follow={follow}", segment(name));
    let mut body = successful(place.client()?.send(Method::GET, &path, None).await?).await?;
    let mut rest = Vec::new();
    while let Some(data) = body.chunk().await? {
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let shown = if as_json {
                String::from_utf8_lossy(&line).into_owned()
            } else {
                let line: LogLine = serde_json::from_slice(&line)?;
                format!("{}/{} {}\n", line.function, line.index, line.text)
            };
            if !print(&shown) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends one request to a function and shows the answer; fails if that is a problem.
pub(crate) async fn invoke(place: &Place, name: &str, body: &str) -> anyhow::Result<ExitCode> {
    let body = match (body, body.strip_prefix('@')) {
        ("-", _) => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).context("cannot read the request from standard input")?;
            text
        }
        (_, Some(file)) => std::fs::read(file).with_context(|| format!("cannot read {file}"))?,
        _ => body.as_bytes().to_vec(),
    };
    let path = format!("/functions/{}/predict", segment(name));
    let response = place.client()?.send(Method::POST, &path, Some(body.into())).await?;
    let ok = response.status().is_success();
    let bytes = response.bytes().await?;
    let text = match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) => serde_json::to_string_pretty(&value)?,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    print(&format!("{text}\n"));
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes to standard output; returns whether anybody still reads it.
pub(crate) fn print(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Returns a name as one segment of a path.
fn segment(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
