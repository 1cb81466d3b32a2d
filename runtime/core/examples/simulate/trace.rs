//! Load over time: two recorded traces, and one that is made.

use std::error::Error;

/// Requests that arrive in each second.
pub(crate) struct Trace {
    /// Its name in file names and in the table.
    pub(crate) name: &'static str,
    /// Its name in the picture.
    pub(crate) title: &'static str,
    pub(crate) seconds: Vec<u32>,
}

/// One request: when it arrives, and for how long it takes a slot.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at_ms: u64,
    pub(crate) service_ms: u64,
}

impl Trace {
    /// Returns every trace.
    ///
    /// # Errors
    /// A line of a recorded trace that is not a number.
    pub(crate) fn all() -> Result<[Self; 3], Box<dyn Error>> {
        let recorded = |name, title, text| parse(text).map(|seconds| Self { name, title, seconds });
        Ok([
            recorded("code", "code completion at Azure, recorded", include_str!("traces/code.csv"))?,
            recorded("conversation", "conversations at Azure, recorded", include_str!("traces/conversation.csv"))?,
            Self { name: "step", title: "made: slow swell, tenfold step, spikes", seconds: made() },
        ])
    }

    /// Returns the requests in order. Where in its second a request falls, and how long it takes, is drawn by lot.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let mut lots = Lots(7);
        let mut arrivals = Vec::new();
        for (second, &n) in (0..).zip(&self.seconds) {
            let draw = |_| Arrival { at_ms: second * 1000 + lots.below(1000), service_ms: 500 + lots.below(1001) };
            arrivals.extend((0..n).map(draw));
        }
        arrivals.sort_by_key(|arrival| arrival.at_ms);
        arrivals
    }
}

/// Reads one number a line, below comments and a heading.
fn parse(text: &str) -> Result<Vec<u32>, Box<dyn Error>> {
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.parse().map_err(|e| format!("`{line}`: {e}").into())).collect()
}

/// Makes an hour of load that was never recorded anywhere: it holds what the recorded traces lack.
///
/// A swell from 0.5 to 2.5 requests/s and back, ten times as much from minute 20 to 30, and 5 s of 30 requests/s
/// more at minutes 42, 47 and 52; each second is a Poisson draw of that rate.
fn made() -> Vec<u32> {
    let mut lots = Lots(2026);
    let rate = |second: u32| {
        let swell = 0.5 + 1.0 - (std::f64::consts::TAU * f64::from(second) / 3600.0).cos();
        let step = if (1200..1800).contains(&second) { 10.0 } else { 1.0 };
        let is_spike = [42, 47, 52].iter().any(|minute| (minute * 60..minute * 60 + 5).contains(&second));
        swell * step + if is_spike { 30.0 } else { 0.0 }
    };
    (0..3600).map(|second| lots.poisson(rate(second))).collect()
}

/// Numbers by lot, the same in each run: `SplitMix64`.
struct Lots(u64);

impl Lots {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Counts how many exponential gaps fit into one unit of time.
    fn poisson(&mut self, rate: f64) -> u32 {
        let mut left = (-rate).exp();
        let mut n = 0;
        let mut product = 1.0;
        loop {
            product *= (self.below(1 << 32) as f64 + 0.5) / f64::from(u32::MAX);
            if product <= left {
                return n;
            }
            n += 1;
            // Keeps far from the smallest number there is.
            if product < 1e-100 {
                product *= 1e100;
                left *= 1e100;
            }
        }
    }
}
