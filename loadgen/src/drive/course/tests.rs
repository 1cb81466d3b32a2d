use std::time::Duration;

use super::Course;
use crate::control::Control;
use crate::drive::Share;
use crate::plan::{Load, Plan, Stage};

const SECOND: Duration = Duration::from_secs(1);

fn plan() -> Plan {
    let stages = vec![Stage { target: 100.0, ramp: 10 * SECOND, hold: Some(20 * SECOND) }];
    Plan { load: Load::Users(stages), ..Plan::default() }
}

#[test]
fn a_wish_holds_from_its_moment_on() {
    let mut course = Course::new(&plan());
    assert_eq!((course.level(5 * SECOND), course.remaining(5 * SECOND)), ((50.0, true), Some(25 * SECOND)));
    assert!(course.follow(Control::Users { count: 10, spawn_rate: 10.0 }, &plan(), 5 * SECOND));
    assert_eq!(course.level(4 * SECOND), (40.0, true));
    assert_eq!(course.level(7 * SECOND), (30.0, true));
    assert_eq!(course.level(60 * SECOND), (10.0, false));
    assert_eq!(course.remaining(60 * SECOND), None);
    assert!(!course.follow(Control::Rate(7.0), &plan(), 6 * SECOND), "it has users");
    assert!(course.follow(Control::Stop, &plan(), 61 * SECOND));
    assert_eq!((course.is_over(60 * SECOND), course.is_over(61 * SECOND)), (false, true));
}

#[test]
fn shares_change_and_the_whole_does_not() {
    let mut course = Course::new(&plan());
    course.turn(5 * SECOND);
    course.turn(8 * SECOND);
    // The second of two is lost at 5 s, and another comes at 8 s.
    let of = |index| {
        course.of(move |at| match (at.as_secs(), index) {
            (0..5, 0 | 1) => Some(Share { index, of: 2 }),
            (5..8, 0) => Some(Share::ALL),
            (8.., 0 | 2) => Some(Share { index: index / 2, of: 2 }),
            _ => None,
        })
    };
    let all = [of(0), of(1), of(2)];
    for at in [0, 2, 4, 5, 6, 7, 8, 9, 20].map(|at| at * SECOND) {
        for n in [0, 1, 2, 101] {
            let part = |course: &Course| course.leg(at).unwrap().share.map_or(0, |share| share.count(n));
            assert_eq!(all.iter().map(part).sum::<usize>(), n, "{at:?}");
        }
        assert!(all.iter().all(|one| one.level(at) == course.level(at)));
    }
    assert_eq!(all[1].leg(5 * SECOND).unwrap().share, None);
    assert_eq!((all[2].ends(Duration::ZERO), all[2].ends(8 * SECOND)), (Some(5 * SECOND), Some(30 * SECOND)));
    assert!(of(1).until(6 * SECOND).is_over(6 * SECOND));
}

#[test]
fn what_held_long_ago_is_forgotten() {
    let mut course = Course::new(&plan());
    for at in 0..1000 {
        course.turn(at * SECOND);
    }
    assert!(course.legs.len() < 20, "{}", course.legs.len());
    assert_eq!(course.level(1000 * SECOND), (100.0, false));
}
