//! Reads `scaling`, `restart` and `reschedule` blocks.

use super::fields::Fields;
use super::findings::Findings;
use super::syntax::Block;
use super::{Growth, Reschedule, Restart, RestartMode, Scaling};

/// Reads a `scaling` block.
pub(super) fn scaling(block: &Block, count: Option<u32>, findings: &mut Findings) -> Scaling {
    let mut fields = Fields::new(block, findings);
    let min = fields.count32("min").or(count).unwrap_or(1);
    let max = fields.count32("max");
    if max.is_none() {
        fields.mistake("`scaling` needs `max`");
    }
    let enabled = fields.flag("enabled").unwrap_or(true);
    let policy = fields.map("policy");
    fields.finish(&["type"]);
    Scaling { min, max: max.unwrap_or(u32::MAX), enabled, policy }
}

/// Reads a `restart` block.
pub(super) fn restart(block: &Block, findings: &mut Findings) -> Restart {
    let mut fields = Fields::new(block, findings);
    let mode = match fields.text("mode").as_deref() {
        None | Some("fail") => RestartMode::Fail,
        Some("delay") => RestartMode::Delay,
        Some(other) => {
            fields.mistake(format!("`mode` is `{other}`, not fail or delay"));
            RestartMode::Fail
        }
    };
    let restart = Restart {
        attempts: fields.count32("attempts").unwrap_or(Restart::default().attempts),
        interval: fields.duration("interval").unwrap_or(Restart::default().interval),
        delay: fields.duration("delay").unwrap_or(Restart::default().delay),
        mode,
    };
    fields.finish(&["render_templates"]);
    restart
}

/// Reads a `reschedule` block.
pub(super) fn reschedule(block: &Block, findings: &mut Findings) -> Reschedule {
    let mut fields = Fields::new(block, findings);
    let growth = match fields.text("delay_function").as_deref() {
        Some("constant") => Growth::Constant,
        None | Some("exponential") => Growth::Exponential,
        Some("fibonacci") => Growth::Fibonacci,
        Some(other) => {
            fields.mistake(format!("`delay_function` is `{other}`, not constant, exponential or fibonacci"));
            Growth::Exponential
        }
    };
    let attempts = fields.count32("attempts");
    let unlimited = fields.flag("unlimited").unwrap_or(attempts.is_none());
    let reschedule = Reschedule {
        delay: fields.duration("delay").unwrap_or(Reschedule::default().delay),
        growth,
        max_delay: fields.duration("max_delay").unwrap_or(Reschedule::default().max_delay),
        attempts: if unlimited { None } else { Some(attempts.unwrap_or(0)) },
    };
    fields.finish(&["interval"]);
    reschedule
}
