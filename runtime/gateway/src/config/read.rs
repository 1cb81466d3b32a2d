//! Reads a [`GatewayConfig`]; every mistake is reported, all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use drover_core::FunctionName;
use drover_core::config::{BadConfig, Reader, Source as _};
use drover_engine::FixedFunction;

use super::{ClusterConfig, Endpoint, GatewayConfig, Layers, TlsFiles, known, parse};
use crate::access::{AccessConfig, Admin, JwksSource, JwtConfig, WithoutFunctions};
use crate::{FeedbackSettings, Settings};

/// Where the agents of a development machine listen.
const CONSUL: &str = "http://127.0.0.1:8500";
const NOMAD: &str = "http://127.0.0.1:4646";

impl GatewayConfig {
    /// Reads all settings. No file that they name is opened.
    ///
    /// # Errors
    /// [`BadConfig`] with every wrong or unknown setting, where it was set, and what is right.
    pub fn read(layers: &Layers) -> Result<Self, BadConfig> {
        let mut reader = Reader::new(layers);
        let r = &mut reader;
        for line in layers.mistakes() {
            r.mistake(line);
        }
        let listen = r.read("listen", parse::addresses).unwrap_or_default();
        let advertise = r.read("advertise", parse::address);
        let functions = functions(r, layers);
        let config = Self {
            advertise: advertise.or_else(|| listen.first().copied().filter(|a| !a.ip().is_unspecified())),
            tls: tls(r, layers),
            access: access(r, layers),
            cluster: cluster(r, functions.is_empty()),
            settings: settings(r),
            load: r.read("load.url", parse::server),
            functions,
            listen,
        };
        let open = r.read("open", parse::flag).unwrap_or_default();
        exposure(r, &config, open, layers);
        reader.finish("")?;
        Ok(config)
    }
}

/// Refuses what would let everybody in without anybody having said so.
fn exposure(r: &mut Reader<'_>, config: &GatewayConfig, open: bool, layers: &Layers) {
    let asks = config.access.keys.is_some() || config.access.jwt.is_some();
    if open && asks {
        let line = "everybody may use the gateway, so access.keys and jwt.jwks would never be asked for: drop one";
        r.mistake(format!("{}: {line}", layers.name("open")));
    }
    let far: Vec<&SocketAddr> = config.listen.iter().filter(|a| !a.ip().to_canonical().is_loopback()).collect();
    if let (Some(far), false, false) = (far.first(), open, asks) {
        let line = format!(
            "{far} can be reached from other machines, and no keys are set: set access.keys (see `drover key new`) \
             or jwt.jwks, or open = true (--open) if everybody may use every function"
        );
        r.mistake(format!("{}: {line}", layers.name("listen")));
    }
}

fn tls(r: &mut Reader<'_>, layers: &Layers) -> Option<TlsFiles> {
    match (r.read("tls.cert", parse::path), r.read("tls.key", parse::path)) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (cert, _) => {
            let (given, missing) = if cert.is_some() { ("tls.cert", "tls.key") } else { ("tls.key", "tls.cert") };
            r.mistake(format!("{}: it needs {missing} too", layers.name(given)));
            None
        }
    }
}

fn access(r: &mut Reader<'_>, layers: &Layers) -> AccessConfig {
    let keys = r.read("access.keys", parse::path);
    let digest = r.read("access.admin_sha256", |text| text.parse().map_err(|why| format!("it {why}")));
    let file = r.read("access.admin_file", parse::path);
    if digest.is_some() && file.is_some() {
        r.mistake(format!("{}: access.admin_sha256 is set too: drop one", layers.name("access.admin_file")));
    }
    let admin = digest.map(Admin::Sha256).or_else(|| file.map(Admin::File));
    AccessConfig { keys, admin, jwt: jwt(r, layers) }
}

fn jwt(r: &mut Reader<'_>, layers: &Layers) -> Option<JwtConfig> {
    let jwks = r.read("jwt.jwks", |text| match text.split_once("://") {
        None => Ok(JwksSource::File(text.into())),
        Some(("http" | "https", _)) if text.parse::<http::Uri>().is_ok() => Ok(JwksSource::Url(text.into())),
        Some(_) => Err(format!("`{text}` is neither a file nor a URL such as https://id.example/jwks.json")),
    });
    let ca = r.read("jwt.ca", parse::path);
    let issuer = r.read("jwt.issuer", parse::text);
    let audience = r.read("jwt.audience", |text| Ok(parse::list(text).into_iter().map(str::to_owned).collect()));
    let leeway = r.duration("jwt.leeway", std::time::Duration::from_secs(60));
    let without = r.read("jwt.without_functions", |text| match text {
        "none" => Ok(WithoutFunctions::None),
        "all" => Ok(WithoutFunctions::All),
        _ => Err(format!("`{text}` is neither none nor all")),
    });
    let others = layers.keys("jwt.").into_iter().find(|key| key != "jwt.jwks");
    if let (None, None, Some(key)) = (&jwks, layers.place("jwt.jwks"), others) {
        r.mistake(format!("{}: it needs jwt.jwks too", layers.name(&key)));
    }
    Some(JwtConfig {
        jwks: jwks?,
        ca,
        issuer,
        audience: audience.unwrap_or_default(),
        leeway,
        without_functions: without.unwrap_or_default(),
    })
}

fn cluster(r: &mut Reader<'_>, by_default: bool) -> ClusterConfig {
    ClusterConfig {
        consul: endpoint(r, ["consul.url", "consul.token", "consul.ca"], by_default.then_some(CONSUL)),
        nomad: endpoint(r, ["nomad.url", "nomad.token", "nomad.ca"], by_default.then_some(NOMAD)),
        datacenter: r.read("consul.datacenter", parse::text),
        namespace: r.read("nomad.namespace", parse::text),
    }
}

fn endpoint(r: &mut Reader<'_>, [url, token, ca]: [&str; 3], default: Option<&str>) -> Option<Endpoint> {
    let off = |text: &str| if text == "off" { Ok(None) } else { parse::server(text).map(Some) };
    let url = r.read(url, off);
    let (token, ca) = (r.read(token, parse::text), r.read::<PathBuf>(ca, parse::path));
    let url = url.unwrap_or_else(|| default.map(str::to_owned))?;
    Some(Endpoint { url, token, ca })
}

fn settings(r: &mut Reader<'_>) -> Settings {
    let d = Settings::default();
    Settings {
        domain: r.read("domain", parse::host).unwrap_or(d.domain),
        max_body_bytes: r.bytes("limits.body", d.max_body_bytes),
        header_timeout: r.duration("limits.header_timeout", d.header_timeout),
        idle_timeout: r.duration("limits.idle_timeout", d.idle_timeout),
        answer_timeout: r.duration("limits.answer_timeout", d.answer_timeout),
        cold_start_timeout: r.duration("limits.cold_start_timeout", d.cold_start_timeout),
        connect_timeout: r.duration("limits.connect_timeout", d.connect_timeout),
        max_connections: r.number("limits.connections", d.max_connections, 1..=1_000_000),
        drain_timeout: r.duration("limits.drain_timeout", d.drain_timeout),
        queue_max: r.number("queue.max", d.queue_max, 0..=1_000_000),
        queue_max_bytes: r.bytes("queue.bytes", d.queue_max_bytes),
        slots: r.number("limits.slots", d.slots, 1..=1_000_000),
        retries: r.number("retry.max", d.retries, 0..=10),
        retry_budget: r.read("retry.budget", parse::share).unwrap_or(d.retry_budget),
        retry_max_body_bytes: r.bytes("retry.body", d.retry_max_body_bytes),
        hedge: r.read("retry.hedge", parse::flag).unwrap_or(d.hedge),
        hung_after: r.duration("limits.hung_after", d.hung_after),
        scale_interval: r.duration("scale.interval", d.scale_interval),
        hold_for: r.duration("scale.hold_for", d.hold_for),
        feedback: feedback(r),
        prometheus: r.read("prometheus.url", parse::server),
    }
}

fn feedback(r: &mut Reader<'_>) -> FeedbackSettings {
    let d = FeedbackSettings::default();
    FeedbackSettings {
        url: r.read("feedback.url", parse::server),
        service: r.read("feedback.service", parse::text).unwrap_or(d.service),
        key: r.read("feedback.key", parse::text),
        keep_for: r.duration("feedback.keep_for", d.keep_for),
        keep_max_bytes: r.bytes("feedback.keep", d.keep_max_bytes),
    }
}

fn functions(r: &mut Reader<'_>, layers: &Layers) -> BTreeMap<FunctionName, FixedFunction> {
    let keys = layers.keys("functions.");
    let names: BTreeSet<_> = keys.iter().filter_map(|key| known::of_a_function(key)).map(|(name, _)| name).collect();
    let mut found = BTreeMap::new();
    for name in names {
        let key = |field: &str| format!("functions.{name}.{field}");
        let all =
            |text: &str, one: fn(&str) -> Result<String, String>| parse::list(text).into_iter().map(one).collect();
        let function = FixedFunction {
            instances: r.read(&key("instances"), |text| all(text, parse::host_and_port)).unwrap_or_default(),
            slots: r.read(&key("slots"), |text| match text.parse() {
                Ok(n @ 1..=1_000_000) => Ok(n),
                _ => Err(format!("`{text}` is not a number from 1 to 1000000")),
            }),
            pure: r.read(&key("pure"), parse::flag).unwrap_or_default(),
            hosts: r.read(&key("hosts"), |text| all(text, parse::host)).unwrap_or_default(),
        };
        let first = keys.iter().find(|k| known::of_a_function(k).is_some_and(|(n, _)| n == name));
        let place = first.map(|key| layers.name(key)).unwrap_or_default();
        match name.parse::<FunctionName>() {
            Ok(name) => drop(found.insert(name, function)),
            Err(e) => r.mistake(format!("{place}: {e}")),
        }
        if layers.get(&key("instances")).is_none() {
            r.mistake(format!("{place}: it needs {} too, such as [\"10.0.0.7:8000\"]", key("instances")));
        }
    }
    found
}
