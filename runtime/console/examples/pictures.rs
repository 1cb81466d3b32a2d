//! Takes the pictures of the console that README.md shows, of what a `drover up --observe` shows that has had some load:
//!
//! ```text
//! cargo run -p drover-console --example pictures -- http://127.0.0.1:8080 docs
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use drover_testkit::Browser;

/// How long pages gather what they show.
const GATHER: Duration = Duration::from_secs(90);
/// How long a page is looked at before its picture is taken.
const LOOK: Duration = Duration::from_secs(2);
/// How long a load test is looked at.
const RUN: Duration = Duration::from_secs(15);
const WIDE: (u32, u32) = (1180, 760);
const TALL: (u32, u32) = (1180, 1000);
const PHONE: (u32, u32) = (390, 780);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let url = args.next().context("say where the gateway is, such as http://127.0.0.1:8080")?;
    let dir = args.next().context("say where the pictures go, such as docs")?;
    let browser = Browser::start().await.context("chromium is not on PATH")?;
    let tab = browser.open(&format!("{url}/")).await;
    tokio::time::sleep(GATHER).await;
    for (page, there, scheme, (width, height), name) in [
        ("/#/functions", ".card", "light", WIDE, "functions"),
        ("/#/functions/penguins", "#field-body_mass_g", "light", WIDE, "function"),
        ("/#/functions/covertype/batch", ".drop", "light", WIDE, "batch"),
        ("/#/functions/penguins/code", "pre", "dark", WIDE, "code"),
        ("/#/live", ".chart canvas", "dark", WIDE, "live"),
        ("/#/instances", ".herd table", "light", WIDE, "instances"),
        ("/#/feedback/sentiment", "h1", "light", WIDE, "feedback"),
        ("/#/dashboards", "[data-panel] canvas", "light", TALL, "dashboards"),
        ("/#/dashboards/drover-function/penguins", "[data-panel] canvas", "dark", TALL, "dashboard-function"),
        ("/#/load", ".presets", "dark", WIDE, "load"),
        ("/#/functions", ".card", "dark", PHONE, "phone"),
        ("/sentiment", "textarea", "light", PHONE, "sentiment"),
    ] {
        tab.prefer(scheme).await;
        tab.resize(width, height).await;
        tab.go(&format!("{url}{page}")).await;
        tab.until(&format!("document.querySelector('{there}')")).await;
        match name {
            "function" => tab.click("form button.go").await,
            "feedback" => {
                // Where it failed: fewer, and more to see.
                let choose = "(() => { const it = document.querySelector('select[name=verdict]'); it.value = 'down';
                    it.dispatchEvent(new Event('change', { bubbles: true })); })(); undefined";
                tab.eval(choose).await;
            }
            "load" => {
                tab.until("document.querySelector('form button.go')?.disabled === false").await;
                tab.click("form button.go").await;
                tab.until("document.querySelector('.chart canvas')").await;
                tokio::time::sleep(RUN).await;
            }
            "sentiment" => {
                tab.fill("textarea", "La habitación estaba sucia y nadie nos ayudó.").await;
                tab.click("form button.go").await;
            }
            _ => {}
        }
        tokio::time::sleep(LOOK).await;
        tab.screenshot(&Path::new(&dir).join(format!("console-{name}.png"))).await;
    }
    Ok(())
}
