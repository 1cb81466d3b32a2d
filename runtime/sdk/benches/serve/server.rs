//! The servers that are measured.

use std::path::Path;

use drover_testkit::bench::Result;
use drover_testkit::bench::machine::SERVER_CORE;
use drover_testkit::bench::server::{Server, on_core};
use drover_testkit::bench::wire::predict;

use crate::prepare::Function;

/// What `jobs/predict.nomad` sets: memory which loading took goes back, and ONNX Runtime reports to nobody.
pub(crate) const JOB: [(&str, &str); 3] =
    [("MIMALLOC_PURGE_DELAY", "50"), ("MIMALLOC_ALLOW_THP", "0"), ("ORT_DISABLE_TELEMETRY", "1")];

/// Starts a function, pinned and limited to one core, and waits until it answers a row.
pub(crate) async fn function(function: &Function, settings: &[(&str, &str)]) -> Result<Server> {
    let mut command = on_core(SERVER_CORE, &function.binary);
    command.env("DROVER_CPU", "1").env("DROVER_MODEL", &function.model).envs(JOB).envs(settings.iter().copied());
    let server = Server::start(command).await?;
    server.ready(&predict(&function.row)).await?;
    Ok(server)
}

/// Starts the server of another world: `mode` of `peers.py`.
pub(crate) async fn python(python: &Path, mode: &str, row: &str) -> Result<Server> {
    let mut command = on_core(SERVER_CORE, python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/serve/peers.py")).arg(mode);
    command.env("OMP_NUM_THREADS", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    let server = Server::start(command).await?;
    server.ready(&predict(row)).await?;
    Ok(server)
}
