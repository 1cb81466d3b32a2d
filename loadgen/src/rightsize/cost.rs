//! What a size costs: by it the least is chosen.

use std::str::FromStr;

use super::Candidate;

/// What a size costs. As text it is prices, `cpu=30,memory=4`, or `cpu` for the default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Cost {
    /// CPU of all instances; where that is equal, their memory.
    #[default]
    CpuThenMemory,
    /// Prices, whatever the money: all instances' CPU and memory together.
    Prices {
        /// Of a core.
        core: f64,
        /// Of a GiB.
        gib: f64,
    },
}

impl Cost {
    /// Returns what `candidate` costs: the second number counts where the first are equal.
    #[must_use]
    pub fn of(self, candidate: &Candidate) -> (f64, f64) {
        let count = f64::from(candidate.count);
        let (cpu, gib) = (count * candidate.cpu_cores, count * candidate.memory_mib as f64 / 1024.0);
        match self {
            Self::CpuThenMemory => (cpu, gib),
            Self::Prices { core, gib: price } => (core * cpu + price * gib, cpu),
        }
    }

    /// Returns whether `a` costs less than `b`. What differs by rounding only is equal.
    #[must_use]
    pub fn is_less(self, a: &Candidate, b: &Candidate) -> bool {
        let (a, b) = (self.of(a), self.of(b));
        let is_same = |x: f64, y: f64| (x - y).abs() < 1e-9;
        if is_same(a.0, b.0) { !is_same(a.1, b.1) && a.1 < b.1 } else { a.0 < b.0 }
    }
}

impl FromStr for Cost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "cpu" {
            return Ok(Self::CpuThenMemory);
        }
        let (mut core, mut gib) = (0.0, 0.0);
        for part in text.split(',') {
            let bad = || format!("`{part}` is neither cpu=PRICE nor memory=PRICE, the price of a core and of a GiB");
            let (what, price) = part.split_once('=').ok_or_else(bad)?;
            let price: f64 = price.trim().parse().map_err(|_| bad())?;
            match what.trim() {
                _ if !(price >= 0.0 && price.is_finite()) => return Err(bad()),
                "cpu" => core = price,
                "memory" => gib = price,
                _ => return Err(bad()),
            }
        }
        if core + gib > 0.0 {
            Ok(Self::Prices { core, gib })
        } else {
            Err("all prices are 0: nothing is the least".into())
        }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CpuThenMemory => f.write_str("cpu"),
            Self::Prices { core, gib } => write!(f, "cpu={core},memory={gib}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Cost};

    #[test]
    fn cpu_counts_first_and_prices_count_both() {
        let of = |cpu_cores, memory_mib, count| Candidate { cpu_cores, memory_mib, count };
        let (one, two) = (of(0.5, 128, 1), of(0.25, 64, 2));
        let usual = Cost::default();
        assert!(!usual.is_less(&one, &two) && !usual.is_less(&two, &one));
        assert!(usual.is_less(&one, &of(0.25, 65, 2)) && usual.is_less(&of(0.1, 999, 4), &one));
        let prices: Cost = "cpu=30,memory=4".parse().unwrap();
        assert_eq!(prices, Cost::Prices { core: 30.0, gib: 4.0 });
        assert!(prices.is_less(&of(0.5, 64, 1), &of(0.5, 65, 1)) && prices.is_less(&one, &of(0.45, 1024, 1)));
        for wrong in ["ram=1", "cpu", "cpu=x", "cpu=-1", "cpu=0"].into_iter().filter(|text| *text != "cpu") {
            assert!(wrong.parse::<Cost>().is_err(), "{wrong}");
        }
    }
}
