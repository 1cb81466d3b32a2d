//! Many rows in one request against one row in each.

use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::rounds::{self, Contender};
use drover_testkit::bench::wrk::Shot;
use drover_testkit::bench::{Plan, Result};

use crate::prepare::{BATCH_ROWS, Prepared};
use crate::server;
use crate::throughput::CONNECTIONS;

/// Rows a second of each function, with many clients and with one.
pub(crate) async fn measure(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    for function in &prepared.functions {
        let server = server::function(function, &[]).await?;
        let (one, many) = (Shot::predict(&function.row)?, Shot::predict(&function.batch)?);
        for (connections, clients, target) in
            [(CONNECTIONS, "64 connections", Target::AtLeast(8.0)), (1, "one connection", Target::None)]
        {
            let contenders = [
                Contender { name: &format!("{}, one row", function.name), server: &server, shot: &one },
                Contender { name: &format!("{}, {BATCH_ROWS} rows", function.name), server: &server, shot: &many },
            ];
            let rounds = rounds::run(plan, connections, &contenders).await?;
            report.raw(&format!("batch_{}_{connections}", function.name), &rounds.done)?;
            let [one, many] = rounds.each()?;
            let (one, many) = (one.per_second(), many.per_second() * BATCH_ROWS as f64);
            report.add(Row {
                measure: "batch",
                what: format!("{}: rows/s of {BATCH_ROWS} in a request : of one, {clients}", function.name),
                value: many / one,
                unit: "x",
                target,
                absolute: format!("{} : {}", per_second(many), per_second(one)),
                load_average: rounds.load_average,
                others: Some(rounds.others()),
            });
        }
    }
    Ok(())
}
