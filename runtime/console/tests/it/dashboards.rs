//! Dashboards with what a real Prometheus has seen of some load.

use std::time::Duration;

use drover_testkit::process::installed;
use drover_testkit::{Tab, client, eventually};
use serde_json::Value;

use crate::house::House;
use crate::looks::{axe, findings};

/// How long Prometheus may take to have scraped twice after rules have seen it.
const PATIENCE: Duration = Duration::from_secs(90);
/// How many points of a picture are painted.
const PAINTED: &str = "((it) => it.getContext('2d').getImageData(0, 0, it.width, it.height).data
    .filter((_, n) => n % 4 === 3).filter((a) => a > 0).length)";

async fn choose(tab: &Tab<'_>, name: &str, value: &str) {
    let script = format!(
        "(() => {{ const it = document.querySelector('select[name={name}]'); it.value = '{value}';
           it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
    );
    tab.eval(&script).await;
}

async fn ask(house: &House) {
    let body = r#"{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181,"body_mass_g":3750}"#;
    for body in [body, body, body, "{}"] {
        let request = client().post(format!("{}/functions/penguins/predict", house.url)).body(body);
        let _status = request.header("content-type", "application/json").send().await.map(|answer| answer.status());
    }
}

/// Waits until a panel has a value above zero, under load.
async fn until_seen(house: &House, panel: &str) {
    eventually(panel, PATIENCE, || async {
        ask(house).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let url = format!("{}/api/dashboards/{panel}?function=penguins&minutes=15", house.url);
        let seen: Value = client().get(url).send().await.ok()?.json().await.ok()?;
        let points = seen["series"].as_array()?.iter().flat_map(|one| one["points"].as_array().into_iter().flatten());
        points.filter_map(|point| point[1].as_f64()).find(|value| *value > 0.0)
    })
    .await;
}

#[tokio::test]
async fn panels_show_what_prometheus_has_seen() {
    if installed("prometheus").is_none() {
        return;
    }
    let Some(house) = House::start_with(&["penguins"], &["--observe"]).await else { return };
    for panel in
        ["drover-overview/1", "drover-overview/3", "drover-overview/4", "drover-function/3", "drover-function/15"]
    {
        until_seen(&house, panel).await;
    }

    let tab = house.open("/#/dashboards").await;
    tab.until("document.querySelectorAll('[data-panel]').length === 12").await;
    let legend = "document.querySelector('[data-panel=\"1\"] .entry')?.innerText";
    tab.until(&format!("/^penguins [\\d.,]+\\/min$/.test({legend})")).await;
    tab.until("/p95 [\\d.]+ (ms|s)/.test(document.querySelector('[data-panel=\"3\"]').innerText)").await;
    // Stacked: the answers that were refused, each with its kind.
    tab.until("/422/.test(document.querySelector('[data-panel=\"2\"]').innerText)").await;
    for panel in [1, 2, 3, 4] {
        let painted = format!("{PAINTED}(document.querySelector('[data-panel=\"{panel}\"] canvas')) > 500");
        tab.until(&painted).await;
    }
    // What a panel is about, by keyboard.
    tab.eval("document.querySelector('[data-panel=\"1\"] .about').focus()").await;
    tab.press("Enter").await;
    tab.until("/Answers of the gateway per minute/.test(document.querySelector('[data-panel=\"1\"] figcaption p')?.innerText)")
        .await;

    choose(&tab, "dashboard", "drover-function").await;
    tab.until("location.hash.startsWith('#/dashboards/drover-function')").await;
    tab.until("document.querySelectorAll('[data-panel]').length === 18").await;
    tab.until("document.querySelector('select[name=function]').value === 'penguins'").await;
    tab.until("document.querySelector('[data-panel=\"3\"] canvas.heat')").await;
    tab.until(&format!("{PAINTED}(document.querySelector('[data-panel=\"3\"] canvas')) > 0")).await;
    tab.until("/[\\d.]+ %/.test(document.querySelector('[data-panel=\"15\"] .entry')?.innerText)").await;
    choose(&tab, "minutes", "360").await;
    tab.until("document.querySelector('[data-panel=\"15\"] .entry')").await;

    if let Some(axe) = axe() {
        for page in ["#/dashboards", "#/dashboards/drover-function/penguins"] {
            tab.eval(&format!("location.hash = '{page}'")).await;
            tab.until("document.querySelector('[data-panel=\"1\"] canvas')").await;
            for scheme in ["light", "dark"] {
                tab.prefer(scheme).await;
                tab.until(&format!("document.documentElement.dataset.theme === '{scheme}'")).await;
                assert_eq!(findings(&tab, &axe).await, "", "{page}, {scheme}");
            }
            for width in [390, 320, 1280] {
                tab.resize(width, 800).await;
                assert_eq!(
                    tab.eval("document.documentElement.scrollWidth > innerWidth").await,
                    false,
                    "{page}, {width}"
                );
            }
        }
    }
    assert!(tab.complaints().await.is_empty(), "{:?}", tab.complaints().await);
}
