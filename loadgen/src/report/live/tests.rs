use super::*;
use crate::report::{RunState, sample};

fn shown(look: Option<Look>, reports: &[Report]) -> String {
    let mut screen = Screen::new(Vec::new(), look);
    reports.iter().for_each(|report| screen.show(report).unwrap());
    String::from_utf8(screen.out).unwrap()
}

fn running(seconds: u64) -> Report {
    Report { state: RunState::Holding, ..sample::run(seconds) }
}

#[test]
fn a_terminal_is_drawn_over_and_left_clean() {
    let text = shown(Some(Look { width: 80, colour: false }), &[running(2), running(3), sample::run(3)]);
    let drawn = frame(&running(2), Look { width: 80, colour: false }).len();
    assert!(text.starts_with("\x1b[J\x1b[?7l"), "nothing is there to go back over: {text:?}");
    assert_eq!(text.matches(&format!("\x1b[{drawn}F\x1b[J")).count(), 2);
    assert!(text.ends_with("\x1b[J\x1b[?7l\x1b[?7h"), "nothing stays below: {text:?}");
    let ours = ["\x1b[J", "\x1b[?7l", "\x1b[?7h", &format!("\x1b[{drawn}F")];
    let rest = ours.iter().fold(text, |text, code| text.replace(code, ""));
    assert!(!rest.contains('\x1b'), "a stranger's text steers the terminal: {rest:?}");
}

#[test]
fn a_log_gets_a_line_every_five_seconds() {
    let reports: Vec<_> = (1..=12).map(running).collect();
    let text = shown(None, &reports);
    let times: Vec<_> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(times, ["0:01", "0:06", "0:11"]);
    assert!(!text.contains('\x1b'));
}
