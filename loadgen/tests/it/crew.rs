//! Users driven by hand, one request after the other, so that work and targets are tested without the driver.

use std::collections::BTreeMap;
use std::time::Instant;

use loadgen::target::Target;
use loadgen::work::{Answer, Ask, Failure, Script, Work};

/// What came of the requests of one name: how many, and the failures by kind and detail.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) requests: BTreeMap<String, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) failures: BTreeMap<String, u64>,
}

/// Lets `n` users do `iterations` tasks each.
pub(crate) async fn run(work: &dyn Work, target: &Target, n: u64, iterations: usize) -> Tally {
    let client = drover_testkit::client();
    let mut tally = Tally::default();
    for seed in 1..=n {
        let mut user = work.user(seed);
        for _ in 0..iterations {
            if let Err(failure) = iterate(user.as_mut(), work, target, &client, &mut tally).await {
                *tally.failures.entry(failure.to_string()).or_default() += 1;
            }
        }
    }
    tally
}

async fn iterate(
    user: &mut dyn Script,
    work: &dyn Work,
    target: &Target,
    client: &reqwest::Client,
    tally: &mut Tally,
) -> Result<(), Failure> {
    while let Some(ask) = user.next()? {
        *tally.requests.entry(work.tasks()[ask.task].clone()).or_default() += 1;
        let answer = send(client, target, ask).await;
        *tally.statuses.entry(answer.status.as_u16()).or_default() += 1;
        user.judge(&answer)?;
    }
    Ok(())
}

async fn send(client: &reqwest::Client, target: &Target, ask: Ask) -> Answer {
    let address = target.endpoints.borrow()[0].address;
    let path = String::from_utf8(ask.path.to_vec()).unwrap();
    let url = format!("http://{address}{}{path}", target.base_path);
    let started = Instant::now();
    let headers = ask.headers.as_ref().clone();
    let sent = client.request(ask.method, url).headers(headers).body(ask.body).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let body = sent.bytes().await.unwrap();
    Answer { status, headers, body, took: started.elapsed() }
}
