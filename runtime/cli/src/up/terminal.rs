//! What `drover up` shows: its own words and, prefixed, those of the instances.

use std::io::{self, IsTerminal, Write};

use drover_engine::{LogLine, Stream};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use owo_colors::{AnsiColors, OwoColorize};
use tokio::task::JoinHandle;

/// Colours of the prefixes; a function keeps its own.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Green,
    AnsiColors::Magenta,
    AnsiColors::Blue,
    AnsiColors::BrightCyan,
    AnsiColors::BrightGreen,
];

/// Writes to the terminal, on standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    colour: bool,
    quiet: bool,
}

impl Terminal {
    /// Writes in colour if standard error is a terminal and `NO_COLOR` is not set.
    pub(super) fn new(quiet: bool) -> Self {
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { colour, quiet }
    }

    /// Says something of drover's own.
    pub(super) fn say(&self, text: &str) {
        let prefix = if self.colour { "drover".bold().to_string() } else { "drover".into() };
        write(&format!("{prefix} {text}\n"));
    }

    /// Warns.
    pub(super) fn warn(&self, text: &str) {
        let prefix = if self.colour { "warning:".yellow().to_string() } else { "warning:".into() };
        self.say(&format!("{prefix} {text}"));
    }

    /// Shows lines as they come, each with its instance before it.
    pub(super) fn follow(self, mut lines: BoxStream<'static, LogLine>) -> JoinHandle<()> {
        tokio::spawn(async move {
            while let Some(line) = lines.next().await {
                if !self.quiet || line.stream == Stream::Engine {
                    self.show(&line);
                }
            }
        })
    }

    fn show(&self, line: &LogLine) {
        let name = format!("{}/{}", line.function, line.index);
        let bar = if line.stream == Stream::Engine { ">" } else { "|" };
        let prefix = format!("{name:<14} {bar}");
        if !self.colour {
            write(&format!("{prefix} {}\n", line.text));
            return;
        }
        let hash = line.function.as_str().bytes().fold(0_usize, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let colour = COLOURS.get(hash % COLOURS.len()).copied().unwrap_or(AnsiColors::Cyan);
        write(&format!("{} {}\n", prefix.color(colour), line.text));
    }
}

fn write(text: &str) {
    // Nobody may read it any more: that is no reason to stop.
    let _closed = io::stderr().lock().write_all(text.as_bytes());
}
