//! What may be changed while a run goes on.

/// A wish of the person who watches a run. What does not fit the run, e.g. a rate for a run by users, changes
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Begins the run, or begins it anew after its end.
    Start,
    /// Sends nothing new, waits for answers as long as the plan says, and ends the run.
    Stop,
    /// Goes to `count` users, from however many there are.
    Users {
        /// How many.
        count: u64,
        /// How many a second are added or taken away; all at once if it is not above 0.
        spawn_rate: f64,
    },
    /// Forgets what was counted so far, such as a warm-up, and goes on.
    Reset,
    /// Goes to this many requests a second at once.
    Rate(f64),
}
