//! How long a user waits after an iteration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use drover_core::units::parse_duration;
use serde::{Deserialize, Serialize};

/// The longest time that makes sense.
const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long a user waits after an iteration. As text it is a time or a function of Locust's name:
/// `1s`, `between(1s, 5s)`, `constant_pacing(1s)`, `exponential(1s)`; a number alone is seconds, as in Locust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Wait {
    /// Not at all.
    #[default]
    None,
    /// Always so long.
    Constant(Duration),
    /// Equally often every time from the first to the second.
    Between(Duration, Duration),
    /// As long as it takes for iterations to begin at this distance; not at all after one that took longer.
    Pacing(Duration),
    /// So long on average, exponentially distributed, as the pauses of people who do not know of each other.
    Exponential(Duration),
}

impl Wait {
    /// Returns how long to wait after an iteration that took `took`.
    pub fn draw(self, took: Duration, random: &mut fastrand::Rng) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Constant(time) => time,
            Self::Between(least, most) => least + most.saturating_sub(least).mul_f64(random.f64()),
            Self::Pacing(every) => every.saturating_sub(took),
            Self::Exponential(mean) => exponential(mean, random),
        }
    }
}

/// Draws a time that is exponentially distributed.
pub(crate) fn exponential(mean: Duration, random: &mut fastrand::Rng) -> Duration {
    // 1 - [0, 1) is never 0, so that the logarithm is finite.
    mean.mul_f64(-(1.0 - random.f64()).ln())
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "`1s`, `between(1s, 5s)`, `constant_pacing(1s)` or `exponential(1s)`";
        let text = text.trim();
        let Some((name, rest)) = text.split_once('(') else {
            return time(text).map(Self::constant).map_err(|e| format!("{e}; write {FORMS}"));
        };
        let inside = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` has no `)` at its end; write {FORMS}"))?;
        let times = inside.split(',').map(time).collect::<Result<Vec<_>, _>>()?;
        match (name.trim(), times.as_slice()) {
            ("constant", [time]) => Ok(Self::constant(*time)),
            ("between", [least, most]) if least <= most => Ok(Self::Between(*least, *most)),
            ("between", [_, _]) => Err(format!("`{text}`: the first time is longer than the second")),
            ("constant_pacing", [every]) => Ok(Self::Pacing(*every)),
            ("exponential", [mean]) => Ok(Self::Exponential(*mean)),
            _ => Err(format!("`{text}` is no wait time; write {FORMS}")),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = humantime::format_duration;
        match *self {
            Self::None => f.write_str("0"),
            Self::Constant(every) => write!(f, "{}", shown(every)),
            Self::Between(least, most) => write!(f, "between({}, {})", shown(least), shown(most)),
            Self::Pacing(every) => write!(f, "constant_pacing({})", shown(every)),
            Self::Exponential(mean) => write!(f, "exponential({})", shown(mean)),
        }
    }
}

impl Wait {
    fn constant(time: Duration) -> Self {
        if time.is_zero() { Self::None } else { Self::Constant(time) }
    }
}

/// Reads a time with its unit, or a number of seconds as in Locust: at most a year, so that no clock overflows.
///
/// # Errors
/// It is none.
pub fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let time = match text.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number).map_err(|e| format!("`{text}` is not a time: {e}"))?,
        Err(_) => parse_duration(text)?,
    };
    if time > YEAR { Err(format!("`{text}` is longer than a year")) } else { Ok(time) }
}
