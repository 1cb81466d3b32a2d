//! What is sent, to whom, and how.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use drover_engine::cluster::{Endpoint, Secret, Servers};
use http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};
use loadgen::body::Order;
use loadgen::drive::{Pem, Protocol, Settings, Tls};
use loadgen::files::Files;
use loadgen::guard::Reach;
use loadgen::scenario::{RowsOf, Scenario, Single};
use loadgen::target::{Target, TargetSpec, Via};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What is sent, to whom, and how.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Requests")]
pub(crate) struct RequestArgs {
    /// A scenario: tasks, steps, checks; see docs/loadgen-scenario.md.
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with_all = ["method", "data", "rows_from"])]
    pub(crate) scenario: Option<PathBuf>,
    /// Only tasks with one of these tags.
    #[arg(short = 'T', long, value_name = "TAG", num_args = 1.., value_delimiter = ',')]
    pub(crate) tags: Vec<String>,
    /// No tasks with one of these tags.
    #[arg(short = 'E', long, value_name = "TAG", num_args = 1.., value_delimiter = ',')]
    pub(crate) exclude_tags: Vec<String>,
    /// GET without a body and POST with one by default.
    #[arg(short = 'm', long)]
    #[serde(with = "method")]
    method: Option<Method>,
    /// A body; `{{row.NAME}}` in it is a field of --rows-from. Default: drawn from a function's own schema.
    #[arg(short, long, value_name = "BODY")]
    data: Option<String>,
    /// A file of rows, CSV or JSONL, each of which is a body.
    #[arg(long, value_name = "FILE")]
    rows_from: Option<PathBuf>,
    /// In which order rows are sent.
    #[arg(long, value_enum, default_value_t = RowOrder::Sequential)]
    order: RowOrder,
    /// Rows in each body, as an array.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// The share of bodies that are wrong on purpose, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    invalid: f64,
    /// A header of every request, `Name: value`.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The key that the gateway asks for.
    #[arg(long, env = "DROVER_KEY", hide_env_values = true)]
    key: Option<String>,
    /// The gateway's URL. Default: http://127.0.0.1:8080.
    #[arg(long, env = "DROVER_GATEWAY", value_name = "URL")]
    gateway: Option<String>,
    /// Asks a function's instances themselves, which the gateway lists, or Consul and Nomad if they are given.
    #[arg(long)]
    direct: bool,
    /// Consul, for --direct. Its token is read from CONSUL_HTTP_TOKEN.
    #[arg(long, env = "CONSUL_HTTP_ADDR", value_name = "URL")]
    consul: Option<String>,
    /// Nomad, for --direct. Its token is read from NOMAD_TOKEN.
    #[arg(long, env = "NOMAD_ADDR", value_name = "URL")]
    nomad: Option<String>,
    #[arg(long, env = "CONSUL_HTTP_TOKEN", hide = true, hide_env_values = true)]
    consul_token: Option<String>,
    #[arg(long, env = "NOMAD_TOKEN", hide = true, hide_env_values = true)]
    nomad_token: Option<String>,
    #[arg(long, env = "NOMAD_NAMESPACE", hide = true, default_value = "default")]
    nomad_namespace: String,
    /// HTTP/2 from the first byte on.
    #[arg(long)]
    http2: bool,
    /// A connection for each request.
    #[arg(long)]
    no_keep_alive: bool,
    /// The certificates, PEM, of those who may have signed the target's; the system's by default.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Takes any certificate.
    #[arg(long)]
    insecure: bool,
    /// Threads. Default: as many as cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Loads what is neither on this machine, nor in a private network, nor a function of this cluster.
    #[arg(long)]
    // Each machine is told by its own owner.
    #[serde(skip)]
    i_own_this_target: bool,
}

/// As [`Order`].
#[derive(Debug, Clone, Copy, clap::ValueEnum, Serialize, Deserialize)]
enum RowOrder {
    /// One after the other.
    Sequential,
    /// Mixed once.
    Shuffled,
    /// Any at any time.
    Sampled,
}

/// Whether a target's name is a URL, not a function's.
fn is_url(target: &str) -> bool {
    target.contains(['/', ':', '.'])
}

/// A share of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("`{text}` is not a share from 0 to 1"))
}

impl RequestArgs {
    /// Reads the certificates of those who may have signed the target's.
    pub(crate) fn ca(&self, files: &Files) -> Result<Option<Pem>> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let name = file.display().to_string();
        let text = files.read(file).with_context(|| name.clone())?;
        Ok(Some(Pem { file: name, text }))
    }

    /// Returns a digest of all that changes what is sent, for a store that must not hold what may be secret in it.
    pub(crate) fn digest(&self) -> String {
        let scenario = self.scenario.as_ref().map(|file| (file, std::fs::read_to_string(file).unwrap_or_default()));
        let (order, batch, invalid) = (self.order, self.batch, self.invalid);
        let how = (self.direct, self.http2, self.no_keep_alive, &self.headers, &self.tags, &self.exclude_tags);
        let (method, data, rows) = (&self.method, &self.data, &self.rows_from);
        let text = format!("{scenario:?} {method:?} {data:?} {rows:?} {order:?} {batch:?} {invalid} {how:?}");
        Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Says what is to be loaded.
    pub(crate) fn target(&self, target: &str, scenario: Option<&Scenario>, ca: Option<Pem>) -> TargetSpec {
        let draws = scenario.map_or(self.draws(target) || self.rows_from.is_some(), Scenario::reads_schema);
        TargetSpec {
            target: target.to_owned(),
            gateway: self.gateway.clone(),
            via: self.via(),
            key: self.key.clone(),
            ca,
            insecure: self.insecure,
            reach: if self.i_own_this_target { Reach::Anywhere } else { Reach::Cluster },
            reads_schema: draws,
        }
    }

    fn via(&self) -> Via {
        let endpoint = |address: &Option<String>, token: &Option<String>| {
            let address = address.as_ref().filter(|address| !address.is_empty())?;
            // As Consul's and Nomad's own commands have it.
            let url = if address.contains("://") { address.clone() } else { format!("http://{address}") };
            Some(Endpoint { token: token.clone().map(Secret::from), ..Endpoint::new(&url) })
        };
        let consul = endpoint(&self.consul, &self.consul_token);
        let nomad = endpoint(&self.nomad, &self.nomad_token);
        match (self.direct, consul.is_some() || nomad.is_some()) {
            (false, _) => Via::Gateway,
            (true, false) => Via::Instances,
            (true, true) => {
                let namespace = self.nomad_namespace.clone();
                Via::Cluster(Box::new(Servers { consul, nomad, datacenter: None, namespace }))
            }
        }
    }

    /// Whether bodies are drawn from the schema: a function's are, unless others are given.
    fn draws(&self, target: &str) -> bool {
        self.data.is_none() && self.rows_from.is_none() && self.method.is_none() && !is_url(target)
    }

    /// Makes the scenario of the one request that the options say.
    pub(crate) fn single(&self, spec: &TargetSpec, target: &Target) -> Scenario {
        let path = if target.path.is_empty() { &target.base_path } else { target.path };
        let order = match self.order {
            RowOrder::Sequential => Order::Sequential,
            RowOrder::Shuffled => Order::Shuffled,
            RowOrder::Sampled => Order::Sampled,
        };
        Scenario::single(Single {
            name: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            method: self.method.clone(),
            path: target.path.to_owned(),
            body: self.data.clone(),
            rows_of: self.rows_from.clone().map(|file| RowsOf { file, order, ..RowsOf::default() }),
            generate: self.draws(&spec.target),
            rows: self.batch.map(usize::from),
            invalid: self.invalid,
            ..Single::default()
        })
    }

    /// Says how requests are sent.
    pub(crate) fn settings(&self, target: &Target, ca: Option<&Pem>) -> Result<Settings> {
        let mut settings =
            Settings { keep_alive: !self.no_keep_alive, headers: self.headers()?, ..Settings::default() };
        settings.threads = self.threads.unwrap_or(settings.threads);
        if settings.threads == 0 {
            bail!("--threads is 0: at least one thread is needed");
        }
        if self.http2 {
            settings.protocol = Protocol::H2;
        }
        if target.tls {
            settings.tls = Some(Tls::new(&target.host, ca, self.insecure, settings.protocol)?);
        }
        Ok(settings)
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("loadgen/", env!("CARGO_PKG_VERSION"))));
        if let Some(key) = &self.key {
            let bearer = format!("Bearer {key}").parse().context("the key cannot be in a header")?;
            headers.insert(AUTHORIZATION, bearer);
        }
        for text in &self.headers {
            let wrong = || format!("`{text}` is not a header such as `Accept: application/json`");
            let (name, value) = text.split_once(':').with_context(wrong)?;
            let name: HeaderName = name.trim().parse().with_context(wrong)?;
            headers.insert(name, value.trim().parse().with_context(wrong)?);
        }
        Ok(headers)
    }
}

/// A method as text.
mod method {
    use http::Method;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(method: &Option<Method>, to: S) -> Result<S::Ok, S::Error> {
        method.as_ref().map(Method::as_str).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Method>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}
