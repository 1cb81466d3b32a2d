//! Reads `service` blocks and their checks.

use std::time::Duration;

use super::fields::Fields;
use super::findings::Findings;
use super::syntax::Block;
use super::{Check, CheckKind, CheckRestart, Service};

pub(super) fn service(block: &Block, findings: &mut Findings) -> Service {
    let mut fields = Fields::new(block, findings);
    let checks = fields.blocks("check").into_iter().filter_map(|b| check(b, fields.findings())).collect();
    let service = Service {
        name: fields.text("name").unwrap_or_else(|| "${NOMAD_JOB_NAME}".into()),
        port: fields.text("port").unwrap_or_default(),
        tags: fields.texts("tags"),
        meta: fields.map("meta"),
        checks,
    };
    fields.finish(&[
        "address_mode",
        "canary_meta",
        "canary_tags",
        "cluster",
        "enable_tag_override",
        "identity",
        "on_update",
        "provider",
        "tagged_addresses",
        "task",
        "weights",
    ]);
    service
}

fn check(block: &Block, findings: &mut Findings) -> Option<Check> {
    let mut fields = Fields::new(block, findings);
    let path = fields.text("path");
    let method = fields.text("method").unwrap_or_else(|| "GET".into());
    let kind = match fields.text("type").as_deref() {
        Some("http") => Some(CheckKind::Http { method, path: path.clone().unwrap_or_else(|| "/".into()) }),
        Some("tcp") => Some(CheckKind::Tcp),
        other => {
            fields.mistake(format!("a check of type `{}` is not run here, only http and tcp", other.unwrap_or("")));
            None
        }
    };
    if let Some(protocol) = fields.text("protocol").filter(|p| p != "http") {
        fields.mistake(format!("a check by `{protocol}` is not run here, only http"));
    }
    let restart = fields.one("check_restart").map(|b| check_restart(b, fields.findings()));
    let check = Check {
        name: fields.text("name").unwrap_or_else(|| path.unwrap_or_else(|| "tcp".into())),
        kind: kind?,
        port: fields.text("port"),
        interval: fields.duration("interval").unwrap_or(Duration::from_secs(10)).max(Duration::from_millis(10)),
        timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(2)),
        passes_needed: fields.count32("success_before_passing").unwrap_or(1).max(1),
        failures_needed: fields.count32("failures_before_critical").unwrap_or(1).max(1),
        restart: restart.flatten(),
    };
    fields.finish(&[
        "address_mode",
        "expose",
        "failures_before_warning",
        "initial_status",
        "on_update",
        "tls_skip_verify",
    ]);
    Some(check)
}

fn check_restart(block: &Block, findings: &mut Findings) -> Option<CheckRestart> {
    let mut fields = Fields::new(block, findings);
    let limit = fields.count32("limit").unwrap_or(0);
    let grace = fields.duration("grace").unwrap_or(Duration::from_secs(1));
    fields.finish(&["ignore_warnings"]);
    (limit > 0).then_some(CheckRestart { limit, grace })
}
