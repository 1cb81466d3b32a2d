//! Passes a request to an instance and its answer back.

use std::time::Duration;

use drover_core::{ErrorKind, FunctionName};
use drover_engine::{Instance, InstanceState};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::body::{Answer, Body};
use crate::error::Error;
use crate::gateway::{Client, Gateway};
use crate::headers::{self, DEADLINE};
use crate::pool::SendError;

impl Gateway {
    /// Sends `request` to the instance with the fewest in flight; to the next one if nothing was sent.
    pub(crate) async fn forward(
        &self,
        function: &FunctionName,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let (mut request, mut refused) = (request, Vec::new());
        let limit = self.time_limit(&request);
        let send = async {
            loop {
                let snapshot = self.snapshot();
                let all = snapshot.instances(function).unwrap_or_default();
                let open: Vec<_> = all.iter().filter(|i| i.state.is_ready() && !refused.contains(&i.id)).collect();
                let Some((instance, flight)) = self.flights.begin(&open) else {
                    return Err(nobody(function, all, refused.len()));
                };
                let Some(address) = instance.address else {
                    refused.push(instance.id.clone());
                    continue;
                };
                match self.pool.send(address, request, self.settings.connect_timeout).await {
                    Ok((response, connection)) => {
                        let mut response = response.map(|body| Answer::new(body, flight, connection).boxed_unsync());
                        headers::remove_hop_by_hop(response.headers_mut());
                        return Ok(response);
                    }
                    Err(SendError::Unsent(unsent, why)) => {
                        tracing::warn!(%function, instance = %instance.id, error = %why, "no connection to an instance");
                        refused.push(instance.id.clone());
                        request = *unsent;
                    }
                    Err(SendError::Broken(e)) => {
                        return Err(broken(function, instance, &e, self.settings.max_body_bytes));
                    }
                }
            }
        };
        match tokio::time::timeout(limit, send).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("`{function}` did not answer within {limit:?}"))),
        }
    }

    fn time_limit(&self, request: &Request<Body>) -> Duration {
        let deadline = request.headers().get(DEADLINE).and_then(|v| v.to_str().ok()?.parse().ok());
        deadline.map_or(self.settings.answer_timeout, |ms| self.settings.answer_timeout.min(Duration::from_millis(ms)))
    }
}

/// Makes the request that an instance gets of the one that the client sent.
///
/// # Errors
/// [`ErrorKind::TooLarge`] if the body says that it is larger than the limit; [`ErrorKind::BadRequest`]
/// if the path cannot be passed on.
pub(crate) fn prepare(
    request: Request<Incoming>,
    function: &FunctionName,
    path: &str,
    client: Client,
    max_body_bytes: usize,
) -> Result<Request<Body>, Error> {
    let (mut parts, body) = request.into_parts();
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if let Some(n) = declared.filter(|n| *n > max_body_bytes as u64) {
        return Err(Error::new(ErrorKind::TooLarge, format!("body is {n} bytes, limit is {max_body_bytes}")));
    }
    headers::remove_hop_by_hop(&mut parts.headers);
    headers::add_forwarded(&mut parts.headers, &parts.uri, client.address.ip(), function.as_str());
    // The gateway's own server has answered it already.
    parts.headers.remove(header::EXPECT);
    let query = parts.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let target: PathAndQuery = format!("{path}{query}")
        .parse()
        .map_err(|e| Error::new(ErrorKind::BadRequest, "the path cannot be passed on").with_cause(e))?;
    parts.uri = Uri::from(target);
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, Limited::new(body, max_body_bytes).boxed_unsync()))
}

fn nobody(function: &FunctionName, all: &[std::sync::Arc<Instance>], n_refused: usize) -> Error {
    if n_refused > 0 {
        let detail = format!("none of the {n_refused} instances of `{function}` takes connections");
        return Error::new(ErrorKind::UpstreamFailed, detail);
    }
    let failed =
        all.iter().find(|i| i.state == InstanceState::Failed).or_else(|| all.iter().find(|i| i.reason.is_some()));
    let detail = match (failed.and_then(|i| i.reason.as_ref()), all.len()) {
        (_, 0) => format!("no instance of `{function}` runs"),
        (None, n) => format!("none of the {n} instances of `{function}` is ready yet"),
        (Some(why), n) => format!("none of the {n} instances of `{function}` is ready: {why}"),
    };
    Error::new(ErrorKind::NotReady, detail)
}

fn broken(function: &FunctionName, instance: &Instance, e: &hyper::Error, max_body_bytes: usize) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(e);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return Error::new(ErrorKind::TooLarge, format!("body is larger than the limit of {max_body_bytes} bytes"));
        }
        cause = error.source();
    }
    let detail = format!("instance {} of `{function}` broke the connection before it answered", instance.index);
    Error::new(ErrorKind::UpstreamFailed, detail).with_cause(e)
}
