//! The same service on AWS Lambda: API Gateway (v1 and v2) and function-URL events instead of sockets.
//!
//! Lambda gives a process one invocation at a time, so nothing is batched across invocations; the
//! rows of one request still are.

use std::convert::Infallible;

use http::{Request, Uri};
use lambda_http::request::RequestContext;
use lambda_http::{RequestExt as _, service_fn};

use crate::config::Config;
use crate::function::{Failure, Function};
use crate::server::{ServeError, assemble};

/// The variable that Lambda sets: where invocations are fetched from.
pub(crate) const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

/// Loads `F` and answers invocations until Lambda ends the process.
pub(crate) fn run<F: Function>(config: Config) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (service, loader) = assemble::<F>(config, 1)?;
        // Lambda bills the start by its length and sends nothing before it ends: loading may block.
        let (model, _placement) = loader.first().map_err(ServeError::Load)?;
        service.ready(model);
        let answer = service_fn(|request: lambda_http::Request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.respond(without_stage(request)).await) }
        });
        lambda_http::run(answer).await.map_err(|e| ServeError::Load(Failure::new(e.to_string())))
    })
}

/// Takes the stage of an API Gateway (`/prod`) off the path, so that routes are the same everywhere.
fn without_stage<B>(mut request: Request<B>) -> Request<B> {
    // Version 1 tells the path apart from its stage, version 2 does not.
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.as_deref().map(|stage| format!("/{stage}")),
        _ => None,
    };
    let path = request.raw_http_path();
    let below = stage.and_then(|stage| path.strip_prefix(&stage)).filter(|below| below.starts_with('/'));
    if let Ok(uri) = below.unwrap_or(path).parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}
