//! Shows the settings that hold, as a file that could be read again.

use drover_core::config::Source as _;

use super::{ENV_PREFIX, GatewayConfig, Layers, SETTINGS, known};

/// What stands for a secret.
const REDACTED: &str = "<redacted>";

impl GatewayConfig {
    /// Returns the settings that hold, one a line, with where each comes from; `layers` is what they were
    /// read from. Secrets are left out.
    #[must_use]
    pub fn print(&self, layers: &Layers) -> String {
        let computed = |key: &str| match key {
            "advertise" => self.advertise.map(|address| address.to_string()),
            "consul.url" => Some(self.cluster.consul.as_ref().map_or_else(|| "off".into(), |e| e.url.clone())),
            "nomad.url" => Some(self.cluster.nomad.as_ref().map_or_else(|| "off".into(), |e| e.url.clone())),
            // Without public keys they mean nothing.
            _ if key.starts_with("jwt.") && self.access.jwt.is_none() => None,
            _ => layers.get(key),
        };
        let mut text = format!("# The environment sets KEY as {ENV_PREFIX}KEY, flags as --set KEY=VALUE.\n");
        let of_functions = layers.keys("functions.");
        for key in SETTINGS.iter().map(|s| s.key).chain(of_functions.iter().map(String::as_str)) {
            let is_secret = known::find(key).is_some_and(|setting| setting.secret);
            let place = layers.place(key).unwrap_or("default");
            text += &match computed(key) {
                Some(_) if is_secret => format!("{key} = \"{REDACTED}\" # {place}\n"),
                // A string of JSON is a string of TOML.
                Some(value) => format!("{key} = {} # {place}\n", serde_json::Value::from(value)),
                None => format!("# {key} is not set\n"),
            };
        }
        text
    }
}
