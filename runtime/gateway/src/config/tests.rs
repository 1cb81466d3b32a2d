use std::collections::BTreeMap;

use drover_core::config::BadConfig;

use super::*;
use crate::access::{Admin, Digest, JwksSource, WithoutFunctions};

/// What a case is read from.
#[derive(Default)]
struct Case<'c> {
    file: &'c str,
    variables: &'c [(&'c str, &'c str)],
    flags: &'c [&'c str],
}

impl Case<'_> {
    fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        layers.text("gateway.toml", self.file);
        let variables: BTreeMap<String, String> =
            self.variables.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        layers.environment(&variables);
        self.flags.iter().for_each(|pair| layers.set_flag(pair));
        layers
    }

    fn read(&self) -> Result<GatewayConfig, BadConfig> {
        GatewayConfig::read(&self.layers())
    }

    fn mistakes(&self) -> Vec<String> {
        self.read().unwrap_err().0
    }
}

fn file(file: &str) -> Case<'_> {
    Case { file, ..Case::default() }
}

#[test]
fn what_the_table_says_holds_unless_set_is_what_holds() {
    let config = file("").read().unwrap();
    assert_eq!(config.settings, Settings::default());
    assert_eq!(config.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert_eq!(config.advertise, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!((config.tls.clone(), config.access.clone()), (None, AccessConfig::default()));
    assert_eq!(config.cluster.consul.as_ref().unwrap().url, "http://127.0.0.1:8500");
    assert_eq!(config.cluster.nomad.as_ref().unwrap().url, "http://127.0.0.1:4646");
    assert!(config.warnings().is_empty());
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let case = Case {
        file: "[limits]\nslots = 1\nconnections = 1\nbody = \"1MiB\"\n",
        variables: &[("DROVER_GATEWAY_LIMITS_SLOTS", "2"), ("DROVER_GATEWAY_LIMITS_CONNECTIONS", "2")],
        flags: &["limits.slots=3"],
    };
    let settings = case.read().unwrap().settings;
    assert_eq!((settings.slots, settings.max_connections, settings.max_body_bytes), (3, 2, 1 << 20));
}

#[test]
fn the_variables_of_consul_and_nomad_are_honoured() {
    let variables = [
        ("CONSUL_HTTP_ADDR", "10.0.0.1:8500"),
        ("CONSUL_HTTP_TOKEN", "consul-token"),
        ("CONSUL_CACERT", "/tls/consul.pem"),
        ("NOMAD_ADDR", "https://10.0.0.1:4646/"),
        ("NOMAD_TOKEN", "nomad-token"),
        ("NOMAD_CACERT", "/tls/nomad.pem"),
        ("NOMAD_NAMESPACE", "ml"),
        ("NOMAD_ADDR_http", "10.0.0.9:8080"),
        ("DROVER_GATEWAY_NOMAD_URL", "http://10.0.0.2:4646"),
        ("DROVER_GATEWAY_CONSUL_DATACENTER", ""),
    ];
    let config = Case { variables: &variables, ..Case::default() }.read().unwrap();
    let consul = config.cluster.consul.clone().unwrap();
    assert_eq!((consul.url.as_str(), consul.token.as_deref()), ("http://10.0.0.1:8500", Some("consul-token")));
    assert_eq!(consul.ca.unwrap().to_str(), Some("/tls/consul.pem"));
    let nomad = config.cluster.nomad.clone().unwrap();
    assert_eq!((nomad.url.as_str(), nomad.token.as_deref()), ("http://10.0.0.2:4646", Some("nomad-token")));
    assert_eq!((config.cluster.namespace.as_deref(), config.cluster.datacenter.as_deref()), (Some("ml"), None));
    assert_eq!(config.advertise, Some("10.0.0.9:8080".parse().unwrap()));
    assert!(!format!("{config:?}").contains("-token"), "a token is shown");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let case = Case {
        file: "listen = \"8080\"\n[limits]\nbody = 10\nslotz = 3\n[tls]\ncert = \"c.pem\"\n[jwt]\nissuer = \"i\"\n\
               [functions.Bad_Name]\ninstances = [\"a:1\", \"b\"]\n[functions.iris]\npure = \"yes\"\nslot = 1\n",
        variables: &[("DROVER_GATEWAY_QUEUE_MAX", "-1"), ("DROVER_GATEWAY_TLS_CRET", "x"), ("NOMAD_ADDR", "unix:///x")],
        flags: &["retry.budget=2", "body=1MiB", "nonsense", "access.admin_sha256=hunter2"],
    };
    let mut mistakes = case.mistakes();
    mistakes.sort();
    let mut wanted = [
        "--set access.admin_sha256: it is not a SHA-256 in 64 hexadecimal digits, as `drover key new` prints it",
        "--set body: no such setting, did you mean `limits.body`?",
        "--set retry.budget: `2` is not a share from 0 to 1, such as 0.2",
        "--set: `nonsense` is not KEY=VALUE",
        "DROVER_GATEWAY_QUEUE_MAX: `-1` is not a number from 0 to 1000000",
        "DROVER_GATEWAY_TLS_CRET: no such setting, did you mean `DROVER_GATEWAY_TLS_CERT`?",
        "NOMAD_ADDR: `unix:///x` is not a URL such as http://127.0.0.1:8500",
        "gateway.toml:10: functions.Bad_Name.instances: `b` is not an instance such as 10.0.0.7:8000 or models.example:8000",
        "gateway.toml:10: functions.Bad_Name.instances: function name `Bad_Name` is not valid: 1 to 63 of a-z, 0-9 and -, beginning with a letter, not ending in -",
        "gateway.toml:12: functions.iris.pure: `yes` is neither true nor false",
        "gateway.toml:12: functions.iris.pure: it needs functions.iris.instances too, such as [\"10.0.0.7:8000\"]",
        "gateway.toml:13: functions.iris.slot: no such setting, did you mean `functions.iris.slots`?",
        "gateway.toml:1: listen: `8080` is not an address such as 127.0.0.1:8080 or [::]:8080",
        "gateway.toml:3: limits.body: `10` has no unit: write 10B or 10MiB",
        "gateway.toml:4: limits.slotz: no such setting, did you mean `limits.slots`?",
        "gateway.toml:6: tls.cert: it needs tls.key too",
        "gateway.toml:8: jwt.issuer: it needs jwt.jwks too",
    ];
    wanted.sort_unstable();
    assert_eq!(mistakes, wanted);
}

#[test]
fn who_listens_for_others_says_who_may() {
    for (text, good) in [
        ("listen = \"0.0.0.0:8080\"", false),
        ("listen = [\"127.0.0.1:8080\", \"10.0.0.7:8080\"]", false),
        ("listen = \"[::]:8080\"", false),
        ("listen = \"[::1]:8080\"", true),
        ("listen = \"127.3.2.1:8080\"", true),
        ("listen = \"[::ffff:127.0.0.1]:8080\"", true),
        ("listen = \"0.0.0.0:8080\"\nopen = true", true),
        ("listen = \"0.0.0.0:8080\"\naccess.keys = \"keys.toml\"", true),
        ("listen = \"0.0.0.0:8080\"\njwt.jwks = \"https://id.example/jwks.json\"", true),
        // The key of the control API is for the control API.
        ("listen = \"0.0.0.0:8080\"\naccess.admin_file = \"admin\"", false),
        ("open = true\naccess.keys = \"keys.toml\"", false),
    ] {
        let read = file(text).read();
        assert_eq!(read.is_ok(), good, "{text}: {read:?}");
    }
    let mistakes = file("listen = \"0.0.0.0:8080\"").mistakes();
    assert!(mistakes[0].starts_with("gateway.toml:1: listen: 0.0.0.0:8080 can be reached"), "{mistakes:?}");
    assert!(mistakes[0].contains("--open"), "{mistakes:?}");
}

#[test]
fn access_tls_and_functions_are_read() {
    let text = format!(
        "listen = \"10.0.0.7:8443\"\n[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"\n[access]\nadmin_sha256 = \"{}\"\n[jwt]\n\
         jwks = \"keys.json\"\naudience = [\"a\", \"b\"]\nleeway = \"5s\"\nwithout_functions = \"all\"\n\
         [functions.iris]\ninstances = [\"10.0.0.8:8000\"]\nslots = 8\npure = true\nhosts = [\"iris.example\"]\n",
        Digest::of(b"admin")
    );
    let config = file(&text).read().unwrap();
    assert_eq!(config.tls, Some(TlsFiles { cert: "c.pem".into(), key: "k.pem".into() }));
    assert_eq!(config.access.admin, Some(Admin::Sha256(Digest::of(b"admin"))));
    let jwt = config.access.jwt.unwrap();
    assert_eq!((jwt.jwks, jwt.audience.len()), (JwksSource::File("keys.json".into()), 2));
    assert_eq!((jwt.leeway.as_secs(), jwt.without_functions), (5, WithoutFunctions::All));
    let iris = &config.functions["iris"];
    assert_eq!((iris.slots, iris.pure, iris.instances.len(), iris.hosts.len()), (Some(8), true, 1, 1));
    // Fixed functions need no cluster.
    assert_eq!((config.cluster.consul, config.cluster.nomad), (None, None));
    let both = file("consul.url = \"10.0.0.1:8500\"\nfunctions.iris.instances = \"10.0.0.8:8000\"").read().unwrap();
    assert!(both.cluster.consul.is_some() && both.cluster.nomad.is_none());
    let neither = file("consul.url = \"off\"\nnomad.url = \"off\"").read().unwrap();
    assert!(neither.cluster.consul.is_none() && neither.cluster.nomad.is_none());
}

#[test]
fn what_is_likely_a_mistake_is_warned_of() {
    let warnings = file("listen = \"0.0.0.0:80\"\njwt.jwks = \"keys.json\"").read().unwrap().warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("unencrypted to 0.0.0.0:80"), "{warnings:?}");
}

#[test]
fn what_is_printed_can_be_read_again_and_tells_no_secret() {
    let case = Case {
        file: "limits.body = \"1MiB\"\n[functions.iris]\ninstances = [\"10.0.0.8:8000\", \"b\\\"ad:1\"]\n",
        ..Case::default()
    };
    assert!(case.read().is_err());
    let case = Case {
        file: "limits.body = \"1MiB\"\n[functions.iris]\ninstances = [\"10.0.0.8:8000\", \"b:1\"]\npure = true\n",
        variables: &[("CONSUL_HTTP_ADDR", "10.0.0.1:8500"), ("CONSUL_HTTP_TOKEN", "s3cret")],
        flags: &["retry.max=3"],
    };
    let config = case.read().unwrap();
    let printed = config.print(&case.layers());
    assert!(printed.contains("limits.body = \"1MiB\" # gateway.toml:1: limits.body\n"), "{printed}");
    assert!(printed.contains("retry.max = \"3\" # --set retry.max\n"), "{printed}");
    assert!(printed.contains("consul.token = \"<redacted>\" # CONSUL_HTTP_TOKEN\n"), "{printed}");
    assert!(printed.contains("queue.max = \"10000\" # default\n"), "{printed}");
    assert!(printed.contains("# tls.cert is not set\n") && !printed.contains("s3cret"), "{printed}");
    let mut again = file(&printed).read().unwrap();
    again.cluster.consul.as_mut().unwrap().token = Some("s3cret".into());
    assert_eq!(again, config);
}

#[test]
fn the_readme_names_every_setting_with_what_holds_unless_it_is_set() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let row = format!("| `{}` | {} | {default} |", setting.key, setting.help).replace("|  |", "| |");
        assert!(readme.contains(&row), "no row\n{row}");
    }
    for field in OF_A_FUNCTION {
        assert!(readme.contains(&format!("`{field}`")), "`{field}` is not named");
    }
}
