//! When requests are due that do not wait for answers. Pure: no clock, no socket.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::{Arrivals, Stage};

/// A part of a whole: every `of`th request, from the `index`th on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which part, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

/// The moments at which requests of one share are due, from the beginning of the stages. All shares together
/// are the whole, request by request.
#[derive(Debug, Clone)]
pub struct Schedule {
    share: Share,
    kind: Kind,
    /// Requests of the whole up to the next one.
    count: f64,
}

#[derive(Debug, Clone)]
enum Kind {
    Constant(Curve),
    Poisson(Curve, fastrand::Rng),
    Replay(Arc<[Duration]>, usize),
}

/// How many requests are due by when.
#[derive(Debug, Clone)]
struct Curve {
    /// The pieces that are left; the last one may have no end.
    pieces: std::vec::IntoIter<Piece>,
    piece: Piece,
    /// When the piece begins.
    begins: Duration,
    /// Requests that are due before it.
    before: f64,
}

/// A straight line from one rate to another.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: f64,
    to: f64,
    takes: Option<Duration>,
}

impl Default for Share {
    fn default() -> Self {
        Self::ALL
    }
}

impl Share {
    /// All of it.
    pub const ALL: Self = Self { index: 0, of: 1 };

    /// Returns this part's part.
    #[must_use]
    pub fn split(self, index: usize, of: usize) -> Self {
        Self { index: self.index + index * self.of, of: self.of * of }
    }

    /// Returns how many of `n` are this part's.
    #[must_use]
    pub fn count(self, n: usize) -> usize {
        (n + self.of - 1 - self.index) / self.of
    }
}

impl Schedule {
    /// Makes the schedule of a share of requests whose rate begins at `from` a second and follows `stages`.
    #[must_use]
    pub fn new(arrivals: &Arrivals, from: f64, stages: &[Stage], share: Share, seed: u64) -> Self {
        let kind = match arrivals {
            Arrivals::Constant => Kind::Constant(Curve::new(from, stages)),
            Arrivals::Poisson => Kind::Poisson(Curve::new(from, stages), random(seed, share)),
            Arrivals::Replay(moments) => Kind::Replay(Arc::clone(moments), share.index),
        };
        let mut schedule = Self { share, kind, count: share.index as f64 };
        if let Kind::Poisson(_, random) = &mut schedule.kind {
            schedule.count = share.of as f64 * step(random);
        }
        schedule
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match &mut self.kind {
            Kind::Constant(curve) => {
                let due = curve.when(self.count)?;
                self.count += self.share.of as f64;
                Some(due)
            }
            Kind::Poisson(curve, random) => {
                let due = curve.when(self.count)?;
                // Shares that are each Poisson at a part of the rate are Poisson together.
                self.count += self.share.of as f64 * step(random);
                Some(due)
            }
            Kind::Replay(moments, place) => {
                let due = moments.get(*place).copied();
                *place += self.share.of;
                due
            }
        }
    }
}

impl Curve {
    fn new(from: f64, stages: &[Stage]) -> Self {
        let mut pieces = Vec::with_capacity(2 * stages.len());
        let mut level = from;
        for stage in stages {
            pieces.push(Piece { from: level, to: stage.target, takes: Some(stage.ramp) });
            pieces.push(Piece { from: stage.target, to: stage.target, takes: stage.hold });
            level = stage.target;
        }
        let nothing = Piece { from: 0.0, to: 0.0, takes: Some(Duration::ZERO) };
        Self { pieces: pieces.into_iter(), piece: nothing, begins: Duration::ZERO, before: 0.0 }
    }

    /// Returns when so many requests are due; `count` must not fall from call to call.
    fn when(&mut self, count: f64) -> Option<Duration> {
        loop {
            let wanted = count - self.before;
            match self.piece.takes {
                None if self.piece.to > 0.0 => {
                    return Some(self.begins.saturating_add(seconds(wanted / self.piece.to)));
                }
                None => return None,
                Some(takes) => {
                    let inside = f64::midpoint(self.piece.from, self.piece.to) * takes.as_secs_f64();
                    if wanted < inside {
                        return Some(self.begins.saturating_add(self.piece.when(wanted, takes)));
                    }
                    let next = self.pieces.next()?;
                    self.before += inside;
                    self.begins = self.begins.saturating_add(takes);
                    self.piece = next;
                }
            }
        }
    }
}

impl Piece {
    /// Solves `from t + (to - from) t² / (2 takes) = count`, in the form that loses no digits.
    fn when(self, count: f64, takes: Duration) -> Duration {
        let slope = (self.to - self.from) / takes.as_secs_f64();
        let root = 2.0f64.mul_add(slope * count, self.from * self.from).max(0.0).sqrt();
        if count <= 0.0 { Duration::ZERO } else { seconds(2.0 * count / (self.from + root)) }
    }
}

/// A time that is never wrong, however large: what lies behind the end of all runs is never.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Shares must not draw the same: each is to be independent of the others.
fn random(seed: u64, share: Share) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed ^ (share.index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Draws a distance of a Poisson process of rate 1.
fn step(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

#[cfg(test)]
mod tests;
