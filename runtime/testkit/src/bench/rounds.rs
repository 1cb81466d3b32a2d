//! Several servers, or several requests, under the same load in turns.

use serde::Serialize;

use super::machine::{Busy, load_average};
use super::server::Server;
use super::wrk::{self, Shot, Window};
use super::{Plan, Result};

/// One that is compared with others.
pub struct Contender<'a> {
    /// As the report calls it.
    pub name: &'a str,
    /// Whose CPU time is taken.
    pub server: &'a Server,
    /// What is asked.
    pub shot: &'a Shot,
}

/// One window of load on a contender.
pub trait Measured {
    /// Returns how busy the cores were.
    fn busy(&self) -> Busy;
    /// Returns the figure to show while the others are still measured.
    fn shown(&self) -> String;
}

/// What a contender did in its windows.
#[derive(Debug, Serialize)]
pub struct Done<W> {
    name: String,
    windows: Vec<W>,
}

/// What all contenders did.
pub struct Rounds<W> {
    /// In the order in which they were named.
    pub done: Vec<Done<W>>,
    /// The load average before the first window.
    pub load_average: f32,
}

/// Has as much load as they take from `connections` clients put on contenders in turns.
pub async fn run(plan: &Plan, connections: usize, contenders: &[Contender<'_>]) -> Result<Rounds<Window>> {
    turns(plan, contenders.iter().map(|contender| (contender.name, contender)), async |contender| {
        wrk::load(contender.server, contender.shot, connections, plan.warm_up).await?;
        wrk::load(contender.server, contender.shot, connections, plan.window).await
    })
    .await
}

/// Gives each contender its window, one after the other, again and again.
pub async fn turns<'a, C: Copy, W: Measured>(
    plan: &Plan,
    contenders: impl Iterator<Item = (&'a str, C)> + Clone,
    window: impl AsyncFn(C) -> Result<W>,
) -> Result<Rounds<W>> {
    let load_average = load_average();
    let mut done: Vec<Done<W>> =
        contenders.clone().map(|(name, _)| Done { name: name.to_owned(), windows: Vec::new() }).collect();
    for _ in 0..plan.n_rounds {
        for ((name, contender), done) in contenders.clone().zip(&mut done) {
            let window = window(contender).await.map_err(|why| format!("{name}: {why}"))?;
            println!("  {name:<28} {}", window.shown());
            done.windows.push(window);
        }
    }
    Ok(Rounds { done, load_average })
}

impl<W: Measured> Rounds<W> {
    /// Returns what each of `N` contenders did.
    pub fn each<const N: usize>(&self) -> Result<&[Done<W>; N]> {
        Ok(self.done.as_slice().try_into()?)
    }

    /// Returns how busy others kept the machine in the worst window, in parts of one core.
    #[must_use]
    pub fn others(&self) -> f64 {
        self.done.iter().flat_map(|done| &done.windows).map(|window| window.busy().others).fold(0.0, f64::max)
    }
}

impl<W> Done<W> {
    /// Returns the name of the contender.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the median of a figure over the windows.
    pub fn median(&self, figure: impl Fn(&W) -> f64) -> f64 {
        median(self.windows.iter().map(figure))
    }
}

impl Done<Window> {
    /// Returns the median of the answers a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.median(|window| window.per_second)
    }

    /// Returns the median of the server's CPU time for an answer, in microseconds.
    #[must_use]
    pub fn cpu_us(&self) -> f64 {
        self.median(|window| window.cpu_us)
    }

    /// Returns the median of the middle times, in milliseconds.
    #[must_use]
    pub fn p50_ms(&self) -> f64 {
        self.median(|window| window.p50_ms)
    }
}

/// Returns the middle of `values`; NaN if there are none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
