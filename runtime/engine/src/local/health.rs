//! Follows the checks of one running instance.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::check::probe;
use crate::job::Check;

/// The time between two checks before the first one passes: so soon is a start noticed.
const FIRST_INTERVAL: Duration = Duration::from_millis(10);
/// That time grows up to this.
const FIRST_INTERVAL_MAX: Duration = Duration::from_millis(250);

/// A change of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    /// Every check passes.
    Passing,
    /// A check fails, and why.
    Failing(String),
    /// A check failed so often that the instance must be started again.
    Restart(String),
}

/// Runs all checks of one running instance until dropped.
pub(crate) struct Checks {
    verdicts: mpsc::Receiver<(usize, Verdict)>,
    passing: Vec<bool>,
    was_passing: Option<bool>,
    _tasks: JoinSet<()>,
}

enum Verdict {
    Pass,
    Fail(String),
    Restart(String),
}

impl Checks {
    /// Begins to check.
    pub(crate) fn start(checks: &[(Check, SocketAddr)]) -> Self {
        let (sender, verdicts) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        for (n, (check, address)) in checks.iter().cloned().enumerate() {
            tasks.spawn(repeat(n, check, address, sender.clone()));
        }
        Self { verdicts, passing: vec![false; checks.len()], was_passing: None, _tasks: tasks }
    }

    /// Waits for the next change of health. Without any check, an instance that runs passes.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Health {
        if self.passing.is_empty() && self.was_passing.is_none() {
            self.was_passing = Some(true);
            return Health::Passing;
        }
        loop {
            let Some((n, verdict)) = self.verdicts.recv().await else { return std::future::pending().await };
            let pass = matches!(verdict, Verdict::Pass);
            if let Some(place) = self.passing.get_mut(n) {
                *place = pass;
            }
            let all = self.passing.iter().all(|p| *p);
            let changed = self.was_passing != Some(all) && (all || self.was_passing.is_some());
            if changed {
                self.was_passing = Some(all);
            }
            match verdict {
                Verdict::Restart(why) => return Health::Restart(why),
                Verdict::Fail(why) if changed => return Health::Failing(why),
                Verdict::Pass if changed => return Health::Passing,
                _ => {}
            }
        }
    }
}

async fn repeat(n: usize, check: Check, address: SocketAddr, verdicts: mpsc::Sender<(usize, Verdict)>) {
    let started = Instant::now();
    let (mut n_passed, mut n_failed, mut n_failed_late) = (0, 0, 0);
    let (mut ever_passed, mut first_interval) = (false, FIRST_INTERVAL);
    loop {
        let verdict = match probe(&check.kind, address, check.timeout).await {
            Ok(()) => {
                (n_passed, n_failed, n_failed_late) = (n_passed + 1, 0, 0);
                (n_passed >= check.passes_needed).then_some(Verdict::Pass)
            }
            Err(why) => {
                (n_passed, n_failed) = (0, n_failed + 1);
                let why = format!("check `{}`: {why}", check.name);
                match check.restart {
                    Some(rule) if started.elapsed() >= rule.grace => {
                        n_failed_late += 1;
                        if n_failed_late >= rule.limit { Some(Verdict::Restart(why)) } else { None }
                    }
                    _ if n_failed >= check.failures_needed => Some(Verdict::Fail(why)),
                    _ => None,
                }
            }
        };
        ever_passed |= matches!(verdict, Some(Verdict::Pass));
        if let Some(verdict) = verdict
            && verdicts.send((n, verdict)).await.is_err()
        {
            return;
        }
        if ever_passed {
            tokio::time::sleep(check.interval).await;
        } else {
            tokio::time::sleep(first_interval.min(check.interval)).await;
            first_interval = (first_interval * 5 / 4).min(FIRST_INTERVAL_MAX);
        }
    }
}
