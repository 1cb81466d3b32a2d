//! The dashboards of `grafana/dashboards` for the console: what they hold, and the figures of a panel from Prometheus.
//! Expressions come from those files only; who asks chooses a function and how far to look back.

mod files;
mod fill;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drover_core::{ErrorKind, FunctionName};
use futures_util::future::try_join_all;
use http::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::files::{DASHBOARDS, Dashboard, Panel, Query, Takes};
use crate::beside::{Beside, said};
use crate::body::Body;
use crate::error::Error;
use crate::gateway::Gateway;

/// How long Prometheus may take for one question.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The largest answer that is read of it.
const ANSWER_MAX_BYTES: usize = 16 << 20;
/// The most series that a panel shows; more cannot be told apart.
const SERIES_MAX: usize = 40;
/// So many points a panel has, about.
const N_POINTS: u64 = 240;
/// How often Prometheus scrapes, in seconds, as `grafana/prometheus` says: nothing is known between two points nearer.
const SCRAPE_S: u64 = 5;
/// How far a panel looks back unless it is asked for, and at most, in minutes.
const MINUTES: u64 = 60;
const MINUTES_MAX: u64 = 24 * 60;

/// How Prometheus is asked.
pub(crate) struct Dashboards {
    prometheus: Option<String>,
    beside: Beside,
}

/// What somebody wants to see of a panel.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    function: Option<FunctionName>,
    minutes: u64,
}

/// The points of a panel: at `from`, and each `step` seconds until `to`, all in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    from: u64,
    to: u64,
    step: u64,
}

/// One line of a panel.
#[derive(Serialize)]
struct Series {
    legend: String,
    /// Seconds since 1970, and the value, or nothing where it is no number.
    points: Vec<(f64, Option<f64>)>,
}

/// What Prometheus answers.
#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    metric: Map<String, Value>,
    values: Vec<(f64, String)>,
}

impl Dashboards {
    pub(crate) const fn new(prometheus: Option<String>) -> Self {
        Self { prometheus, beside: Beside::new(ANSWER_LIMIT) }
    }

    /// Asks for one expression of a panel.
    async fn ask(
        &self,
        url: &str,
        panel: &Panel,
        query: &Query,
        wish: &Wish,
        w: &Window,
    ) -> Result<Vec<Series>, Error> {
        let expression = fill::expression(&query.expression, wish.function.as_ref(), w.step, SCRAPE_S);
        let limit = format!("{}s", ANSWER_LIMIT.as_secs());
        let (from, to, step) = (w.from.to_string(), w.to.to_string(), w.step.to_string());
        let asked = [("query", &*expression), ("start", &from), ("end", &to), ("step", &step), ("timeout", &limit)];
        let full = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query_range"), asked);
        let full = full.map_err(|e| Error::new(ErrorKind::Internal, "no URL").with_cause(e))?;
        let request = self.beside.request(Method::GET, full.as_str())?;
        let answer = async {
            let mut answer = request.send().await.map_err(|e| {
                let detail = format!("Prometheus at {url} cannot be reached");
                Error::new(ErrorKind::UpstreamFailed, detail).with_cause(said(&e))
            })?;
            let status = answer.status();
            let mut text = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(|e| broken(url, said(&e)))? {
                text.extend_from_slice(&part);
                if text.len() > ANSWER_MAX_BYTES {
                    return Err(broken(url, format!("it has more than {ANSWER_MAX_BYTES} bytes")));
                }
            }
            let read: Answer = serde_json::from_slice(&text).map_err(|e| broken(url, format!("{status}: {e}")))?;
            read.data.ok_or_else(|| broken(url, format!("{status}: {}", read.error.unwrap_or_default())))
        };
        let late = |_| Error::new(ErrorKind::Timeout, format!("Prometheus at {url} takes longer than {limit}"));
        let data = tokio::time::timeout(ANSWER_LIMIT, answer).await.map_err(late)??;
        let series = data.result.into_iter().map(|found| Series {
            legend: fill::legend(&query.legend, &found.metric, &panel.title),
            points: found.values.into_iter().map(|(at, value)| (at, number(&value))).collect(),
        });
        Ok(series.collect())
    }
}

impl Wish {
    /// Reads `function=NAME&minutes=N`, both of which may be missing.
    fn read(query: &str) -> Result<Self, Error> {
        let mut wish = Self { function: None, minutes: MINUTES };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let bad = |why: &str| Error::new(ErrorKind::BadRequest, format!("`{pair}`: {why}"));
            match pair.split_once('=') {
                Some(("function", name)) => {
                    wish.function = Some(name.parse().map_err(|e| bad(&format!("{e}")))?);
                }
                Some(("minutes", n)) => {
                    let good = n.parse().ok().filter(|n| (1..=MINUTES_MAX).contains(n));
                    wish.minutes = good.ok_or_else(|| bad(&format!("say a number from 1 to {MINUTES_MAX}")))?;
                }
                _ => return Err(bad("it is neither function=NAME nor minutes=N")),
            }
        }
        Ok(wish)
    }
}

impl Window {
    /// Returns the points of the last `minutes` before `now`, in seconds since 1970; the last of them is as new as
    /// what Prometheus knows.
    fn before(now: u64, minutes: u64) -> Self {
        let step = (minutes * 60).div_ceil(N_POINTS).max(SCRAPE_S);
        let to = now - now % SCRAPE_S;
        Self { from: to.saturating_sub(minutes * 60 / step * step), to, step }
    }
}

impl Gateway {
    /// Says which dashboards there are.
    pub(crate) fn boards(&self) -> Value {
        json!({ "prometheus": self.dashboards.prometheus.is_some(), "dashboards": *DASHBOARDS })
    }

    /// Returns the figures of a panel; `query` says what of it.
    pub(crate) async fn panel(&self, uid: &str, panel: &str, query: &str) -> Result<Response<Body>, Error> {
        let unknown = |what: String| Error::new(ErrorKind::UnknownRoute, format!("{what}; see /api/dashboards"));
        let board = DASHBOARDS.iter().find(|board| board.uid == uid);
        let board: &Dashboard = board.ok_or_else(|| unknown(format!("no dashboard is `{uid}`")))?;
        let found = board.panels.iter().find(|found| found.id.to_string() == panel);
        let panel = found.ok_or_else(|| unknown(format!("dashboard `{uid}` has no panel `{panel}`")))?;
        let wish = Wish::read(query)?;
        if board.function == Takes::One && wish.function.is_none() {
            let detail = format!("dashboard `{uid}` is of one function: add ?function=NAME");
            return Err(Error::new(ErrorKind::BadRequest, detail));
        }
        let Some(url) = &self.dashboards.prometheus else {
            let detail = "no Prometheus is known here: `drover up --observe` starts one where it is installed; another \
                          gateway is told by prometheus.url where one is";
            return Err(Error::new(ErrorKind::NotReady, detail));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let window = Window::before(now, wish.minutes);
        let asked = panel.queries.iter().map(|query| self.dashboards.ask(url, panel, query, &wish, &window));
        let mut series: Vec<_> = try_join_all(asked).await?.into_iter().flatten().collect();
        let n_left_out = series.len().saturating_sub(SERIES_MAX);
        series.truncate(SERIES_MAX);
        let Window { from, to, step } = window;
        let answer = json!({ "from": from, "to": to, "step": step, "series": series, "n_left_out": n_left_out });
        Ok(crate::api::json(&answer))
    }
}

fn broken(url: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::UpstreamFailed, format!("the answer of Prometheus at {url} cannot be used: {why}"))
}

/// Returns what a figure of Prometheus is, or nothing for `NaN` and `+Inf`, which JSON does not have.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_function_and_minutes() {
        let wish = |function: Option<&str>, minutes| Wish { function: function.map(|f| f.parse().unwrap()), minutes };
        assert_eq!(Wish::read("").unwrap(), wish(None, 60));
        assert_eq!(Wish::read("function=penguins&minutes=15").unwrap(), wish(Some("penguins"), 15));
        for bad in
            ["function=a\"}", "function=A", "function=", "minutes=0", "minutes=1441", "minutes=x", "query=up", "up"]
        {
            assert_eq!(Wish::read(bad).unwrap_err().kind, ErrorKind::BadRequest, "{bad}");
        }
    }

    #[test]
    fn a_window_has_about_240_points_until_now() {
        for (minutes, step, n) in [(1, 5, 12), (15, 5, 180), (60, 15, 240), (360, 90, 240), (1440, 360, 240)] {
            let window = Window::before(1_700_000_123, minutes);
            assert_eq!((window.step, (window.to - window.from) / window.step), (step, n), "{minutes} minutes");
            assert_eq!(window.to, 1_700_000_120);
        }
        assert_eq!(Window::before(7, 15), Window { from: 0, to: 5, step: 5 });
    }

    #[test]
    fn what_is_no_number_is_nothing() {
        assert_eq!(["1.5", "-0", "NaN", "+Inf", "x"].map(number), [Some(1.5), Some(-0.0), None, None, None]);
    }
}
