//! How an answer is judged, and what is kept of it.

use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::work::{Answer, Failure, Reads};

/// Answers with which a server refuses a body that is wrong.
const REFUSALS: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// Characters of a reason that a server gives.
const REASON_MAX: usize = 200;

/// What an answer must be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Checks {
    /// Statuses that are good: from the first to the second. All below 400 if there are none.
    pub(super) status: Vec<(u16, u16)>,
    /// What is at JSON pointers.
    pub(super) json: Vec<(String, Test)>,
    /// What headers say.
    pub(super) headers: Vec<(HeaderName, Test)>,
    /// A text that is in the body.
    pub(super) contains: Option<String>,
    /// How long it may take at most.
    pub(super) response_time: Option<Duration>,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// One of these.
    In(Vec<Value>),
    /// A number from the first to the second.
    Between(f64, f64),
    /// There, or not there.
    Exists(bool),
}

/// Where a value is found in an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum From {
    /// At a JSON pointer.
    Json(String),
    /// In a header.
    Header(HeaderName),
}

/// A value that is kept: its place among the user's, and where it is found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extract {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) from: From,
}

impl Checks {
    /// Judges an answer to a valid request and returns what is to be kept of it.
    pub(super) fn judge(&self, answer: &Answer, extracts: &[Extract]) -> Result<Vec<(usize, Value)>, Failure> {
        let status = answer.status.as_u16();
        let is_good = match self.status.as_slice() {
            [] => status < 400,
            some => some.iter().any(|(from, to)| (*from..=*to).contains(&status)),
        };
        if !is_good {
            return Err(refused(answer));
        }
        if let Some(limit) = self.response_time.filter(|limit| answer.took > *limit) {
            return Err(failure("check", format!("took longer than {limit:?}")));
        }
        for (name, test) in &self.headers {
            let value = header(&answer.headers, name);
            test.check(value.as_ref(), &format!("header `{name}`"))?;
        }
        if let Some(text) = &self.contains
            && !text.is_empty()
            && !answer.body.windows(text.len()).any(|window| window == text.as_bytes())
        {
            return Err(failure("check", format!("the body does not contain `{text}`")));
        }
        let reads_json = !self.json.is_empty() || extracts.iter().any(|one| matches!(one.from, From::Json(_)));
        let json: Value = match reads_json {
            true => {
                serde_json::from_slice(&answer.body).map_err(|_| failure("check", "the body is not JSON".into()))?
            }
            false => Value::Null,
        };
        for (pointer, test) in &self.json {
            test.check(json.pointer(pointer), &format!("`{pointer}`"))?;
        }
        let kept = extracts.iter().map(|one| {
            let found = match &one.from {
                From::Json(pointer) => json.pointer(pointer).cloned(),
                From::Header(name) => header(&answer.headers, name),
            };
            let missing = || failure("extract", format!("the answer has no {} for `{}`", one.from.said(), one.name));
            Ok((one.place, found.ok_or_else(missing)?))
        });
        kept.collect()
    }

    /// Returns what of an answer is looked at.
    pub(super) fn reads(&self, extracts: &[Extract]) -> Reads {
        let from_header = extracts.iter().any(|one| matches!(one.from, From::Header(_)));
        if from_header || !self.headers.is_empty() { Reads::All } else { Reads::Body }
    }
}

/// Judges the answer to a request that was wrong on purpose, as `why` says.
pub(super) fn judge_refusal(answer: &Answer, why: &str) -> Result<(), Failure> {
    match answer.status {
        status if REFUSALS.contains(&status) => Ok(()),
        status if status.is_success() => Err(failure("check", format!("answered {} though {why}", status.as_u16()))),
        _ => Err(refused(answer)),
    }
}

impl From {
    fn said(&self) -> String {
        match self {
            Self::Json(pointer) => format!("`{pointer}`"),
            Self::Header(name) => format!("header `{name}`"),
        }
    }
}

impl Test {
    fn check(&self, found: Option<&Value>, what: &str) -> Result<(), Failure> {
        let wrong = |expected: String| Err(failure("check", format!("{what} is not {expected}")));
        match (self, found) {
            (Self::Exists(wanted), found) => match (*wanted, found.is_some()) {
                (true, false) => Err(failure("check", format!("{what} is missing"))),
                (false, true) => Err(failure("check", format!("{what} is there"))),
                _ => Ok(()),
            },
            (_, None) => Err(failure("check", format!("{what} is missing"))),
            (Self::In(all), Some(found)) if !all.iter().any(|one| same(one, found)) => {
                let all: Vec<_> = all.iter().map(ToString::to_string).collect();
                wrong(all.join(" or "))
            }
            (Self::Between(from, to), Some(found)) if !found.as_f64().is_some_and(|n| *from <= n && n <= *to) => {
                match (from.is_finite(), to.is_finite()) {
                    (true, true) => wrong(format!("from {from} to {to}")),
                    (true, false) => wrong(format!("at least {from}")),
                    _ => wrong(format!("at most {to}")),
                }
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether two values are the same; numbers are compared by their value.
fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<Value> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned().into())
}

/// Says that the status was not what was hoped for, with what the server calls it.
fn refused(answer: &Answer) -> Failure {
    let problem: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let words = |key: &str| problem.as_ref()?.get(key)?.as_str();
    let detail = words("kind").or_else(|| words("title")).or_else(|| answer.status.canonical_reason());
    let detail = detail.unwrap_or("no reason given").chars().take(REASON_MAX).collect();
    failure(&format!("http_{}", answer.status.as_u16()), detail)
}

pub(super) fn failure(kind: &str, detail: String) -> Failure {
    Failure { kind: kind.to_owned(), detail }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-id", "7".parse().unwrap());
        let took = Duration::from_millis(20);
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::from(body.to_owned()), took }
    }

    #[track_caller]
    fn check(checks: &Checks, answer: &Answer, expected: &str) {
        let found = checks.judge(answer, &[]).map_or_else(|e| e.to_string(), |_| "good".to_owned());
        assert_eq!(found, expected);
    }

    #[test]
    fn every_check_says_what_was_not_as_it_should_be() {
        let good = answer(200, r#"{"label": "male", "p": 0.5, "all": [1, 2]}"#);
        let at = |pointer: &str, test| Checks { json: vec![(pointer.into(), test)], ..Checks::default() };
        check(&Checks::default(), &good, "good");
        check(&Checks { status: vec![(201, 204)], ..Checks::default() }, &good, "http_200: OK");
        check(&Checks { status: vec![(404, 404)], ..Checks::default() }, &answer(404, ""), "good");
        check(&at("/label", Test::In(vec![json!("male"), json!("female")])), &good, "good");
        check(&at("/label", Test::In(vec![json!("female")])), &good, "check: `/label` is not \"female\"");
        check(&at("/all/1", Test::In(vec![json!(2.0)])), &good, "good");
        check(&at("/p", Test::Between(0.5, 1.0)), &good, "good");
        check(&at("/p", Test::Between(0.6, f64::INFINITY)), &good, "check: `/p` is not at least 0.6");
        check(&at("/label", Test::Between(0.0, 1.0)), &good, "check: `/label` is not from 0 to 1");
        check(&at("/q", Test::Exists(true)), &good, "check: `/q` is missing");
        check(&at("/p", Test::Exists(false)), &good, "check: `/p` is there");
        check(&at("/p", Test::Exists(true)), &answer(200, "x"), "check: the body is not JSON");
        check(&Checks { contains: Some("male".into()), ..Checks::default() }, &good, "good");
        check(
            &Checks { contains: Some("Male".into()), ..Checks::default() },
            &good,
            "check: the body does not contain `Male`",
        );
        let id = |value: &str| Checks {
            headers: vec![(HeaderName::from_static("x-id"), Test::In(vec![json!(value)]))],
            ..Checks::default()
        };
        check(&id("7"), &good, "good");
        check(&id("8"), &good, "check: header `x-id` is not \"8\"");
        let quick = Checks { response_time: Some(Duration::from_millis(10)), ..Checks::default() };
        check(&quick, &good, "check: took longer than 10ms");
        check(&Checks::default(), &answer(503, r#"{"kind": "not_ready"}"#), "http_503: not_ready");
        check(&Checks::default(), &answer(500, "<html>"), "http_500: Internal Server Error");
        let long = format!(r#"{{"title": "{}"}}"#, "é".repeat(5000));
        check(&Checks::default(), &answer(500, &long), &format!("http_500: {}", "é".repeat(REASON_MAX)));
        check(&Checks { contains: Some(String::new()), ..Checks::default() }, &answer(200, ""), "good");
    }

    #[test]
    fn a_wrong_request_must_be_refused_as_wrong() {
        for status in [400, 413, 415, 422] {
            assert_eq!(judge_refusal(&answer(status, ""), "x"), Ok(()));
        }
        let said = |status| judge_refusal(&answer(status, ""), "`a` is missing").unwrap_err().to_string();
        assert_eq!(said(200), "check: answered 200 though `a` is missing");
        assert_eq!(said(429), "http_429: Too Many Requests");
        assert_eq!(said(500), "http_500: Internal Server Error");
    }
}
