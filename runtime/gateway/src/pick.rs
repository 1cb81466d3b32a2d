//! Which instance takes the next request. Values in, value out.

/// Returns the position of the least number; `turn` decides among equals.
pub(crate) fn least(n_in_flight: &[usize], turn: usize) -> Option<usize> {
    let least = n_in_flight.iter().min()?;
    let equals = || n_in_flight.iter().enumerate().filter(|(_, n)| *n == least).map(|(position, _)| position);
    let n_equals = equals().count();
    equals().nth(turn.checked_rem(n_equals)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_wins_and_equals_take_turns() {
        assert_eq!(least(&[], 0), None);
        assert_eq!(least(&[3, 1, 2], 7), Some(1));
        assert_eq!((0..4).map(|turn| least(&[1, 0, 0], turn).unwrap()).collect::<Vec<_>>(), [1, 2, 1, 2]);
    }
}
