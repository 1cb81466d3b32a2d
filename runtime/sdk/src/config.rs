//! The settings of an instance, from `DROVER_*` and Nomad's own variables.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use drover_core::config::{BadConfig, Reader, Source};
pub use drover_telemetry::Server;

/// Where inference runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Inline for a model whose full batch takes less than [`crate::batch::INLINE_MAX`], else threads.
    Auto,
    /// As a task on the server's threads.
    Inline,
    /// On threads of its own.
    Threads,
}

/// Of which requests the input is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// Of none.
    Off,
    /// Of one in a hundred.
    Sample,
    /// Of all.
    All,
}

/// The settings of an instance.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. `NOMAD_IP_http`, `NOMAD_PORT_http`, `DROVER_LISTEN`; default 127.0.0.1:8000.
    pub listen: SocketAddr,
    /// The model card, or the folder that holds it. `DROVER_MODEL`; else looked for beside the
    /// binary and in a checkout.
    pub model: Option<PathBuf>,
    /// Invocations inside at once; more are answered 429. `DROVER_SLOTS`, default 512.
    pub slots: usize,
    /// Rows that one inference takes at most. `DROVER_BATCH_ROWS`, default 64.
    pub batch_rows: usize,
    /// Rows that one request may hold. `DROVER_REQUEST_ROWS`, default 4,096.
    pub request_rows: usize,
    /// The largest body, in bytes. `DROVER_BODY`, default 1MiB.
    pub body_bytes: usize,
    /// The longest that a request may take; `X-Deadline-Ms` may shorten it. `DROVER_DEADLINE`, default 10s.
    pub deadline: Duration,
    /// How long a client may take to send a request's head. `DROVER_HEADER_TIMEOUT`, default 10s.
    pub header_timeout: Duration,
    /// How long a connection may stay open with nothing to do. `DROVER_IDLE_TIMEOUT`, default 10m.
    pub idle_timeout: Duration,
    /// Connections open at once; more wait in the kernel's queue. `DROVER_CONNECTIONS`, default 20,000.
    pub connections: usize,
    /// How long to stay in service after SIGTERM, so that the catalog forgets this instance first.
    /// `DROVER_DRAIN_WAIT`, default 0 (Nomad's `shutdown_delay` has waited already).
    pub drain_wait: Duration,
    /// How long to finish what runs, at most. `DROVER_DRAIN_TIMEOUT`, default 10s.
    pub drain_timeout: Duration,
    /// Inference workers. `DROVER_WORKERS`, default: the cores that this process may use.
    pub workers: Option<usize>,
    /// Where inference runs. `DROVER_INFERENCE`: auto, inline or threads; default auto.
    pub placement: Placement,
    /// Where log lines are sent, too. `DROVER_GELF`, such as `udp://graylog:12201`; default, and if it is empty, nowhere.
    pub gelf: Option<Server>,
    /// Whether log lines of predictions hold what was asked. `DROVER_LOG_INPUTS`: off, sample (one request of a
    /// hundred) or all; default off, since it may be personal.
    pub log_inputs: Inputs,
    /// The allocation, when Nomad or the local engine started this process.
    pub instance: Option<String>,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    /// [`BadConfig`] with every wrong or unknown `DROVER_*` variable.
    pub fn read(source: &dyn Source) -> Result<Self, BadConfig> {
        let mut r = Reader::new(source);
        let ip = r.read("NOMAD_IP_http", parse_ip).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = r.number("NOMAD_PORT_http", 8000, 0..=u16::MAX);
        let listen =
            |text: &str| text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:8000"));
        let config = Self {
            listen: r.read("DROVER_LISTEN", listen).unwrap_or(SocketAddr::new(ip, port)),
            model: r.read("DROVER_MODEL", |text| Ok(PathBuf::from(text))),
            slots: r.number("DROVER_SLOTS", 512, 1..=1_000_000),
            batch_rows: r.number("DROVER_BATCH_ROWS", 64, 1..=65_536),
            request_rows: r.number("DROVER_REQUEST_ROWS", 4096, 1..=1_000_000),
            body_bytes: r.bytes("DROVER_BODY", 1 << 20),
            deadline: r.duration("DROVER_DEADLINE", Duration::from_secs(10)),
            header_timeout: r.duration("DROVER_HEADER_TIMEOUT", Duration::from_secs(10)),
            idle_timeout: r.duration("DROVER_IDLE_TIMEOUT", Duration::from_secs(600)),
            connections: r.number("DROVER_CONNECTIONS", 20_000, 1..=1_000_000),
            drain_wait: r.duration("DROVER_DRAIN_WAIT", Duration::ZERO),
            drain_timeout: r.duration("DROVER_DRAIN_TIMEOUT", Duration::from_secs(10)),
            workers: r.read("DROVER_WORKERS", |text| match text.parse() {
                Ok(n @ 1..=256) => Ok(n),
                _ => Err(format!("`{text}` is not a number from 1 to 256")),
            }),
            placement: r.read("DROVER_INFERENCE", parse_placement).unwrap_or(Placement::Auto),
            gelf: r
                .read("DROVER_GELF", |text| if text.is_empty() { Ok(None) } else { text.parse().map(Some) })
                .flatten(),
            log_inputs: r.read("DROVER_LOG_INPUTS", parse_inputs).unwrap_or(Inputs::Off),
            instance: r.read("NOMAD_ALLOC_ID", |text| Ok(text.to_owned())),
        };
        for elsewhere in crate::READ_ELSEWHERE {
            r.read(elsewhere, |_| Ok(()));
        }
        r.finish("DROVER_")?;
        Ok(config)
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

fn parse_placement(text: &str) -> Result<Placement, String> {
    match text {
        "auto" => Ok(Placement::Auto),
        "inline" => Ok(Placement::Inline),
        "threads" => Ok(Placement::Threads),
        _ => Err(format!("`{text}` is not one of auto, inline, threads")),
    }
}

fn parse_inputs(text: &str) -> Result<Inputs, String> {
    match text {
        "off" => Ok(Inputs::Off),
        "sample" => Ok(Inputs::Sample),
        "all" => Ok(Inputs::All),
        _ => Err(format!("`{text}` is not one of off, sample, all")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, BadConfig> {
        let source: BTreeMap<String, String> = vars.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Config::read(&source)
    }

    #[test]
    fn nomads_port_is_honoured_and_loopback_is_the_default() {
        assert_eq!(read(&[]).unwrap().listen, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(read(&[("NOMAD_PORT_http", "21000")]).unwrap().listen, "127.0.0.1:21000".parse().unwrap());
        let both = [("NOMAD_PORT_http", "21000"), ("NOMAD_IP_http", "10.1.2.3")];
        assert_eq!(read(&both).unwrap().listen, "10.1.2.3:21000".parse().unwrap());
    }

    #[test]
    fn an_empty_graylog_is_none() {
        assert_eq!(read(&[("DROVER_GELF", "")]).unwrap().gelf, None);
        assert!(read(&[("DROVER_GELF", "udp://127.0.0.1:12201")]).unwrap().gelf.is_some());
        assert!(read(&[("DROVER_GELF", "graylog")]).is_err());
    }

    #[test]
    fn every_wrong_variable_is_named() {
        let BadConfig(lines) = read(&[
            ("DROVER_SLOTS", "0"),
            ("DROVER_BODY", "5"),
            ("DROVER_DEADLINE", "soon"),
            ("DROVER_INFERENCE", "gpu"),
            ("DROVER_LISTEN", "8000"),
            ("DROVER_SLOT", "3"),
            ("NOMAD_PORT_http", "http"),
        ])
        .unwrap_err();
        assert_eq!(lines.len(), 7, "{lines:#?}");
        assert!(lines.contains(&"DROVER_SLOTS: `0` is not a number from 1 to 1000000".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"DROVER_SLOT: no such setting".to_owned()), "{lines:#?}");
    }
}
