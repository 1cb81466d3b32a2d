//! What of a request goes to an instance, and whether it can be sent again.

use std::time::Duration;

use bytes::Bytes;
use drover_connection::RequestBody;
use drover_core::ErrorKind;
use http::request::Parts;
use http::{Request, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};

use crate::Settings;
use crate::body::Upload;
use crate::error::Error;
use crate::forward::milliseconds;
use crate::headers::DEADLINE;

/// The body of a request.
pub(crate) enum Payload {
    /// All of it: it can be sent again.
    Whole(Bytes),
    /// It comes from the client bit by bit; nothing once it is on its way.
    Stream(Option<Limited<RequestBody>>),
}

impl Payload {
    /// Reads a small body as a whole, so that it holds no slot while the client sends it and can be sent
    /// again; leaves a larger one to be passed on as it comes.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the body says that it is larger than the limit; [`ErrorKind::BadRequest`]
    /// if the client broke off.
    pub(crate) async fn read(body: RequestBody, head: &Parts, settings: &Settings) -> Result<Self, Error> {
        if body.is_end_stream() {
            return Ok(Self::Whole(Bytes::new()));
        }
        let (most, declared) = (settings.max_body_bytes, declared_bytes(head));
        if let Some(n) = declared.filter(|n| *n > most as u64) {
            return Err(Error::new(ErrorKind::TooLarge, format!("body is {n} bytes, limit is {most}")));
        }
        if declared.is_none_or(|n| n > settings.retry_max_body_bytes as u64) {
            return Ok(Self::Stream(Some(Limited::new(body, most))));
        }
        let broke = |e| Error::new(ErrorKind::BadRequest, "the body ended early").with_cause(e);
        Ok(Self::Whole(body.collect().await.map_err(broke)?.to_bytes()))
    }

    /// Returns the bytes that it holds while it waits.
    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Stream(_) => 0,
        }
    }

    /// Returns whether it can be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// Returns the request that an instance gets, which has `left` to answer.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if a body that can be sent once was sent.
    pub(crate) fn request(&mut self, head: &Parts, left: Duration) -> Result<Request<Upload>, Error> {
        let upload = match self {
            Self::Whole(bytes) => Upload::Whole(Full::new(bytes.clone())),
            Self::Stream(body) => match body.take() {
                Some(body) => Upload::Stream(body),
                None => return Err(Error::new(ErrorKind::Internal, "the body was sent already")),
            },
        };
        let mut request = Request::new(upload);
        request.method_mut().clone_from(&head.method);
        request.uri_mut().clone_from(&head.uri);
        request.headers_mut().clone_from(&head.headers);
        request.headers_mut().insert(DEADLINE, milliseconds(left));
        Ok(request)
    }

    /// Takes the body of a request back that was not sent.
    pub(crate) fn take_back(&mut self, request: Request<Upload>) {
        if let (Self::Stream(place), Upload::Stream(body)) = (self, request.into_body()) {
            *place = Some(body);
        }
    }
}

fn declared_bytes(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok())
}
