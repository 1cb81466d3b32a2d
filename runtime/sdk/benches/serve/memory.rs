//! Resident memory under load.

use drover_testkit::bench::machine::{load_average, resident, resident_max};
use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::wrk::{self, Shot};
use drover_testkit::bench::{Plan, Result};

use crate::prepare::Prepared;
use crate::server;
use crate::throughput::CONNECTIONS;

/// What a function may take beside its model, in bytes; penguins has room for its model in it.
const ROOM: f64 = 45e6;

/// What each function has resident at the end of a load, and the most it had, which is while it loads.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    for function in &prepared.functions {
        let load_average = load_average();
        let server = server::function(function, &[]).await?;
        let shot = Shot::predict(&function.row)?;
        let window = wrk::load(&server, &shot, CONNECTIONS, plan.warm_up + plan.window).await?;
        let (bytes, most) = (resident(server.id)?, resident_max(server.id)?);
        println!("  {:<28} {:>9} bytes", function.name, bytes);
        report.raw(&format!("memory_{}", function.name), &[bytes, most])?;
        let model = if function.name == "penguins" { 0.0 } else { function.model_bytes as f64 };
        report.add(Row {
            measure: "memory",
            what: format!("{}: resident under {CONNECTIONS} connections", function.name),
            value: bytes as f64 / 1e6,
            unit: " MB",
            target: Target::AtMost((ROOM + model) / 1e6),
            absolute: format!(
                "model {:.1} MB, at most {:.1} MB while it loaded, under {}",
                function.model_bytes as f64 / 1e6,
                most as f64 / 1e6,
                per_second(window.per_second)
            ),
            load_average,
            others: Some(window.busy.others),
        });
    }
    Ok(())
}
