//! The yardstick: hyper on one thread, answering `ok` to everything, as the SDK uses hyper.

use std::convert::Infallible;
use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::Result;

/// Serves until the process is ended.
pub(super) async fn serve() -> Result<ExitCode> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // As a function says it.
    eprintln!("{}", serde_json::json!({"message": "listening", "address": listener.local_addr()?}));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service_fn(ok)));
    }
}

/// Reads the body, if there is one, and answers.
async fn ok(request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
}
