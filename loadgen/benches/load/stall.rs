//! A server that answers nothing for a second in every five: what is said of its latency.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_testkit::bench::report::{Report, Row, Target};
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::{Result, machine};
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::generator::{Kind, load};

const PERIOD: Duration = Duration::from_secs(5);
/// How long it answers of each period.
const OPEN: Duration = Duration::from_secs(4);
/// What is true of requests at equal distances: of those that wait, 1 of 5, half wait more than half a second.
const TRUTH_MS: [(&str, f64); 2] = [("p95", 750.0), ("p99", 950.0)];

pub(crate) async fn measure(report: &mut Report) -> Result<()> {
    for (name, kind) in [("1,000/s", Kind::Rate(1_000)), ("1,000 users with pauses", Kind::Paced(1_000))] {
        let load_average = machine::load_average();
        let mut command = on_core(machine::SERVER_CORE, std::env::current_exe()?);
        command.arg("--stalling");
        let server = Server::start(command).await?;
        // Whole periods: users that are added in the first second are no part of them.
        let window =
            load(&server, kind, 4 * PERIOD - Duration::from_secs(u64::from(matches!(kind, Kind::Rate(_))))).await?;
        report.raw(name, &window)?;
        for ((what, truth), said) in TRUTH_MS.into_iter().zip([window.said.p95_ms, window.said.p99_ms]) {
            report.add(Row {
                measure: "stall",
                what: format!("{name}: {what} off the truth by"),
                value: 100.0 * (said / truth - 1.0).abs(),
                unit: "%",
                target: Target::AtMost(2.0),
                absolute: format!(
                    "{said:.1} : {truth:.1} ms, {} late, {} failures",
                    window.said.late, window.said.failures
                ),
                load_average,
                others: Some(window.busy.others),
            });
        }
    }
    Ok(())
}

/// Is the server.
pub(crate) fn serve() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        eprintln!("{}", serde_json::json!({"message": "listening", "address": listener.local_addr()?}));
        let began = Instant::now();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = service_fn(move |_request| async move {
                let at =
                    Duration::from_nanos(u64::try_from(began.elapsed().as_nanos() % PERIOD.as_nanos()).unwrap_or(0));
                if at >= OPEN {
                    tokio::time::sleep(PERIOD - at).await;
                }
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    })
}
