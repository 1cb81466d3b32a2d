//! Keeps what an answer says while it passes: nothing waits for it, and what is too large is not kept.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use drover_core::{FunctionName, RequestId};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::{Frame, SizeHint};

use super::answers::{Answers, Keep, Passed};
use crate::body::{Answer, Body, BoxError};
use crate::gateway::unix_ms;
use crate::headers::REQUEST_ID;
use crate::payload::Payload;

/// The largest answer that is kept, and the largest input.
const MAX_BYTES: usize = 64 * 1024;

/// An instance's answer that is kept when it ends.
pub(crate) struct Tapped {
    body: Answer,
    answers: Answers,
    /// Nothing once it was kept, or was too large.
    seen: Option<(RequestId, Passed)>,
}

impl Answers {
    /// Has an answer kept, if its function wants that and it is a prediction of one row.
    pub(crate) fn watch(
        &self,
        keep: Keep,
        function: &FunctionName,
        head: &Parts,
        payload: &Payload,
        response: Response<Body>,
    ) -> Response<Body> {
        let is_prediction = keep != Keep::Nothing
            && head.method == Method::POST
            && head.uri.path() == "/predict"
            && response.status() == StatusCode::OK
            && is_json(response.headers());
        if !is_prediction {
            return response;
        }
        let id = head.headers.get(REQUEST_ID).and_then(|v| RequestId::from_client(v.as_bytes()));
        let Some(id) = id else { return response };
        let input = match payload {
            Payload::Whole(bytes) if keep == Keep::Inputs && bytes.len() <= MAX_BYTES => Some(bytes.clone()),
            _ => None,
        };
        let seen = Passed { function: function.clone(), at_ms: unix_ms(), input, answer: Bytes::new() };
        response.map(|body| match body {
            Body::Answer(body) => {
                Body::Tapped(Box::new(Tapped { body, answers: self.clone(), seen: Some((id, seen)) }))
            }
            other => other,
        })
    }
}

impl Tapped {
    fn note(&mut self, data: &Bytes) {
        let Some((_, seen)) = &mut self.seen else { return };
        if seen.answer.len() + data.len() > MAX_BYTES {
            self.seen = None;
        } else if seen.answer.is_empty() {
            // A copy: what hyper has read is part of a larger piece of memory.
            seen.answer = Bytes::copy_from_slice(data);
        } else {
            seen.answer = [&seen.answer[..], data].concat().into();
        }
    }

    /// Before the client has the end of it, and can have an opinion.
    fn keep_at_end(&mut self) {
        if let Some((id, mut seen)) = self.seen.take() {
            // Rows together have one id: of them it cannot be said which one was right.
            if seen.answer.first() == Some(&b'{') {
                seen.input = seen.input.map(|input| Bytes::copy_from_slice(&input));
                self.answers.add(id, seen, Instant::now());
            }
        }
    }
}

impl http_body::Body for Tapped {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Ready(Some(Ok(part))) => {
                if let Some(data) = part.data_ref() {
                    self.note(data);
                }
                if self.body.is_end_stream() {
                    self.keep_at_end();
                }
            }
            Poll::Ready(Some(Err(_))) => self.seen = None,
            Poll::Ready(None) => self.keep_at_end(),
            Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/json"))
}
