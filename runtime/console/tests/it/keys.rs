//! A gateway that asks for keys: the console asks for them, too, and keeps them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drover_testkit::process::{Process, free_ports};
use drover_testkit::{built, client, eventually};

use crate::house::House;

/// Makes a key: what a person gets, and the lines for the file of keys.
fn made(drover: &Path) -> (String, String) {
    let output = Command::new(drover).args(["key", "new", "shop", "--functions", "penguins"]).output().unwrap();
    let (key, lines) = (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
    let key = key.split_whitespace().find(|word| word.starts_with("drover_")).unwrap_or_else(|| panic!("{key}"));
    (key.to_owned(), lines)
}

fn digest(lines: &str) -> String {
    let line = lines.lines().find(|line| line.contains("sha256")).unwrap_or_else(|| panic!("{lines}"));
    line.split('"').nth(1).unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[tokio::test]
async fn keys_are_asked_for_and_a_wrong_one_is_told() {
    let Some(house) = House::start(&["penguins"]).await else { return };
    let instance = house.instances().await.unwrap()[0]["address"].as_str().unwrap().to_owned();
    let drover = built(&["drover-cli"]).join("drover");
    let (dir, [port]) = (tempfile::tempdir().unwrap(), free_ports());
    let ((key, lines), (admin, admins)) = (made(&drover), made(&drover));
    let keys = dir.path().join("keys.toml");
    std::fs::write(&keys, lines).unwrap();
    let config = dir.path().join("gateway.toml");
    let text = format!(
        "[access]\nkeys = \"{}\"\nadmin_sha256 = \"{}\"\n[functions.penguins]\ninstances = [\"{instance}\"]\n",
        keys.display(),
        digest(&admins)
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(&drover);
    command.args(["gateway", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&config);
    let _gateway = Process::start(command, &dir.path().join("gateway.log"));
    let url = format!("http://127.0.0.1:{port}");
    eventually("the gateway is ready", Duration::from_secs(30), || async {
        client().get(format!("{url}/health/ready")).send().await.ok().filter(|answer| answer.status().is_success())
    })
    .await;

    let tab = house.browser.open(&format!("{url}/#/")).await;
    tab.until("document.querySelector('form.key')").await;
    assert!(!tab.text("body").await.contains("penguins"), "nobody is told what runs");
    tab.fill("form.key input", "a-wrong-one").await;
    tab.click("form.key button").await;
    tab.until("document.querySelector('.notice.bad form.key')").await;
    tab.fill("form.key input", &admin).await;
    tab.click("form.key button").await;
    tab.until("document.querySelector('main').textContent.includes('penguins')").await;

    // The key of the control API is none for functions.
    tab.go(&format!("{url}/#/functions/penguins")).await;
    tab.until("document.querySelector('main form.key')").await;
    tab.fill("main form.key input", &key).await;
    tab.click("main form.key button").await;
    tab.click("form button.go").await;
    tab.until("document.querySelector('.verdict')").await;

    // They are kept in the tab, until they are to be forgotten.
    tab.reload().await;
    tab.until("document.querySelector('.preferences button')").await;
    assert_eq!(tab.eval("document.querySelectorAll('form.key').length").await, 0);
    tab.click(".preferences button").await;
    tab.until("document.querySelector('form.key')").await;
}
