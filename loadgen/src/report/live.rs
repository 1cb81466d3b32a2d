//! Shows a run on a terminal while it goes on; where there is none, a line from time to time.

use std::io::{self, Write};
use std::sync::Arc;

use terminal_size::{Width, terminal_size_of};
use tokio::sync::watch;

use super::Report;
use super::terminal::{Look, frame, line};

/// Where there is no terminal, seconds of the run between two lines.
const LINE_EVERY_S: f64 = 5.0;
/// Characters in a line, where nobody says how many there are.
const WIDTH: usize = 100;

/// Returns what standard error can show; nothing if it is no terminal.
#[must_use]
pub fn terminal() -> Option<Look> {
    let (Width(width), _) = terminal_size_of(io::stderr())?;
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Some(Look { width: if width == 0 { WIDTH } else { width.into() }, colour })
}

/// Shows every report that comes on standard error, until the run is over or nobody renews it.
///
/// Standard output stays free for what a program reads. May be dropped at any time.
pub async fn follow(mut reports: watch::Receiver<Arc<Report>>) {
    let mut screen = Screen::new(io::stderr(), terminal());
    loop {
        let report = Arc::clone(&reports.borrow_and_update());
        // Nobody looks any more, e.g. the pipe's other end is closed: the run goes on.
        if screen.show(&report).is_err() || report.state.is_over() || reports.changed().await.is_err() {
            return;
        }
    }
}

/// Lines that are drawn again and again at the same place.
struct Screen<W: Write> {
    out: W,
    look: Option<Look>,
    drawn: usize,
    next_line_s: f64,
}

impl<W: Write> Screen<W> {
    fn new(out: W, look: Option<Look>) -> Self {
        Self { out, look, drawn: 0, next_line_s: 0.0 }
    }

    fn show(&mut self, report: &Report) -> io::Result<()> {
        let Some(look) = self.look else { return self.show_line(report) };
        // The size may have changed since.
        let look = Look { width: terminal().map_or(look.width, |now| now.width), ..look };
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}F", self.drawn));
        }
        // Longer lines are cut rather than wrapped: the way back up counts lines.
        text.push_str("\x1b[J\x1b[?7l");
        // What the run says last is the summary: of the lines above it nothing stays.
        let lines = if report.state.is_over() { Vec::new() } else { frame(report, look) };
        for line in &lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn show_line(&mut self, report: &Report) -> io::Result<()> {
        if report.elapsed_s < self.next_line_s || report.history.is_empty() {
            return Ok(());
        }
        self.next_line_s = report.elapsed_s + LINE_EVERY_S;
        writeln!(self.out, "{}", line(report))
    }
}

#[cfg(test)]
mod tests;
