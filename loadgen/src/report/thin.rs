//! Fewer points of a long run, for pages: ten hours are 36,000 seconds, and no screen has as many columns.

use super::Point;

/// Returns `history` with at most `most` points, each of which stands for the same number of seconds.
///
/// Rates and CPU are averaged. What must not be overlooked (percentiles, requests in flight, the instances'
/// needs) is the worst of the seconds; what is sent late is added up.
pub(crate) fn thin(history: &[Point], most: usize) -> Vec<Point> {
    let each = history.len().div_ceil(most.max(1)).max(1);
    history.chunks(each).filter_map(together).collect()
}

fn together(seconds: &[Point]) -> Option<Point> {
    let last = seconds.last()?;
    let mean = |of: fn(&Point) -> f64| seconds.iter().map(of).sum::<f64>() / seconds.len() as f64;
    let worst = |of: fn(&Point) -> f64| seconds.iter().map(of).fold(0.0, f64::max);
    Some(Point {
        rps: mean(|point| point.rps),
        failures_per_s: mean(|point| point.failures_per_s),
        in_flight: seconds.iter().map(|point| point.in_flight).max()?,
        p50_ms: worst(|point| point.p50_ms),
        p95_ms: worst(|point| point.p95_ms),
        p99_ms: worst(|point| point.p99_ms),
        late: seconds.iter().map(|point| point.late).sum(),
        generator_cpu_percent: mean(|point| point.generator_cpu_percent),
        cpu_percent: seconds.iter().filter_map(|point| point.cpu_percent).reduce(f64::max),
        ram_percent: seconds.iter().filter_map(|point| point.ram_percent).reduce(f64::max),
        ..last.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_short_run_stays_as_it_is() {
        let history = sample::run(100).history;
        assert_eq!(thin(&history, 100), history);
        assert_eq!(thin(&[], 100), []);
    }

    #[test]
    fn a_long_run_keeps_its_worst_and_its_sums() {
        let history = sample::run(1000).history;
        let thinned = thin(&history, 300);
        assert_eq!(thinned.len(), 250);
        assert_eq!(thinned.last().map(|point| (point.at_s, point.requests)), Some((1000.0, history[999].requests)));
        let worst = |points: &[Point]| points.iter().map(|point| point.p99_ms).fold(0.0, f64::max);
        assert_eq!(worst(&thinned), worst(&history));
        let late = |points: &[Point]| points.iter().map(|point| point.late).sum::<u64>();
        assert_eq!(late(&thinned), late(&history));
        let mean = |points: &[Point]| points.iter().map(|point| point.rps).sum::<f64>() / points.len() as f64;
        assert!((mean(&thinned) - mean(&history)).abs() < 1e-6);
    }
}
