//! How the pages look and load: in both schemes, on a phone, to a screen reader, in both languages.

use drover_testkit::{Tab, checkout};

use crate::house::House;

/// Every page, and what is there once it is drawn.
const PAGES: [(&str, &str); 9] = [
    ("#/functions", ".card"),
    ("#/functions/covertype", "#field-elevation"),
    ("#/functions/covertype/batch", ".drop"),
    ("#/functions/covertype/code", "pre"),
    ("#/live", ".chart canvas"),
    ("#/instances", ".herd table"),
    ("#/feedback", "h1"),
    ("#/load", ".presets"),
    ("#/dashboards", ".notice code"),
];

/// Returns axe-core, or nothing, and says so, where it is not installed.
pub(crate) fn axe() -> Option<String> {
    let axe = std::fs::read_to_string(checkout().join("runtime/console/node_modules/axe-core/axe.min.js")).ok();
    if axe.is_none() {
        println!("skipped: axe-core is not there, `npm ci` in runtime/console brings it");
    }
    axe
}

/// Returns what axe-core finds on the page that is serious or worse, each with what it is about.
pub(crate) async fn findings(tab: &Tab<'_>, axe: &str) -> String {
    tab.eval(&format!("{axe}; undefined")).await;
    let run = "axe.run().then(({ violations }) => violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${id}: ${html} ${any[0]?.message ?? ''}`)).join('\\n'))";
    tab.eval(run).await.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_page_is_for_everybody() {
    let Some(house) = House::start(&["covertype"]).await else { return };
    let Some(axe) = axe() else { return };
    let tab = house.open("/").await;
    for (page, there) in PAGES {
        tab.eval(&format!("location.hash = '{page}'")).await;
        tab.until(&format!("document.querySelector('{there}')")).await;
        for scheme in ["light", "dark"] {
            tab.prefer(scheme).await;
            tab.until(&format!("document.documentElement.dataset.theme === '{scheme}'")).await;
            assert_eq!(findings(&tab, &axe).await, "", "{page}, {scheme}");
        }
        for width in [390, 320, 1280] {
            tab.resize(width, 800).await;
            let wide = tab.eval("document.documentElement.scrollWidth > innerWidth ? [...document.querySelectorAll('body *')]
                .filter((it) => it.getBoundingClientRect().right > innerWidth).map((it) => it.outerHTML.slice(0, 200)) : []").await;
            assert_eq!(wide, serde_json::json!([]), "{page} at {width} points scrolls sideways");
        }
    }
    let alone = house.open("/covertype").await;
    alone.until("document.querySelector('#field-elevation')").await;
    assert_eq!(findings(&alone, &axe).await, "", "a function alone");
}

#[tokio::test]
async fn a_person_chooses_language_and_colours() {
    let Some(house) = House::start(&["covertype"]).await else { return };
    let tab = house.open("/").await;
    assert_eq!(tab.text("h1").await, "Functions");
    let choose = async |label: &str, value: &str| {
        let script = format!(
            "(() => {{ const it = document.querySelector('select[aria-label={label}]'); it.value = '{value}';
               it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        );
        tab.eval(&script).await;
    };
    choose("Language", "es").await;
    tab.until("document.querySelector('h1').innerText === 'Funciones'").await;
    assert_eq!(tab.eval("document.documentElement.lang").await, "es");
    choose("Colores", "dark").await;
    tab.until("document.documentElement.dataset.theme === 'dark'").await;
    tab.go(&format!("{}/#/live", house.url)).await;
    tab.until("document.querySelector('h1')?.innerText === 'En vivo'").await;
    assert_eq!(tab.eval("document.documentElement.dataset.theme").await, "dark");
}

#[tokio::test]
async fn the_first_load_is_small() {
    let Some(house) = House::start(&["covertype"]).await else { return };
    let tab = house.browser.open(&format!("{}/", house.url)).await;
    tab.until("document.querySelector('.card')").await;
    tab.until("performance.getEntriesByName('first-contentful-paint').length").await;
    let loaded = tab
        .eval(
            "(() => { const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
               .filter(({ name }) => !name.includes('/api/'));
               const paint = performance.getEntriesByName('first-contentful-paint')[0];
               return { bytes: all.reduce((sum, one) => sum + one.transferSize, 0), paint_ms: paint?.startTime }; })()",
        )
        .await;
    println!("first load: {loaded}");
    assert!((30_000.0..300_000.0).contains(&loaded["bytes"].as_f64().unwrap()), "{loaded}");
    assert!(tab.complaints().await.is_empty(), "{:?}", tab.complaints().await);
}
