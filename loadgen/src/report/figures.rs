//! Figures as a person reads them, and texts of strangers made harmless.

/// Returns a count with its thousands apart: `12,345`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a rate with no more decimals than are of use: `12,345`, `98.7`, `0.25`.
#[must_use]
pub fn rate(value: f64) -> String {
    if value >= 1_000.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 1,000, and it saturates"
        )]
        return count(value.round() as u64);
    }
    if value >= 10.0 || value == 0.0 { trimmed(value, 1) } else { trimmed(value, 2) }
}

/// Returns milliseconds in the unit that suits them: `0.42 ms`, `87 ms`, `1.25 s`, `2.5 min`.
#[must_use]
pub fn millis(ms: f64) -> String {
    if ms >= 120_000.0 {
        format!("{} min", trimmed(ms / 60_000.0, 1))
    } else if ms >= 1_000.0 {
        format!("{} s", trimmed(ms / 1_000.0, 2))
    } else if ms >= 100.0 {
        format!("{ms:.0} ms")
    } else if ms >= 10.0 {
        format!("{} ms", trimmed(ms, 1))
    } else {
        format!("{} ms", trimmed(ms, 2))
    }
}

/// Returns a share of a whole as percent: `0 %`, `0.03 %`, `12.5 %`. A share that is not nothing never
/// reads as nothing.
#[must_use]
pub fn percent(value: f64) -> String {
    match value {
        v if v > 0.0 && v < 0.01 => "<0.01 %".into(),
        v if v >= 10.0 => format!("{} %", trimmed(v, 1)),
        v => format!("{} %", trimmed(v, 2)),
    }
}

/// Returns `part` of `whole` in percent; 0 of nothing.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Returns bytes in the unit that suits them: `512 B`, `44 MiB`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", trimmed(value, if value >= 100.0 { 0 } else { 1 }))
}

/// Returns seconds as a clock shows them: `0:07`, `12:30`, `1:02:03`.
#[must_use]
pub fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and it saturates")]
    let s = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (s / 3600, s / 60 % 60, s % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Returns `text` on one line and without what could steer a terminal, reorder the letters beside it, or hide.
/// At most `max` characters: what is longer ends in `…`.
#[must_use]
pub fn plain(text: &str, max: usize) -> String {
    let harmless = |c: char| match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => '\u{fffd}',
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => '\u{fffd}',
        c => c,
    };
    let mut out: String = text.chars().take(max).map(harmless).collect();
    if text.chars().nth(max).is_some() {
        out.pop();
        out.push('…');
    }
    out
}

/// Returns `value` with at most so many `decimals`, without zeros at its end.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.256, 9.5, 98.76, 12_345.6].map(rate), ["0", "0.26", "9.5", "98.8", "12,346"]);
        assert_eq!(
            [0.4249, 1.0, 87.25, 250.4, 1250.0, 150_000.0].map(millis),
            ["0.42 ms", "1 ms", "87.2 ms", "250 ms", "1.25 s", "2.5 min"]
        );
        assert_eq!([0.0, 0.001, 0.03, 12.54, 100.0].map(percent), ["0 %", "<0.01 %", "0.03 %", "12.5 %", "100 %"]);
        assert_eq!([0, 1023, 1536, 200 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "200 MiB"]);
        assert_eq!([0.0, 7.9, 750.0, 3723.0].map(clock), ["0:00", "0:07", "12:30", "1:02:03"]);
        assert_eq!([share(1, 4), share(0, 0)], [25.0, 0.0]);
    }

    #[test]
    fn texts_of_strangers_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{202e}d\u{9b}e", 99), "a\u{fffd}[2Jb  c\u{fffd}d\u{fffd}e");
        assert_eq!(plain("abcdef", 4), "abc…");
        assert_eq!(plain("abcd", 4), "abcd");
    }
}
