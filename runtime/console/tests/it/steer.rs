//! What runs, and how it is steered.

use std::time::Duration;

use drover_testkit::{client, eventually};

use crate::house::House;

#[tokio::test]
async fn the_slider_scales_and_the_instances_follow() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/#/instances").await;
    let slider = "[data-function=penguins] input[type=range]";
    tab.until(&format!("document.querySelector('{slider}')")).await;
    assert_eq!(
        tab.eval(&format!("(({{ min, max, value }}) => [min, max, value].join())(document.querySelector('{slider}'))"))
            .await,
        "0,3,1"
    );
    // By keyboard, as a person without a mouse would.
    tab.eval(&format!("document.querySelector('{slider}').focus()")).await;
    tab.press("ArrowRight").await;
    tab.press("ArrowRight").await;
    assert_eq!(tab.text("[data-function=penguins] output").await, "3");
    tab.press("Tab").await;
    tab.press("Enter").await;
    assert_eq!(tab.text(".said.good").await, "penguins: 3 wanted. Scaling leaves that alone for five minutes.");
    tab.until("document.querySelectorAll('[data-function=penguins] tbody tr .badge.good').length === 3").await;
    let ready = eventually("three are ready", Duration::from_secs(20), async || {
        let ready = house.instances().await?.iter().filter(|i| i["state"] == "ready").count();
        (ready == 3).then_some(ready)
    });
    assert_eq!(ready.await, 3);
    // What they use, against what they may.
    tab.until("/of 0\\.2/.test(document.querySelector('[data-function=penguins] tbody').innerText)").await;
    tab.until("/MiB of 512 MiB/.test(document.querySelector('[data-function=penguins] tbody').innerText)").await;
    tab.click("[data-function=penguins] > button").await;
    tab.until("document.querySelector('.logs').innerText.includes('penguins/2')").await;
    // The scaler tells why on the live page.
    tab.click("nav a[href='#/live']").await;
    tab.until("/1 → 3.*set by somebody else/s.test(document.querySelector('main table')?.innerText)").await;
    tab.until("document.querySelectorAll('.chart canvas').length === 4").await;
    assert!(tab.complaints().await.is_empty(), "{:?}", tab.complaints().await);
}

#[tokio::test]
async fn requests_are_seen_as_they_come() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let tab = house.open("/").await;
    tab.until("document.querySelector('.card')").await;
    assert_eq!(tab.text(".card h2").await, "penguins");
    let body = r#"{"bill_length_mm":39.1,"bill_depth_mm":18.7,"flipper_length_mm":181,"body_mass_g":3750}"#;
    for _ in 0..20 {
        let request = client().post(format!("{}/functions/penguins/predict", house.url)).body(body);
        assert_eq!(request.header("content-type", "application/json").send().await.unwrap().status(), 200);
    }
    tab.until("Number(document.querySelector('.card .facts dd').innerText) > 0").await;
    tab.until("/\\d ms/.test(document.querySelectorAll('.card .facts dd')[1].innerText)").await;
    assert!(tab.text(".card .badge").await.contains("ready"));
}
