//! Several servers, or several requests, under the same load in turns.

use serde::Serialize;

use crate::machine::load_average;
use crate::server::Server;
use crate::wrk::{self, Shot, Window};
use crate::{Plan, Result};

/// One that is compared with others.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) server: &'a Server,
    pub(crate) shot: &'a Shot,
}

/// What a contender did in its windows.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    name: String,
    windows: Vec<Window>,
}

/// What all contenders did.
pub(crate) struct Rounds<const N: usize> {
    pub(crate) done: [Done; N],
    /// The load average before the first window.
    pub(crate) load_average: f32,
}

/// Gives each contender its window, one after the other, again and again.
pub(crate) async fn run<const N: usize>(
    plan: &Plan,
    connections: usize,
    contenders: [Contender<'_>; N],
) -> Result<Rounds<N>> {
    let load_average = load_average();
    let mut done = contenders.each_ref().map(|c| Done { name: c.name.to_owned(), windows: Vec::new() });
    for _ in 0..plan.n_rounds {
        for (contender, done) in contenders.iter().zip(&mut done) {
            wrk::load(contender.server, contender.shot, connections, plan.warm_up).await?;
            let window = wrk::load(contender.server, contender.shot, connections, plan.window).await?;
            println!("  {:<28} {:>9.0}/s", done.name, window.per_second);
            done.windows.push(window);
        }
    }
    Ok(Rounds { done, load_average })
}

impl<const N: usize> Rounds<N> {
    /// Returns how busy others kept the machine in the worst window, in parts of one core.
    pub(crate) fn others(&self) -> f64 {
        self.done.iter().flat_map(|done| &done.windows).map(|window| window.busy.others).fold(0.0, f64::max)
    }
}

impl Done {
    /// Returns the median of the answers a second.
    pub(crate) fn per_second(&self) -> f64 {
        median(self.windows.iter().map(|window| window.per_second))
    }

    /// Returns the median of the server's CPU time for an answer, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        median(self.windows.iter().map(|window| window.cpu_us))
    }

    /// Returns the median of the middle times, in milliseconds.
    pub(crate) fn p50_ms(&self) -> f64 {
        median(self.windows.iter().map(|window| window.p50_ms))
    }
}

/// Returns the middle of `values`; NaN if there are none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
