//! Requests a second of penguins, against hyper alone and against Python.

use drover_testkit::bench::machine::SERVER_CORE;
use drover_testkit::bench::report::{Report, Row, Target, per_second};
use drover_testkit::bench::rounds::{self, Contender, Done, Rounds};
use drover_testkit::bench::server::Server;
use drover_testkit::bench::wrk::{Shot, Window};
use drover_testkit::bench::{Plan, Result};

use crate::prepare::Prepared;
use crate::server;

/// Clients at once.
pub(crate) const CONNECTIONS: usize = 64;

/// Against hyper alone; and inference on the server's threads against inference on its own.
pub(crate) async fn against_bare(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    let penguins = prepared.function("penguins")?;
    let bare = Server::bare(SERVER_CORE).await?;
    let default = server::function(penguins, &[]).await?;
    let inline = server::function(penguins, &[("DROVER_INFERENCE", "inline")]).await?;
    let threads = server::function(penguins, &[("DROVER_INFERENCE", "threads")]).await?;
    let (get, post) = (Shot::get("/")?, Shot::predict(&penguins.row)?);
    let contenders = [
        Contender { name: "penguins", server: &default, shot: &post },
        Contender { name: "bare hyper, GET", server: &bare, shot: &get },
        Contender { name: "bare hyper, same POST", server: &bare, shot: &post },
        Contender { name: "penguins, inline", server: &inline, shot: &post },
        Contender { name: "penguins, threads", server: &threads, shot: &post },
    ];
    let rounds = rounds::run(plan, CONNECTIONS, &contenders).await?;
    report.raw("throughput", &rounds.done)?;
    let [default, get, post, inline, threads] = rounds.each()?;
    let mut add = |what: &str, a: &Done<Window>, b: &Done<Window>, target| {
        report.add(row(&rounds, "throughput", what, a, b, target));
    };
    add("penguins : bare hyper", default, get, Target::AtLeast(0.45));
    add("penguins : bare hyper that reads the same POST", default, post, Target::None);
    add("penguins: inference inline : on threads", inline, threads, Target::None);
    add("penguins: default placement : inline", default, inline, Target::None);
    Ok(())
}

/// Against FastAPI, with the same model in scikit-learn and in ONNX Runtime.
pub(crate) async fn against_python(prepared: &Prepared, plan: &Plan, report: &mut Report) -> Result<()> {
    let penguins = prepared.function("penguins")?;
    let python = prepared.python.as_deref().ok_or("there is no virtual environment")?;
    let ours = server::function(penguins, &[]).await?;
    let sklearn = server::python(python, "sklearn", &penguins.row).await?;
    let onnx = server::python(python, "onnx", &penguins.row).await?;
    let shot = Shot::predict(&penguins.row)?;
    let contenders = [
        Contender { name: "penguins", server: &ours, shot: &shot },
        Contender { name: "FastAPI + scikit-learn", server: &sklearn, shot: &shot },
        Contender { name: "FastAPI + onnxruntime", server: &onnx, shot: &shot },
    ];
    let rounds = rounds::run(plan, CONNECTIONS, &contenders).await?;
    report.raw("python", &rounds.done)?;
    let [ours, sklearn, onnx] = rounds.each()?;
    let mut add =
        |what: &str, peer: &Done<Window>, target| report.add(row(&rounds, "python", what, ours, peer, target));
    add("penguins : FastAPI + scikit-learn", sklearn, Target::AtLeast(250.0));
    add("penguins : FastAPI + onnxruntime", onnx, Target::AtLeast(10.0));
    Ok(())
}

fn row(
    rounds: &Rounds<Window>,
    measure: &'static str,
    what: &str,
    a: &Done<Window>,
    b: &Done<Window>,
    target: Target,
) -> Row {
    Row {
        measure,
        what: what.to_owned(),
        value: a.per_second() / b.per_second(),
        unit: "x",
        target,
        absolute: format!(
            "{} : {}, CPU {:.1} : {:.1} us each, p50 {:.2} : {:.2} ms",
            per_second(a.per_second()),
            per_second(b.per_second()),
            a.cpu_us(),
            b.cpu_us(),
            a.p50_ms(),
            b.p50_ms()
        ),
        load_average: rounds.load_average,
        others: Some(rounds.others()),
    }
}
