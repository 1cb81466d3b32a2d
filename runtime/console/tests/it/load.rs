//! A load test, from the console to its end.

use drover_testkit::{Tab, client};

use crate::house::House;

async fn choose(tab: &Tab<'_>, scale: &str) {
    let script = format!(
        "(() => {{ const it = document.querySelector('select[name=scale]'); it.value = '{scale}';
           it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    );
    tab.eval(&script).await;
}

/// Nothing went wrong but that the generator had to be started first, which every console logs.
async fn quiet(tab: &Tab<'_>) {
    let others: Vec<_> = tab.complaints().await.into_iter().filter(|text| !text.contains("status of 503")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn a_preset_is_started_watched_and_reported() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/#/load").await;
    // Nothing runs yet: it is started because somebody looks.
    let start = "form button.go";
    tab.until(&format!("document.querySelector('{start}')?.disabled === false")).await;
    assert_eq!(tab.text(start).await, "Load penguins");
    assert_eq!(tab.eval("document.querySelectorAll('.run').length").await, 0);
    // 500 users for 6 s, a request a second each.
    choose(&tab, "0.02").await;
    tab.click(start).await;
    tab.until("['ramping up', 'running'].includes(document.querySelector('.run .badge')?.innerText)").await;
    assert_eq!(tab.eval(&format!("document.querySelector('{start}').disabled")).await, true);
    tab.until("document.querySelectorAll('.chart canvas').length === 3").await;
    tab.until("document.querySelector('.run .badge').innerText === 'finished'").await;
    let facts = tab
        .eval(
            "Object.fromEntries([...document.querySelectorAll('.run .facts > div')]
        .map((it) => [it.firstChild.innerText, it.lastChild.innerText]))",
        )
        .await;
    let n: f64 = facts["Requests"].as_str().unwrap().replace(',', "").parse().unwrap();
    assert!(n >= 500.0, "each of 500 users asks at least once: {facts}");
    assert!(facts["p95"].as_str().unwrap().contains("ms") || facts["p95"].as_str().unwrap().contains('s'), "{facts}");
    println!("quick, times x 0.02: {facts}");
    // What the function has seen of it.
    let seen = client().get(format!("{}/metrics", house.url)).send().await.unwrap().text().await.unwrap();
    assert!(seen.contains("drover_gateway_requests_total{function=\"penguins\",code=\"200\""), "{seen}");

    tab.eval("URL.createObjectURL = (blob) => { globalThis.saved = blob; return 'data:,'; }").await;
    tab.click(".run .actions button").await;
    tab.until("globalThis.saved").await;
    let report = tab.eval("saved.text()").await;
    assert!(report.as_str().unwrap().contains("<title>Load on penguins</title>"), "{report}");
    quiet(&tab).await;
}

#[tokio::test]
async fn a_run_is_ended_and_other_sites_start_none() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/#/load").await;
    tab.until("document.querySelector('form button.go')?.disabled === false").await;
    let preset = r#"{"function":"penguins","preset":"quick","scale_time":0.1}"#;
    let post = |body: &'static str| client().post(format!("{}/api/load/preset", house.url)).body(body);
    let foreign = post(preset).header("content-type", "application/json").header("origin", "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(post(preset).header("content-type", "text/plain").send().await.unwrap().status(), 415);
    for (body, status, why) in [
        (r#"{"function":"nobody","preset":"quick"}"#, 422, "nobody"),
        (r#"{"function":"http://127.0.0.1:9","preset":"quick"}"#, 422, "name"),
        (r#"{"function":"penguins","preset":"dance"}"#, 422, "unknown variant `dance`"),
        (r#"{"function":"penguins","preset":"quick","scale_time":0}"#, 422, "scale_time is 0"),
        (r#"{"function":"penguins","preset":"quick","scale_time":99}"#, 422, "at most 10"),
    ] {
        let answer = post(body).header("content-type", "application/json").send().await.unwrap();
        let (seen, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(seen, status, "{body}: {text}");
        assert!(text.contains(why), "{body}: {text}");
    }
    assert_eq!(tab.eval("document.querySelectorAll('.run').length").await, 0, "nothing of it has begun");

    tab.click("form button.go").await;
    tab.until("document.querySelector('.run .badge')?.innerText === 'running'").await;
    let again = post(preset).header("content-type", "application/json").send().await.unwrap();
    assert!(again.text().await.unwrap().contains("the run goes on already"));
    tab.click("form .actions button[type=button]").await;
    tab.until("document.querySelector('.run .badge').innerText === 'stopped'").await;
    quiet(&tab).await;
}
