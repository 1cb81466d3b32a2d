//! The way of a request to an instance and of its answer back, again where that is safe.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drover_connection::RequestBody;
use drover_core::ErrorKind;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Out};
use crate::body::{Answer, Body};
use crate::error::Error;
use crate::gateway::Gateway;
use crate::headers::{self, DEADLINE, SERVER_TIMING};
use crate::lane::{Lane, Lease, Visit};
use crate::payload::Payload;
use crate::pool::{SendError, Wire};
use crate::record::Tally;
use crate::times::Times;

/// Instances that may turn a request away, having run nothing of it, before it is given up.
const TURNS_MAX: u32 = 100;

/// How an attempt ended.
pub(crate) enum Attempt {
    /// With an answer.
    Answered(Box<Reply>),
    /// The instance is full, or about to stop: it ran nothing of it.
    TurnedAway(StatusCode),
    /// Nothing was sent.
    Unsent(Box<Request<crate::body::Upload>>, std::io::Error),
    /// It may have been acted on.
    Broken(hyper::Error),
    /// The instance was given up meanwhile.
    Lost,
}

/// The head of an answer, and where its body comes from.
pub(crate) struct Reply {
    response: Response<Incoming>,
    wire: Wire,
    /// Cancelled when the instance is given up.
    lost: CancellationToken,
}

impl Gateway {
    /// Sends a request to an instance as soon as one has a free slot, and returns the answer.
    ///
    /// It is sent again if nothing of it was acted on; and, for a pure function, if an instance failed
    /// it, as often as the settings and the function's budget allow; never past its deadline.
    pub(crate) async fn forward(
        self: &Arc<Self>,
        visit: Visit,
        mut head: Parts,
        body: RequestBody,
        times: &Times,
    ) -> Result<Response<Body>, Error> {
        let lane = &Arc::clone(visit.lane());
        let limit = self.time_limit(&head.headers);
        // Each attempt says what is left; here it has its place in the map that attempts copy.
        head.headers.insert(DEADLINE, milliseconds(limit));
        let work = pin!(async {
            let mut payload = Payload::read(body, &head, &self.settings).await?;
            self.dispatch(lane, visit, &head, &mut payload, times.started + limit, times).await
        });
        tokio::select! {
            biased;
            answer = work => answer,
            () = tokio::time::sleep_until((times.started + limit).into()) => Err(late(lane, limit, times)),
        }
    }

    async fn dispatch(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        visit: Visit,
        head: &Parts,
        payload: &mut Payload,
        deadline: Instant,
        times: &Times,
    ) -> Result<Response<Body>, Error> {
        let (mut place, mut not, mut n_turns, mut n_retries) = (None, None, 0, 0);
        loop {
            let (asked, is_cold) = (Instant::now(), lane.n_open() == 0);
            let lease = lane.lease(&mut place, payload.n_bytes(), not.as_ref()).await?;
            let sent = Instant::now();
            times.queued(sent.duration_since(asked), is_cold);
            let (attempt, mut lease) = self.hedged(lane, lease, head, payload, deadline).await?;
            times.sent(sent.elapsed());
            let why = match attempt {
                Attempt::Answered(reply) => {
                    if lane.is_cold() {
                        self.ask_how_it_started(lane, &lease.backend);
                        lane.cold(|timeline| timeline.answered = Some(Instant::now()));
                    }
                    lease.hold(visit);
                    let keep = lease.backend.keep.get();
                    let response = finish(*reply, lease, times, self.settings.answer_timeout);
                    return Ok(self.feedback.answers.watch(keep, &lane.function, head, payload, response));
                }
                Attempt::Broken(e) if is_too_large(&e) => {
                    let most = self.settings.max_body_bytes;
                    let detail = format!("body is larger than the limit of {most} bytes");
                    return Err(Error::new(ErrorKind::TooLarge, detail));
                }
                Attempt::TurnedAway(StatusCode::TOO_MANY_REQUESTS) => {
                    lane.is_full(&lease.backend);
                    "full"
                }
                Attempt::TurnedAway(_) => {
                    self.eject(lane, &lease.backend, Out::Unreachable);
                    "leaving"
                }
                Attempt::Unsent(request, e) => {
                    tracing::debug!(function = %lane.function, instance = %lease.backend.id, error = %e, "unreachable");
                    self.eject(lane, &lease.backend, Out::Unreachable);
                    payload.take_back(*request);
                    "unreachable"
                }
                Attempt::Broken(e) => {
                    self.eject(lane, &lease.backend, Out::Unreachable);
                    let may = payload.is_whole() && lane.shown().is_pure() && n_retries < self.settings.retries;
                    if !(may && lane.may_retry()) {
                        return Err(broken(lane, &lease, "broke the connection before it answered").with_cause(e));
                    }
                    n_retries += 1;
                    "broken"
                }
                Attempt::Lost => {
                    let may = payload.is_whole() && lane.shown().is_pure() && n_retries < self.settings.retries;
                    if !(may && lane.may_retry()) {
                        return Err(broken(lane, &lease, "did not answer, and does not say that it lives"));
                    }
                    n_retries += 1;
                    "hung"
                }
            };
            n_turns += 1;
            if n_turns > TURNS_MAX {
                let detail = format!("{n_turns} instances of `{}` turned the request away", lane.function);
                return Err(Error::new(ErrorKind::UpstreamFailed, detail));
            }
            lane.metrics.retried(why);
            not = Some(Arc::clone(&lease.backend));
        }
    }

    /// Sends a request to an instance once.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        backend: &Arc<Backend>,
        request: Request<crate::body::Upload>,
        is_whole: bool,
    ) -> Attempt {
        let (began, lost) = (Instant::now(), backend.lost());
        let sent = tokio::select! {
            biased;
            sent = backend.pool.send(request, self.settings.connect_timeout) => sent,
            () = lost.cancelled() => return Attempt::Lost,
        };
        let (response, wire) = match sent {
            Ok(answered) => answered,
            Err(SendError::Unsent(request, e)) => return Attempt::Unsent(request, e),
            Err(SendError::Broken(e)) => return Attempt::Broken(e),
        };
        let status = response.status();
        // With these a function of Drover says that it ran nothing.
        let turned_away = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
            && response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v == drover_core::problem::PROBLEM_JSON);
        if turned_away && is_whole {
            return Attempt::TurnedAway(status);
        }
        backend.answered();
        if !status.is_server_error() {
            backend.record.succeeded();
        } else if backend.record.failed(Tally::of_others(lane, backend)) {
            self.eject(lane, backend, Out::Failing);
        }
        if self.settings.hedge {
            lane.took(began.elapsed());
        }
        Attempt::Answered(Box::new(Reply { response, wire, lost }))
    }

    fn time_limit(&self, headers: &HeaderMap) -> Duration {
        let deadline = headers.get(DEADLINE).and_then(|v| v.to_str().ok()?.parse().ok());
        deadline.map_or(self.settings.answer_timeout, |ms| self.settings.answer_timeout.min(Duration::from_millis(ms)))
    }
}

fn finish(reply: Reply, lease: Lease, times: &Times, silence: Duration) -> Response<Body> {
    let Reply { response, wire, lost } = reply;
    let (mut head, body) = response.into_parts();
    headers::remove_hop_by_hop(&mut head.headers);
    if let Some(value) = times.header() {
        head.headers.append(SERVER_TIMING, value);
    }
    Response::from_parts(head, Body::Answer(Answer::new(body, wire, lease, lost, silence)))
}

fn late(lane: &Lane, limit: Duration, times: &Times) -> Error {
    let (name, queue) = (&lane.function, times.queue());
    let detail = if times.upstream().is_zero() && queue.is_zero() {
        format!("no instance of `{name}` had a free slot within {limit:?}")
    } else {
        format!("`{name}` did not answer within {limit:?}, of which {queue:?} in the queue")
    };
    Error::new(ErrorKind::Timeout, detail)
}

fn broken(lane: &Lane, lease: &Lease, what: &str) -> Error {
    let detail = format!("instance {} of `{}` {what}", lease.backend.index, lane.function);
    Error::new(ErrorKind::UpstreamFailed, detail)
}

fn is_too_large(e: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(e);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns how many milliseconds are left, as the header that instances read.
pub(crate) fn milliseconds(left: Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1))
}
