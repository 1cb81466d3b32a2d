//! Every setting of the gateway: its key, what holds unless it is set, and what it means.

/// One setting. In the file it is `key`; in the environment `DROVER_GATEWAY_` and the key in capitals,
/// with `_` for each dot, such as `DROVER_GATEWAY_LIMITS_BODY`; on the command line `--set KEY=VALUE`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// What it is called in the file.
    pub key: &'static str,
    /// What holds unless it is set; empty for nothing.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
    /// A variable that the tools of Consul or Nomad read too, which counts unless ours is set.
    pub also: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
}

const fn set(key: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, default, help, also: "", secret: false }
}

impl Setting {
    const fn also(self, also: &'static str) -> Self {
        Self { also, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Returns the name of its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        super::layers::ENV_PREFIX.to_owned() + &self.key.to_uppercase().replace('.', "_")
    }
}

/// Every setting, in the order in which they are shown. `[functions.NAME]` comes besides.
pub const SETTINGS: &[Setting] = &[
    set("listen", "127.0.0.1:8080", "where to listen, one address or several"),
    set("advertise", "", "where other gateways reach this one; else the first of `listen`").also("NOMAD_ADDR_http"),
    set("domain", "localhost", "what follows a function's name in a host name: `penguins.localhost`"),
    set("open", "false", "everybody may use it, also from other machines"),
    set("tls.cert", "", "certificate and chain, PEM; TLS on all of `listen`"),
    set("tls.key", "", "private key of the certificate, PEM"),
    set("access.keys", "", "file of the API keys"),
    set("access.admin_sha256", "", "SHA-256 of the key of the control API").secret(),
    set("access.admin_file", "", "file that holds the SHA-256 of the key of the control API"),
    set("jwt.jwks", "", "file or URL of the public keys that sign tokens"),
    set("jwt.ca", "", "who vouches for that URL, PEM; else those that the machine trusts"),
    set("jwt.issuer", "", "the claim `iss` that is asked for"),
    set("jwt.audience", "", "one of these must be in the claim `aud`"),
    set("jwt.leeway", "60s", "how far clocks may differ"),
    set("jwt.without_functions", "none", "a token without the claim `functions` is for `none` or `all`"),
    set("consul.url", "", "Consul's agent, or `off`; else `http://127.0.0.1:8500` without fixed functions")
        .also("CONSUL_HTTP_ADDR"),
    set("consul.token", "", "token for Consul").secret().also("CONSUL_HTTP_TOKEN"),
    set("consul.ca", "", "who vouches for Consul, PEM").also("CONSUL_CACERT"),
    set("consul.datacenter", "", "Consul's datacenter; else that of the agent"),
    set("nomad.url", "", "Nomad's agent, or `off`; else `http://127.0.0.1:4646` without fixed functions")
        .also("NOMAD_ADDR"),
    set("nomad.token", "", "token for Nomad").secret().also("NOMAD_TOKEN"),
    set("nomad.ca", "", "who vouches for Nomad, PEM").also("NOMAD_CACERT"),
    set("nomad.namespace", "", "Nomad's namespace; else `default`").also("NOMAD_NAMESPACE"),
    set("limits.body", "10MiB", "largest body of a request"),
    set("limits.header_timeout", "10s", "longest time for a request's head"),
    set("limits.idle_timeout", "10m", "longest silence of a client's connection"),
    set(
        "limits.answer_timeout",
        "60s",
        "longest time until an answer begins, queue and cold start included, and between two parts of it",
    ),
    set("limits.cold_start_timeout", "30s", "longest wait for the first instance of a function"),
    set("limits.connect_timeout", "1s", "longest time for a connection to an instance"),
    set("limits.connections", "20000", "client connections at once"),
    set("limits.drain_timeout", "20s", "longest time to finish what runs when the gateway stops"),
    set("limits.hung_after", "1s", "an instance that answers nothing for so long is asked whether it lives"),
    set("limits.slots", "64", "slots of an instance whose service does not say"),
    set("queue.max", "10000", "requests of one function that wait for a slot"),
    set("queue.bytes", "64MiB", "bytes that the bodies of those requests hold"),
    set("retry.max", "1", "how often a pure function's request is sent again"),
    set("retry.budget", "0.2", "retries as a share of a function's requests"),
    set("retry.body", "64KiB", "largest body that is kept for a retry"),
    set("retry.hedge", "false", "send a pure function's request to a second instance after the p95"),
    set("scale.interval", "1s", "how often the number of instances is decided"),
    set("scale.hold_for", "5m", "how long a person's count is left alone"),
    set("feedback.url", "", "the feedback service, such as `http://127.0.0.1:8090`; else where the catalog shows it"),
    set("feedback.service", "feedback", "what the feedback service is called in the catalog"),
    set("feedback.key", "", "key that the feedback service asks for").secret(),
    set("feedback.keep_for", "1h", "how long an answer waits for a user's verdict"),
    set("feedback.keep", "32MiB", "bytes of the answers and inputs that wait"),
    set("load.url", "", "a `loadgen --web` for the console's load tests, such as `http://127.0.0.1:8089`"),
    set("prometheus.url", "", "the Prometheus of the console's dashboards, such as `http://127.0.0.1:9090`"),
];

/// What `[functions.NAME]` takes.
pub const OF_A_FUNCTION: [&str; 4] = ["instances", "slots", "pure", "hosts"];

/// Returns the setting that `key` names.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Returns the key that a person most likely meant by `key`.
pub(super) fn nearest(key: &str) -> Option<String> {
    if let Some((function, field)) = of_a_function(key) {
        let near = closest(field, OF_A_FUNCTION.into_iter().map(|f| (f, f)))?;
        return Some(format!("functions.{function}.{near}"));
    }
    let whole = SETTINGS.iter().map(|s| (s.key, s.key));
    // `body` means `limits.body`.
    let ends = SETTINGS.iter().filter_map(|s| Some((s.key.rsplit_once('.')?.1, s.key)));
    closest(key, whole.chain(ends)).map(str::to_owned)
}

/// Returns the function's name and the rest of a key `functions.NAME.REST`.
pub(super) fn of_a_function(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("functions.")?.split_once('.')
}

fn closest<'k>(wanted: &str, keys: impl Iterator<Item = (&'k str, &'k str)>) -> Option<&'k str> {
    let distance = |(called, key)| (strsim::damerau_levenshtein(called, wanted), key);
    let (distance, key) = keys.map(distance).min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(wanted.len() / 3)).then_some(key)
}
