//! A headless Chromium for tests of pages: what a person does with mouse and keyboard, and what is then seen.
//!
//! It is spoken to through two pipes, in its DevTools protocol.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::eventually;
use crate::process::installed;

/// How long anything on a page may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A Chromium with a profile of its own; ended when dropped.
#[derive(Debug)]
pub struct Browser {
    wire: Mutex<Wire>,
    _child: Child,
    _profile: TempDir,
}

/// A tab.
#[derive(Debug)]
pub struct Tab<'b> {
    browser: &'b Browser,
    session: String,
}

#[derive(Debug)]
struct Wire {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last_id: u64,
    /// What pages have complained of: session, text.
    complaints: Vec<(String, String)>,
}

impl Browser {
    /// Starts it. Returns nothing, and says so, where Chromium is not installed.
    ///
    /// # Panics
    /// If it is there, but does not start.
    pub async fn start() -> Option<Self> {
        installed("chromium")?;
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        // It reads commands from descriptor 3 and writes answers to 4; a shell puts its pipes there.
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "chromium"]);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]);
        command.args(["--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server", "--accept-lang=en-GB"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("a shell can be started");
        let to = child.stdin.take().expect("its input is a pipe");
        let from = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let wire = Wire { to, from, last_id: 0, complaints: Vec::new() };
        let browser = Self { wire: Mutex::new(wire), _child: child, _profile: profile };
        browser.call("", "Browser.getVersion", json!({})).await;
        Some(browser)
    }

    /// Opens `url` in a new tab of 1280 × 900 points and waits until it is loaded.
    ///
    /// # Panics
    /// If it cannot be loaded.
    pub async fn open(&self, url: &str) -> Tab<'_> {
        let target = self.call("", "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("", "Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().expect("a session has an id").to_owned();
        let tab = Tab { browser: self, session };
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({})).await;
        }
        tab.resize(1280, 900).await;
        tab.go(url).await;
        tab
    }

    /// Calls `method` and returns its result.
    async fn call(&self, session: &str, method: &str, params: Value) -> Value {
        self.ask(session, method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls `method` and returns its result, or what Chromium says is wrong with it.
    async fn ask(&self, session: &str, method: &str, params: Value) -> Result<Value, Value> {
        let mut wire = self.wire.lock().await;
        let answer = tokio::time::timeout(LIMIT, wire.call(session, method, params)).await;
        answer.unwrap_or_else(|_| panic!("{method} was not answered within {LIMIT:?}"))
    }
}

impl Tab<'_> {
    /// Goes to `url` and waits until it is loaded.
    ///
    /// # Panics
    /// If it cannot be loaded.
    pub async fn go(&self, url: &str) {
        let opened = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.until("document.readyState === 'complete'").await;
    }

    /// Loads the page anew and waits until it is loaded.
    pub async fn reload(&self) {
        // The page that goes still answers for a while.
        self.eval("window.old = true").await;
        self.call("Page.reload", json!({})).await;
        self.until("!window.old && document.readyState === 'complete'").await;
    }

    /// Returns what `script` evaluates to, once it is there if it is a promise.
    ///
    /// # Panics
    /// If it throws, or the page goes meanwhile.
    pub async fn eval(&self, script: &str) -> Value {
        self.try_eval(script).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// As [`Tab::eval`], but fails if the page goes meanwhile.
    async fn try_eval(&self, script: &str) -> Result<Value, Value> {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true });
        let mut answer = self.browser.ask(&self.session, "Runtime.evaluate", params).await?;
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        Ok(answer["result"]["value"].take())
    }

    /// Waits until `script` evaluates to something true, in this page or in the one that follows it.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn until(&self, script: &str) {
        let deadline = Instant::now() + LIMIT;
        while self.try_eval(&format!("Boolean({script})")).await != Ok(true.into()) {
            if Instant::now() > deadline {
                panic!("not within {LIMIT:?}: {script}; complaints: {:#?}", self.complaints().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the text that `selector` shows, once it is there.
    ///
    /// # Panics
    /// If nothing is there.
    pub async fn text(&self, selector: &str) -> String {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(&found).await;
        self.eval(&format!("{found}.innerText")).await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on `selector` with the mouse, once it is there and can be clicked.
    ///
    /// # Panics
    /// If it is hidden, disabled, or behind something else.
    pub async fn click(&self, selector: &str) {
        // Where it is, if the mouse would meet it there.
        let script = format!(
            "(() => {{ const it = document.querySelector({}); if (!it || it.disabled) return null;
               it.scrollIntoView({{ block: 'center', behavior: 'instant' }});
               const box = it.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
               const met = document.elementFromPoint(x, y);
               return met && (it.contains(met) || met.contains(it)) ? {{ x, y }} : null; }})()",
            json!(selector)
        );
        let place = eventually(&format!("{selector} can be clicked"), LIMIT, async || {
            let place = self.eval(&script).await;
            place.is_object().then_some(place)
        })
        .await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": place["x"], "y": place["y"], "button": button, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Replaces what stands in the input `selector` with `text`, as if it were typed.
    ///
    /// # Panics
    /// As [`Tab::click`].
    pub async fn fill(&self, selector: &str, text: &str) {
        self.click(selector).await;
        self.eval(&format!("document.querySelector({}).select()", json!(selector))).await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key, by its name such as `Tab`, `Enter` or `ArrowRight`.
    ///
    /// # Panics
    /// If it is none of those.
    pub async fn press(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowLeft" => (37, ""),
            "ArrowRight" => (39, ""),
            _ => panic!("the key {key} is not known here"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Makes the window so many points wide and high.
    pub async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Makes the page believe that the person wants `scheme`, `dark` or `light`, and nothing that moves.
    pub async fn prefer(&self, scheme: &str) {
        let wishes = [("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")];
        let features = json!({ "features": wishes.map(|(name, value)| json!({ "name": name, "value": value })) });
        self.call("Emulation.setEmulatedMedia", features).await;
    }

    /// Writes a picture of the whole page, PNG, to `file`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub async fn screenshot(&self, file: &Path) {
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        let picture = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, taken["data"].as_str().unwrap_or(""));
        std::fs::write(file, picture.expect("a picture is base64")).expect("the picture can be written");
    }

    /// Returns what the page has complained of so far: exceptions, errors, what its policy forbade.
    pub async fn complaints(&self) -> Vec<String> {
        // What was said before this is answered has been read with it.
        self.eval("0").await;
        let wire = self.browser.wire.lock().await;
        let own = wire.complaints.iter().filter(|(session, _)| *session == self.session);
        own.map(|(_, text)| text.clone()).collect()
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.browser.call(&self.session, method, params).await
    }
}

impl Wire {
    async fn call(&mut self, session: &str, method: &str, params: Value) -> Result<Value, Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if !session.is_empty() {
            message["sessionId"] = session.into();
        }
        // Messages end with a zero byte, both ways.
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.expect("Chromium takes commands");
        loop {
            let mut message = self.read().await;
            if message["id"] == self.last_id {
                return match message.get_mut("error") {
                    Some(error) => Err(error.take()),
                    None => Ok(message["result"].take()),
                };
            }
            self.note(&message);
        }
    }

    async fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        let n = self.from.read_until(0, &mut bytes).await.expect("the pipe can be read");
        assert!(n > 0, "Chromium has ended");
        bytes.pop();
        serde_json::from_slice(&bytes).expect("Chromium writes JSON")
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let text = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => params["exceptionDetails"].to_string(),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => params["args"].to_string(),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => params["entry"].to_string(),
            _ => return,
        };
        self.complaints.push((event["sessionId"].as_str().unwrap_or_default().to_owned(), text));
    }
}
