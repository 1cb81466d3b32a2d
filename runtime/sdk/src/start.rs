//! The command line of a function binary.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use drover_core::config::{EXIT_BAD_CONFIG, Env, Source as _};

use crate::config::Config;
use crate::function::{Failure, Function};
use crate::schema::RequestSchema;
use crate::{library, load, log, server, service};

/// What ONNX Runtime and the allocator must find in the environment, unless it says otherwise.
///
/// - ONNX Runtime starts a thread that reports to its makers, and keeps a database of what it has to tell below the
///   home directory: some 2 MB of memory. Its API only stops that again.
/// - What loading a model took goes back to the machine soon, in pages of 4 KiB: half of the memory of covertype. Not at
///   once: what is given back under load is asked for again, at a tenth of the time of a request.
const ENVIRONMENT: [(&str, &str); 3] =
    [("ORT_DISABLE_TELEMETRY", "1"), ("MIMALLOC_PURGE_DELAY", "50"), ("MIMALLOC_ALLOW_THP", "0")];

const HELP: &str = "
Serves one model over HTTP until SIGTERM.

Options:
  --print-config   print the effective settings and exit
  --openapi        print the OpenAPI document and exit
  --fetch-runtime  make sure that ONNX Runtime is here and exit
  --version        print the version of Drover and exit
  --help           print this and exit

Settings (environment):
  DROVER_LISTEN          address (127.0.0.1:8000, or NOMAD_IP_http:NOMAD_PORT_http)
  DROVER_MODEL           model card, or the folder that holds model.toml
  DROVER_SLOTS           invocations inside at once (512)
  DROVER_BATCH_ROWS      rows in one inference (64)
  DROVER_REQUEST_ROWS    rows in one request (4096)
  DROVER_BODY            largest body (1MiB)
  DROVER_DEADLINE        longest time of a request (10s)
  DROVER_HEADER_TIMEOUT  longest time for a request's head (10s)
  DROVER_IDLE_TIMEOUT    longest silence of a connection (10m)
  DROVER_CONNECTIONS     connections open at once (20000)
  DROVER_DRAIN_WAIT      time in service after SIGTERM (0)
  DROVER_DRAIN_TIMEOUT   longest time to finish what runs (10s)
  DROVER_WORKERS         inference workers (the cores that this process may use)
  DROVER_INFERENCE       auto, inline or threads (auto)
  DROVER_CPU             cores that this process may use (from Nomad or the control group)
  DROVER_CACHE_DIR       where ONNX Runtime is kept
  DROVER_LOG             log filter, e.g. debug (info)
  DROVER_LOG_INPUTS      inputs in the log: off, sample or all (off)
  DROVER_GELF            a Graylog that gets the log too, e.g. udp://graylog:12201
  ORT_DYLIB_PATH         an ONNX Runtime of your own
  ORT_DISABLE_TELEMETRY  keeps ONNX Runtime from telling its makers what it does (1)
  MIMALLOC_PURGE_DELAY   how long free memory is kept, ms (50)
  MIMALLOC_ALLOW_THP     whether memory is in large pages, which costs more of it (0)
";

/// Runs the function `F` as a program: reads arguments and settings, serves until SIGTERM.
///
/// Exit codes: 0 after a drain, 1 if it cannot listen or load, 64 for wrong settings or arguments.
#[must_use]
pub fn main<F: Function>() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = match arguments.as_slice() {
        [] => None,
        [one] => Some(one.as_str()),
        _ => return usage(F::NAME, "at most one option is taken"),
    };
    if argument == Some("--help") || argument == Some("-h") {
        println!("Usage: {} [OPTION]\n{HELP}", F::NAME);
        return ExitCode::SUCCESS;
    }
    if argument == Some("--version") {
        println!("{} (drover {})", F::NAME, env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if argument.is_none() {
        become_set();
    }
    let config = match Config::read(&Env) {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("{}: {wrong}", F::NAME);
            return ExitCode::from(EXIT_BAD_CONFIG);
        }
    };
    log::start(F::NAME, &config);
    let done = match argument {
        None => serve::<F>(config),
        Some("--print-config") => {
            println!("{config:#?}");
            Ok(())
        }
        Some("--openapi") => openapi::<F>(&config).map(|text| println!("{text}")),
        Some("--fetch-runtime") => {
            library::find_or_fetch(&Env).map(|path| println!("{}", path.display())).map_err(Failure::from)
        }
        Some(other) => return usage(F::NAME, &format!("no option `{other}`")),
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    };
    drover_telemetry::flush();
    code
}

/// Becomes this program anew with what of [`ENVIRONMENT`] is not set: a process may not change its own environment
/// once it has threads, as Rust sees it, and its allocator has read it before.
fn become_set() {
    let unset = ENVIRONMENT.iter().filter(|(key, _)| std::env::var_os(key).is_none());
    let unset: Vec<_> = unset.copied().collect();
    if unset.is_empty() {
        return;
    }
    let mut own = std::env::args_os();
    let name = own.next().unwrap_or_else(|| OsString::from("function"));
    if let Ok(program) = std::env::current_exe() {
        // It comes back only if that is not possible, as when the file was deleted meanwhile.
        let _why = Command::new(program).arg0(name).args(own).envs(unset).exec();
    }
}

#[cfg(feature = "lambda")]
fn serve<F: Function>(config: Config) -> Result<(), Failure> {
    match Env.get(crate::lambda::RUNTIME_API) {
        Some(_) => Ok(crate::lambda::run::<F>(config)?),
        None => Ok(server::run::<F>(config, &Env)?),
    }
}

#[cfg(not(feature = "lambda"))]
fn serve<F: Function>(config: Config) -> Result<(), Failure> {
    match Env.get("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => Err(Failure::new("this is AWS Lambda: build the function with the feature `lambda` of `drover`")),
        None => Ok(server::run::<F>(config, &Env)?),
    }
}

fn openapi<F: Function>(config: &Config) -> Result<String, Failure> {
    let schema = RequestSchema::of::<F::Request>()?;
    let model = load::open::<F>(config).ok();
    Ok(serde_json::to_string_pretty(&service::openapi::document::<F>(&schema, model.as_ref(), config))?)
}

fn usage(name: &str, wrong: &str) -> ExitCode {
    eprintln!("{name}: {wrong}, see {name} --help");
    ExitCode::from(EXIT_BAD_CONFIG)
}
