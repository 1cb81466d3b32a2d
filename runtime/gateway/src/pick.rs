//! Which instance takes the next request. Values in, value out.

/// What is known of an instance that has a free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its place among all instances of the function.
    pub(crate) place: usize,
    /// Requests that it has in flight.
    pub(crate) n_in_flight: usize,
}

/// Returns the place of the better of two candidates taken at random, the one with fewer in flight:
/// the power of two choices (Mitzenmacher, 2001). `random(n)` is a number below `n`.
///
/// With two candidates that is the one with the fewest; equals win at random.
pub(crate) fn better_of_two(free: &[Candidate], mut random: impl FnMut(usize) -> usize) -> Option<usize> {
    if free.len() <= 1 {
        return free.first().map(|only| only.place);
    }
    let first = random(free.len());
    // Any other place but the first.
    let second = (first + 1 + random(free.len() - 1)) % free.len();
    let (a, b) = (free.get(first)?, free.get(second)?);
    Some(if b.n_in_flight < a.n_in_flight { b.place } else { a.place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(in_flight: &[usize], randoms: [usize; 2], picked: Option<usize>) {
        let free: Vec<_> =
            in_flight.iter().enumerate().map(|(place, &n_in_flight)| Candidate { place, n_in_flight }).collect();
        let mut randoms = randoms.into_iter();
        assert_eq!(better_of_two(&free, |n| randoms.next().unwrap() % n), picked, "{in_flight:?}");
    }

    #[test]
    fn the_one_with_fewer_in_flight_wins() {
        check(&[], [0, 0], None);
        check(&[9], [0, 0], Some(0));
        check(&[3, 1], [0, 0], Some(1));
        check(&[3, 1], [1, 0], Some(1));
        check(&[5, 0, 2], [0, 1], Some(2));
        check(&[5, 0, 2], [2, 1], Some(1));
    }

    #[test]
    fn equals_win_at_random() {
        check(&[1, 1], [0, 0], Some(0));
        check(&[1, 1], [1, 0], Some(1));
    }

    #[test]
    fn no_instance_is_left_out() {
        let free: Vec<_> = (0..5).map(|place| Candidate { place, n_in_flight: 0 }).collect();
        let mut seen = [0; 5];
        (0..5_000).for_each(|_| seen[better_of_two(&free, |n| fastrand::usize(..n)).unwrap()] += 1);
        assert!(seen.iter().all(|n| (800..1_200).contains(n)), "{seen:?}");
    }
}
