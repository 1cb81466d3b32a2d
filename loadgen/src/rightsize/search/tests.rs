//! The search, with services whose needs are known.

use super::super::ladder::Grain;
use super::*;

/// A service that needs `cores` in all, whatever the count, `overhead` more for each instance, and memory.
#[derive(Debug, Clone, Copy)]
struct Service {
    cores: f64,
    overhead: f64,
    peak_mib: f64,
}

impl Service {
    fn judge(&self, candidate: &Candidate) -> (Verdict, Option<f64>) {
        let needed = self.cores / f64::from(candidate.count) + self.overhead;
        if (candidate.memory_mib as f64) < self.peak_mib {
            (Verdict::OutOfMemory("killed".into()), None)
        } else if candidate.cpu_cores < needed {
            (Verdict::Broken("p95<1s".into()), None)
        } else {
            (Verdict::Held, Some(self.peak_mib))
        }
    }
}

fn space(counts: &[u32]) -> Space {
    Space {
        cpu: Ladder::new(0.05, 4.0, Grain::Usual),
        memory: Ladder::whole(16, 1024, Grain::Usual),
        counts: counts.to_vec(),
        start_cpu: 0.25,
        is_guess: false,
    }
}

/// Searches to the end; returns the answer and the number of trials.
fn go(search: &mut Search, mut judge: impl FnMut(&Candidate) -> (Verdict, Option<f64>)) -> (Step, usize) {
    for n in 0..300 {
        match search.next() {
            Step::Try(candidate, why) => {
                assert!(!why.is_empty());
                let (verdict, peak) = judge(&candidate);
                search.tell(&candidate, &verdict, peak);
            }
            end => return (end, n),
        }
    }
    panic!("it does not end");
}

fn fresh(counts: &[u32]) -> Search {
    Search::new(space(counts), Cost::default(), Wald::default())
}

#[test]
fn the_least_size_is_found_in_few_trials() {
    let penguins = Service { cores: 0.33, overhead: 0.0, peak_mib: 47.0 };
    let mut search = fresh(&[1]);
    let (step, n) = go(&mut search, |candidate| penguins.judge(candidate));
    let least = Candidate { cpu_cores: 0.355, memory_mib: 50, count: 1 };
    assert_eq!(step, Step::Done(Some(least)));
    assert!(n <= 15, "{n} trials");
    let (best, found) = search.best().unwrap();
    assert_eq!((best, found), (least, Found { held: 4, trials: 4, is_sure: true }));
    assert_eq!(search.remaining(), 0);
}

#[test]
fn a_good_guess_saves_trials() {
    let penguins = Service { cores: 0.33, overhead: 0.0, peak_mib: 47.0 };
    let (step, n) = go(&mut fresh(&[1]), |candidate| penguins.judge(candidate));
    for start_cpu in [0.31, 0.355, 0.4] {
        let guessed = Space { start_cpu, is_guess: true, ..space(&[1]) };
        let found = go(&mut Search::new(guessed, Cost::default(), Wald::default()), |c| penguins.judge(c));
        assert!(found.0 == step && found.1 <= n, "{start_cpu}: {found:?}, and {n} trials without it");
    }
    let poor = Space { start_cpu: 3.0, is_guess: true, ..space(&[1]) };
    let (found, n) = go(&mut Search::new(poor, Cost::default(), Wald::default()), |c| penguins.judge(c));
    assert!(found == step && n < 25, "{n} trials");
}

#[test]
fn more_instances_are_taken_only_if_they_cost_less() {
    let even = Service { cores: 0.36, overhead: 0.0, peak_mib: 30.0 };
    let mut one = fresh(&[1]);
    let (_, n_one) = go(&mut one, |candidate| even.judge(candidate));
    // 0.4 at one instance, 3 × 0.125 at three: the ladder's rungs fit better.
    let (step, _) = go(&mut fresh(&[1, 2, 3]), |candidate| even.judge(candidate));
    assert_eq!(step, Step::Done(Some(Candidate { cpu_cores: 0.18, memory_mib: 32, count: 2 })));
    let heavy = Service { overhead: 0.05, ..even };
    let (step, n) = go(&mut fresh(&[1, 2, 3]), |candidate| heavy.judge(candidate));
    assert_eq!(step, Step::Done(Some(Candidate { cpu_cores: 0.45, memory_mib: 32, count: 1 })));
    assert!(n <= n_one + 2 * 2 + 1, "two more counts took {n} - {n_one} trials");
}

#[test]
fn one_instance_that_never_does_is_followed_by_more() {
    let big = Service { cores: 7.0, overhead: 0.0, peak_mib: 30.0 };
    let (step, _) = go(&mut fresh(&[1, 2]), |candidate| big.judge(candidate));
    assert_eq!(step, Step::Done(Some(Candidate { cpu_cores: 3.55, memory_mib: 32, count: 2 })));
    let (step, n) = go(&mut fresh(&[1]), |candidate| big.judge(candidate));
    assert_eq!(step, Step::Done(None));
    assert!(n < 8, "{n}");
}

#[test]
fn prices_may_prefer_less_memory_to_less_cpu() {
    let service = Service { cores: 0.5, overhead: 0.0, peak_mib: 200.0 };
    let cost: Cost = "cpu=1,memory=100".parse().unwrap();
    let (step, _) = go(&mut Search::new(space(&[1, 2, 3]), cost, Wald::default()), |c| service.judge(c));
    assert_eq!(step, Step::Done(Some(Candidate { cpu_cores: 0.5, memory_mib: 200, count: 1 })));
}

#[test]
fn a_machine_that_cannot_measure_is_told_apart_from_a_function_that_fails() {
    let mut search = fresh(&[1]);
    let (step, n) = go(&mut search, |_| (Verdict::Invalid("the generator was late".into()), None));
    let first = Candidate { cpu_cores: 0.25, memory_mib: 1024, count: 1 };
    assert_eq!((step, n), (Step::Stuck(first, "the generator was late".into()), 3));
    assert_eq!(search.best(), None);
    // One of them in between is tried again.
    let service = Service { cores: 0.2, overhead: 0.0, peak_mib: 30.0 };
    let mut nth = 0;
    let (step, _) = go(&mut fresh(&[1]), |candidate| {
        nth += 1;
        if nth % 3 == 0 { (Verdict::Invalid("busy".into()), None) } else { service.judge(candidate) }
    });
    assert_eq!(step, Step::Done(Some(Candidate { cpu_cores: 0.2, memory_mib: 32, count: 1 })));
}

#[test]
fn what_was_tried_before_is_not_tried_again() {
    let service = Service { cores: 0.33, overhead: 0.0, peak_mib: 47.0 };
    let (mut search, mut trials) = (fresh(&[1]), Vec::new());
    let (step, _) = go(&mut search, |candidate| {
        let shown = service.judge(candidate);
        trials.push((*candidate, shown.clone()));
        shown
    });
    let mut again = fresh(&[1]);
    for (candidate, (verdict, peak)) in &trials {
        again.tell(candidate, verdict, *peak);
    }
    assert_eq!(go(&mut again, |candidate| panic!("{candidate} is tried again")), (step.clone(), 0));
    // Half of them: the rest is what is tried.
    let mut half = fresh(&[1]);
    for (candidate, (verdict, peak)) in trials.iter().take(7) {
        half.tell(candidate, verdict, *peak);
    }
    assert_eq!(go(&mut half, |candidate| service.judge(candidate)), (step, trials.len() - 7));
}

#[test]
fn before_its_end_it_knows_the_best_so_far_and_what_is_left() {
    let service = Service { cores: 0.33, overhead: 0.0, peak_mib: 47.0 };
    let mut search = fresh(&[1]);
    assert_eq!(search.best(), None);
    let mut left = Vec::new();
    go(&mut search, |candidate| {
        let shown = service.judge(candidate);
        left.push(shown.0 == Verdict::Held);
        shown
    });
    let mut search = fresh(&[1]);
    for n in 0..3 {
        let Step::Try(candidate, _) = search.next() else { panic!("{n}") };
        let (verdict, peak) = service.judge(&candidate);
        search.tell(&candidate, &verdict, peak);
    }
    let (best, found) = search.best().unwrap();
    assert!(best.cpu_cores >= 0.33 && !found.is_sure, "{best}");
    let remaining = search.remaining();
    assert!((3..=20).contains(&remaining), "{remaining}");
}

#[test]
fn with_noise_the_answer_is_near_the_need() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut n_near = 0;
    for _ in 0..300 {
        let (cores, peak_mib) = (0.06 + 2.9 * random.f64(), 17.0 + 880.0 * random.f64());
        let service = Service { cores, overhead: 0.0, peak_mib };
        // One trial in thirty is unlucky, and one in thirty does not count.
        let (step, n) = go(&mut fresh(&[1]), |candidate| match (random.u8(0..30), service.judge(candidate)) {
            (0, (Verdict::Held, _)) => (Verdict::Broken("a hiccup".into()), None),
            (1, _) => (Verdict::Invalid("a busy machine".into()), None),
            (_, shown) => shown,
        });
        assert!(n < 100, "{n} trials");
        // Accidents at every size that would do are possible, and rare.
        let Step::Done(Some(answer)) = step else { continue };
        assert!(answer.cpu_cores >= cores && answer.memory_mib as f64 >= peak_mib, "{answer} for {cores}, {peak_mib}");
        // A step is 12 %, at most 14 %; noise may cost another.
        let is_near = |found: f64, needed: f64| found <= needed * 1.145 * 1.145 + 1.0;
        let near = answer.cpu_cores <= cores * 1.145 * 1.145 && is_near(answer.memory_mib as f64, peak_mib);
        n_near += usize::from(near);
    }
    assert!(n_near >= 285, "{n_near} of 300");
}
