use std::net::SocketAddr;
use std::path::PathBuf;

use drover_testkit::{Browser, client, eventually};
use http::{Request, StatusCode};
use tokio::task::JoinHandle;

use super::*;
use crate::plan::Preset;
use crate::report::{LoadKind, RunState, sample};

/// A live page, and the hands of the run behind it.
struct Run {
    address: SocketAddr,
    reports: watch::Sender<Arc<Report>>,
    wishes: mpsc::Receiver<Control>,
    choices: mpsc::Receiver<Chosen>,
    served: JoinHandle<io::Result<()>>,
}

impl Run {
    async fn start(report: Report) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (reports, seen) = watch::channel(Arc::new(report));
        let (control, wishes) = mpsc::channel(4);
        let (choose, choices) = mpsc::channel(1);
        let served = tokio::spawn(serve(listener, seen, control, Some(choose)));
        Self { address, reports, wishes, choices, served }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn show(&self, report: Report) {
        self.reports.send_replace(Arc::new(report));
    }

    async fn get(&self, path: &str) -> (StatusCode, String, String) {
        let answer = client().get(self.url(path)).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status(), kind, answer.text().await.unwrap())
    }

    async fn control(&self, body: &str) -> (StatusCode, String) {
        self.post("/api/control", body).await
    }

    fn post(&self, path: &str, body: &str) -> impl Future<Output = (StatusCode, String)> + use<> {
        let request = client().post(self.url(path)).header("content-type", "application/json").body(body.to_owned());
        async move {
            let answer = request.send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn holding(seconds: u64) -> Report {
    let mut report = sample::run(seconds);
    report.state = RunState::Holding;
    report.remaining_s = Some((120 - seconds) as f64);
    report.invalid.clear();
    report.promises.retain(|promise| promise.kept != Some(false));
    report
}

fn ready() -> Report {
    Report { state: RunState::Ready, ..holding(0) }
}

/// Where a person who wants to look finds the pictures: `LOADGEN_PICTURES`.
fn picture(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("LOADGEN_PICTURES")?).join(name))
}

#[tokio::test]
async fn every_form_of_the_report_is_handed_out() {
    let run = Run::start(sample::report()).await;
    for (path, kind, part) in [
        ("/", "text/html", "<form class=\"controls\""),
        ("/report.html", "text/html", "<!doctype html>"),
        ("/report.json", "application/json", "\"schema\": \"drover.loadgen/1\""),
        ("/api/report", "application/json", "\"schema\": \"drover.loadgen/1\""),
        ("/report.md", "text/markdown", "# Load on penguins"),
        ("/stats.csv", "text/csv", "Type,Name,Request Count"),
        ("/stats_history.csv", "text/csv", "Timestamp,User Count"),
        ("/failures.csv", "text/csv", "Method,Name,Error,Occurrences"),
        ("/metrics", "text/plain; version=0.0.4", "loadgen_requests_total{"),
        ("/assets/uplot.LICENSE", "text/plain", "The MIT License"),
        ("/health", "application/json", "ok"),
    ] {
        let (status, seen, text) = run.get(path).await;
        assert_eq!(status, 200, "{path}");
        assert!(seen.starts_with(kind), "{path}: {seen}");
        assert!(text.contains(part), "{path}: {text}");
    }
    assert_eq!(run.get("/etc/passwd").await.0, 404);
    assert_eq!(client().post(run.url("/report.json")).send().await.unwrap().status(), 415);
    assert_eq!(client().get(run.url("/api/control")).send().await.unwrap().status(), 405);
    assert_eq!(client().head(run.url("/")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn wishes_reach_the_run_and_nonsense_does_not() {
    let mut run = Run::start(holding(3)).await;
    assert_eq!(run.control(r#"{"do":"users","count":700,"spawn_rate":50.5}"#).await.0, 202);
    assert_eq!(run.wishes.recv().await, Some(Control::Users { count: 700, spawn_rate: 50.5 }));
    assert_eq!(run.control(r#"{"do":"stop"}"#).await.0, 202);
    assert_eq!(run.wishes.recv().await, Some(Control::Stop));
    for (body, status, why) in [
        (r#"{"do":"start"}"#, 409, "goes on already"),
        (r#"{"do":"rate","rate":5}"#, 409, "steered by its users"),
        (r#"{"do":"users","count":700,"spawn_rate":0}"#, 422, "spawn_rate is 0"),
        (r#"{"do":"users","count":99999999,"spawn_rate":1}"#, 422, "count is 99999999"),
        (r#"{"do":"users","count":-1,"spawn_rate":1}"#, 422, "invalid value"),
        (r#"{"do":"users","count":1,"spawn_rate":1,"more":1}"#, 422, "unknown field `more`"),
        (r#"{"do":"stop","more":1}"#, 422, "unknown field `more`"),
        (r#"{"do":"dance"}"#, 422, "unknown variant `dance`"),
        ("no", 422, "the body"),
        (&" ".repeat(5000), 413, "4096 bytes"),
    ] {
        let (seen, text) = run.control(body).await;
        assert_eq!(seen, status, "{body}: {text}");
        assert!(text.contains(why), "{body}: {text}");
    }
    run.show(sample::by_rate(3, 60));
    assert_eq!(run.control(r#"{"do":"rate","rate":12.5}"#).await.0, 202);
    assert_eq!(run.wishes.recv().await, Some(Control::Rate(12.5)));
    assert_eq!(run.control(r#"{"do":"users","count":1,"spawn_rate":1}"#).await.0, 409);
    run.show(sample::report());
    assert_eq!(run.control(r#"{"do":"stop"}"#).await.0, 409);
    assert_eq!(run.control(r#"{"do":"start"}"#).await.0, 202);
    assert_eq!(run.wishes.recv().await, Some(Control::Start));
    for _ in 0..4 {
        assert_eq!(run.control(r#"{"do":"start"}"#).await.0, 202);
    }
    assert_eq!(run.control(r#"{"do":"start"}"#).await.0, 503, "nobody takes the wishes");
    run.wishes.close();
    assert_eq!(run.control(r#"{"do":"start"}"#).await.0, 410, "nobody ever will");
}

#[tokio::test]
async fn what_is_chosen_is_begun_or_refused_in_words() {
    let mut run = Run::start(Report::empty()).await;
    let penguins = r#"{"function":"penguins","preset":"stress","scale_time":0.5}"#;
    for answer in [Ok(()), Err("no function `penguins`".to_owned())] {
        let asked = run.post("/api/preset", penguins);
        let told = async {
            let chosen = run.choices.recv().await.unwrap();
            assert_eq!((chosen.choice.preset, chosen.choice.scale_time), (Preset::Stress, 0.5));
            assert_eq!(chosen.choice.function.as_str(), "penguins");
            chosen.told.send(answer.clone()).unwrap();
        };
        let ((status, text), ()) = tokio::join!(asked, told);
        match answer {
            Ok(()) => assert_eq!(status, 202, "{text}"),
            Err(why) => assert!(status == 422 && text.contains(&why), "{status}: {text}"),
        }
    }
    for (body, why) in [
        (r#"{"function":"a/b","preset":"quick"}"#, "a/b"),
        (r#"{"function":"penguins","preset":"dance"}"#, "unknown variant `dance`"),
        (r#"{"function":"penguins","preset":"quick","scale_time":0}"#, "scale_time is 0"),
        (r#"{"function":"penguins","preset":"quick","scale_time":11}"#, "at most 10"),
        (r#"{"function":"penguins","preset":"quick","more":1}"#, "unknown field `more`"),
    ] {
        let (status, text) = run.post("/api/preset", body).await;
        assert!(status == 422 && text.contains(why), "{body}: {status} {text}");
    }
    assert_eq!(run.control(r#"{"do":"start"}"#).await.0, 409, "nothing is chosen");
    run.show(holding(3));
    assert_eq!(run.post("/api/preset", penguins).await.0, 409, "it goes on");
    run.show(sample::report());
    run.choices.close();
    assert_eq!(run.post("/api/preset", penguins).await.0, 410, "nobody ever will");
}

#[tokio::test]
async fn events_go_on_as_long_as_the_run() {
    let run = Run::start(ready()).await;
    let mut answer = client().get(run.url("/events")).send().await.unwrap();
    let first = answer.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: run\ndata: {"));
    // Longer than a client may take to read.
    tokio::time::sleep(LIMITS.header_timeout + Duration::from_secs(2)).await;
    run.show(holding(1));
    let next = answer.chunk().await.unwrap().expect("the stream goes on");
    assert!(String::from_utf8_lossy(&next).contains(r#""at_s":1.0"#));
}

#[test]
fn only_the_page_s_own_requests_pass() {
    let status = |method: &str, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(Request::builder().method(method).uri("/"), |r, (n, v)| r.header(*n, *v));
        guard::check(&request.body(()).unwrap()).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    };
    let json = ("content-type", "application/json; charset=utf-8");
    for (headers, wanted) in [
        (vec![("host", "127.0.0.1:8089"), json], 200),
        (vec![("host", "localhost:8089"), json], 200),
        (vec![("host", "[::1]:8089"), json], 200),
        (vec![("host", "10.0.0.7:8089"), json], 200),
        (vec![("host", "localhost:8089"), json, ("origin", "http://localhost:8089")], 200),
        (vec![("host", "localhost:8089"), json, ("sec-fetch-site", "same-origin")], 200),
        (vec![json], 403),
        (vec![("host", "rebound.example:8089"), json], 403),
        (vec![("host", "127.0.0.1.example"), json], 403),
        (vec![("host", "localhost:8089"), json, ("origin", "http://localhost:9000")], 403),
        (vec![("host", "localhost:8089"), json, ("origin", "https://evil.example")], 403),
        (vec![("host", "localhost:8089"), json, ("origin", "null")], 403),
        (vec![("host", "localhost:8089"), json, ("sec-fetch-site", "same-site")], 403),
        (vec![("host", "localhost:8089"), ("content-type", "text/plain")], 415),
        (vec![("host", "localhost:8089")], 415),
    ] {
        assert_eq!(status("POST", &headers), wanted, "{headers:?}");
    }
    assert_eq!(status("GET", &[("host", "localhost:8089"), ("sec-fetch-site", "cross-site")]), 200, "a link");
    assert_eq!(status("GET", &[("host", "rebound.example")]), 403);
}

#[tokio::test]
async fn metrics_are_read_under_any_name_of_the_machine() {
    let run = Run::start(sample::report()).await;
    let get = async |path: &str| {
        client().get(run.url(path)).header("host", "loadgen.service.consul:8089").send().await.unwrap().status()
    };
    assert_eq!(get("/metrics").await, 200);
    assert_eq!(get("/report.json").await, 403);
}

#[tokio::test]
async fn a_person_steers_a_run_in_the_browser() {
    let mut run = Run::start(ready()).await;
    let Some(browser) = Browser::start().await else { return };
    let page = browser.open(&run.url("/")).await;
    assert_eq!(page.text("h1").await, "penguins");
    assert_eq!(page.text("#outcome").await, "ready");
    assert_eq!(page.eval("document.querySelector('#stop').disabled").await, true);
    assert_eq!(page.eval("document.querySelector('#users').value").await, "500");

    page.click("#start").await;
    assert_eq!(run.wishes.recv().await, Some(Control::Start));
    for second in 1..=4 {
        run.show(holding(second));
        page.until(&format!("document.querySelector('.facts')?.innerText.startsWith('0:0{second}')")).await;
    }
    assert_eq!(page.text("#outcome").await, "running");
    // Every second is there once, whether it came alone or with others.
    let requests = holding(4).total.requests;
    assert!(page.text("[data-tile=requests]").await.contains(&requests.to_string()));
    assert!(page.eval("document.querySelectorAll('figure canvas').length").await.as_u64() >= Some(6));

    page.fill("#users", "800").await;
    page.fill("#spawn-rate", "25").await;
    page.click("#apply").await;
    assert_eq!(run.wishes.recv().await, Some(Control::Users { count: 800, spawn_rate: 25.0 }));
    page.until("document.querySelector('#said').innerText.startsWith('800 users')").await;
    run.show(holding(60));
    page.until("document.querySelector('.facts').innerText.startsWith('1:00')").await;
    assert_eq!(page.eval("document.querySelector('#users').value").await, "800", "what was typed stays");

    // A stranger's text is text, on the page and in what unfolds.
    page.click("#failed details summary").await;
    page.until("document.querySelector('#failed details[open] pre').innerText.includes('draining')").await;
    run.show(holding(61));
    page.until("document.querySelector('.facts').innerText.startsWith('1:01')").await;
    page.until("document.querySelector('#failed details[open]')").await;
    assert_eq!(page.eval("document.querySelectorAll('img').length").await, 0);
    assert!(page.text("#tasks").await.contains("<img src=x"));
    if let Some(file) = picture("live-light.png") {
        page.eval("window.scrollTo(0, 0)").await;
        page.screenshot(&file).await;
        page.prefer("dark").await;
        page.resize(480, 900).await;
        page.screenshot(&picture("live-dark-narrow.png").unwrap()).await;
        page.resize(1280, 900).await;
        page.screenshot(&picture("live-dark.png").unwrap()).await;
    }

    page.click("#stop").await;
    assert_eq!(run.wishes.recv().await, Some(Control::Stop));
    let mut over = sample::run(70);
    over.state = RunState::Stopped;
    run.show(over);
    page.until("document.querySelector('#outcome').innerText === 'invalid'").await;
    assert!(page.text(".alarm").await.contains("12 requests were sent late"));
    page.until("!document.querySelector('#start').disabled && document.querySelector('#stop').disabled").await;
    assert_eq!(page.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_by_rate_is_steered_by_its_rate() {
    let mut run = Run::start(sample::by_rate(45, 60)).await;
    let Some(browser) = Browser::start().await else { return };
    let page = browser.open(&run.url("/")).await;
    page.until("document.querySelector('#rate').value === '1000'").await;
    page.until("!document.querySelector('#users').offsetParent").await;
    page.fill("#rate", "1500.5").await;
    page.click("#apply").await;
    assert_eq!(run.wishes.recv().await, Some(Control::Rate(1500.5)));
    // What is refused is said.
    run.reports.send_modify(|report| Arc::make_mut(report).load = LoadKind::Users);
    run.wishes.close();
    page.until("!document.querySelector('#users').disabled").await;
    page.fill("#users", "5").await;
    page.fill("#spawn-rate", "5").await;
    page.click("#apply").await;
    page.until("document.querySelector('#said').innerText === 'the generator has ended'").await;
}

#[tokio::test]
async fn the_page_says_that_the_generator_is_gone_and_finds_it_again() {
    let run = Run::start(holding(5)).await;
    let Some(browser) = Browser::start().await else { return };
    let page = browser.open(&run.url("/")).await;
    assert_eq!(page.text("#outcome").await, "running");
    run.served.abort();
    page.until("document.querySelector('#said').innerText.includes('does not answer')").await;
    let listener = eventually("the port is free again", Duration::from_secs(10), async || {
        TcpListener::bind(run.address).await.ok()
    })
    .await;
    let (control, _wishes) = mpsc::channel(4);
    let _again = tokio::spawn(serve(listener, run.reports.subscribe(), control, None));
    run.show(holding(9));
    page.until("document.querySelector('.facts').innerText.startsWith('0:09')").await;
    page.until("document.querySelector('#said').innerText === ''").await;
}

#[tokio::test]
async fn the_files_show_their_runs_without_any_server() {
    use crate::report::{compare::Comparison, html};

    let dir = tempfile::tempdir().unwrap();
    let mut worse = sample::run(90);
    worse.total.rps *= 0.5;
    worse.history.iter_mut().for_each(|point| point.p95_ms *= 1.5);
    let runs = [("0.5-cpu.json".to_owned(), sample::run(120)), (format!("{}.json", sample::HOSTILE), worse)];
    let long = sample::run(120);
    let good = Report { invalid: Vec::new(), promises: Vec::new(), workers: Vec::new(), ..long.clone() };
    let Some(browser) = Browser::start().await else { return };
    for (name, text, canvases) in [
        ("report", html::page(&long), 8),
        ("good", html::page(&good), 8),
        ("empty", html::page(&ready()), 6),
        ("compare", html::comparison(&runs, &Comparison::of(&runs, 10.0)), 8),
    ] {
        let file = dir.path().join(format!("{name}.html"));
        std::fs::write(&file, text).unwrap();
        let page = browser.open(&format!("file://{}", file.display())).await;
        page.until(&format!("document.querySelectorAll('figure canvas').length === {canvases}")).await;
        assert_eq!(page.eval("document.querySelectorAll('img').length").await, 0);
        assert_eq!(page.eval("document.title.includes('owned')").await, false);
        assert_eq!(page.complaints().await, Vec::<String>::new(), "{name}");
        page.click("figcaption button").await;
        assert_eq!(page.eval("document.querySelector('figcaption button').ariaPressed").await, "true");
        if let Some(file) = picture(&format!("{name}-light.png")) {
            page.screenshot(&file).await;
            page.prefer("dark").await;
            page.eval("new Promise(done => setTimeout(done, 300))").await;
            page.screenshot(&picture(&format!("{name}-dark.png")).unwrap()).await;
        }
    }
}
