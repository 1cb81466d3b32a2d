//! The flags of `drover gateway`.

use std::path::PathBuf;

use clap::Args;
use drover_gateway::config::Layers;

/// How the gateway of a cluster runs.
///
/// Settings come from the file, then the environment, then flags; the later wins.
#[derive(Debug, Args)]
#[command(after_help = "Each setting of the file is a variable too: limits.body is DROVER_GATEWAY_LIMITS_BODY.

Examples:
  drover gateway
  drover gateway --config gateway.toml --print-config
  drover gateway --listen 0.0.0.0:8080 --keys keys.toml --set limits.body=20MiB")]
pub(crate) struct GatewayArgs {
    /// The file of its settings, TOML.
    #[arg(short, long, env = "DROVER_GATEWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; may be given several times.
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// Let everybody use it, also from other machines.
    #[arg(long)]
    open: bool,
    /// The file of the API keys.
    #[arg(long, value_name = "FILE")]
    keys: Option<String>,
    /// Certificate and chain, PEM.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Consul's agent, or `off`.
    #[arg(long, value_name = "URL")]
    consul: Option<String>,
    /// Nomad's agent, or `off`.
    #[arg(long, value_name = "URL")]
    nomad: Option<String>,
    /// Where other gateways reach this one.
    #[arg(long, value_name = "ADDRESS")]
    advertise: Option<String>,
    /// What follows a function's name in a host name.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Set any setting, by its key in the file; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the settings that hold and where each comes from, and exit.
    #[arg(long)]
    pub(crate) print_config: bool,
}

impl GatewayArgs {
    /// Returns what file, environment and flags say.
    pub(crate) fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        if let Some(file) = &self.config {
            layers.file(file);
        }
        layers.environment(&drover_core::config::Env);
        for pair in &self.set {
            layers.set_flag(pair);
        }
        if !self.listen.is_empty() {
            layers.flag("listen", "--listen", self.listen.join(","));
        }
        if self.open {
            layers.flag("open", "--open", "true");
        }
        for (key, flag, value) in [
            ("access.keys", "--keys", &self.keys),
            ("tls.cert", "--tls-cert", &self.tls_cert),
            ("tls.key", "--tls-key", &self.tls_key),
            ("consul.url", "--consul", &self.consul),
            ("nomad.url", "--nomad", &self.nomad),
            ("advertise", "--advertise", &self.advertise),
            ("domain", "--domain", &self.domain),
        ] {
            if let Some(value) = value {
                layers.flag(key, flag, value);
            }
        }
        layers
    }
}
