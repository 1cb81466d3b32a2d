//! The run as server-sent events: all of it at first, then what each second adds.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body::Frame;
use serde::Serialize;
use tokio::sync::watch;

use crate::report::Report;
use crate::report::html::{POINTS_MAX, View};
use crate::report::thin::thin;

/// After so long without news something is said, so that nobody takes the connection for dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Event<'r> {
    #[serde(flatten)]
    view: View<'r>,
    /// Whether `history` continues what was sent before.
    more: bool,
}

/// What a client has been sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    began: String,
    at_s: f64,
}

/// Returns the events of a client that connects now.
pub(super) fn stream(
    reports: watch::Receiver<Arc<Report>>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static {
    stream::unfold((reports, None), async |(mut reports, sent)| {
        if sent.is_some() {
            match tokio::time::timeout(SILENCE_MAX, reports.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return None,
                Err(_silent) => return Some((Ok(Frame::data(Bytes::from_static(b":\n\n"))), (reports, sent))),
            }
        }
        let report = Arc::clone(&reports.borrow_and_update());
        let (text, sent) = event(&report, sent.as_ref());
        Some((Ok(Frame::data(text.into())), (reports, Some(sent))))
    })
}

/// Returns the event for `report` after what was `sent`, and what is sent with it.
fn event(report: &Report, sent: Option<&Sent>) -> (String, Sent) {
    let at_s = report.history.last().map_or(0.0, |point| point.at_s);
    let more = sent.filter(|sent| sent.began == report.began && sent.at_s <= at_s);
    let history = match more {
        Some(sent) => report.history.iter().filter(|point| point.at_s > sent.at_s).cloned().collect(),
        None => thin(&report.history, POINTS_MAX),
    };
    let shown = Report { history, ..without_history(report) };
    let text = serde_json::to_string(&Event { view: View::of(&shown), more: more.is_some() }).unwrap_or_default();
    (format!("event: run\ndata: {text}\n\n"), Sent { began: report.began.clone(), at_s })
}

/// Clones all but the history, which grows all the time.
fn without_history(report: &Report) -> Report {
    Report {
        schema: report.schema.clone(),
        version: report.version.clone(),
        began: report.began.clone(),
        elapsed_s: report.elapsed_s,
        remaining_s: report.remaining_s,
        state: report.state,
        target: report.target.clone(),
        load: report.load,
        plan: report.plan.clone(),
        invalid: report.invalid.clone(),
        total: report.total.clone(),
        tasks: report.tasks.clone(),
        failures: report.failures.clone(),
        history: Vec::new(),
        instances: report.instances.clone(),
        promises: report.promises.clone(),
        generator: report.generator,
        late: report.late,
        workers: report.workers.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_client_is_sent_every_second_once() {
        let mut report = sample::report();
        let (first, sent) = event(&report, None);
        assert!(first.contains(r#""more":false"#) && first.contains(r#""at_s":1.0"#));
        let mut next = report.history.last().unwrap().clone();
        next.at_s += 1.0;
        report.history.push(next);
        let (second, _) = event(&report, Some(&sent));
        assert!(second.contains(r#""more":true"#), "{second}");
        assert_eq!(second.matches(r#""at_s":"#).count(), 1);
        assert_eq!(second.lines().count(), 3, "an event ends with an empty line and has no other");

        report.began = "2026-11-21T17:00:00Z".into();
        let (anew, _) = event(&report, Some(&sent));
        assert!(anew.contains(r#""more":false"#), "another run begins from its beginning");
    }
}
