//! Promises as people write them: `[TASK:]MEASURE ORDER LIMIT`, with commas between.

use drover_core::units::parse_duration;

use super::{Measure, Order, Percentile, Promise};

/// What is wrong with a promise, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{promise}`, which begins at character {at}: {reason}")]
pub struct ParseError {
    /// The promise.
    pub promise: String,
    /// Where it begins in the whole text, from 1.
    pub at: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads promises with commas between: `p95<1s,failures<1%,predict:p99<=250ms,rps>900,cpu<90%,ram<90%`.
///
/// # Errors
/// The first that cannot be read.
pub fn parse(text: &str) -> Result<Vec<Promise>, ParseError> {
    let mut at = 1;
    let mut promises = Vec::new();
    for part in text.split(',') {
        let begins = at + part.chars().take_while(|c| c.is_whitespace()).count();
        at += part.chars().count() + 1;
        let part = part.trim();
        let promise = promise(part).map_err(|reason| ParseError { promise: part.to_owned(), at: begins, reason })?;
        promises.push(promise);
    }
    Ok(promises)
}

fn promise(text: &str) -> Result<Promise, String> {
    let (place, order, width) = order(text).ok_or("there is no `<`, `<=`, `>` or `>=` in it")?;
    let (left, right) = (text.get(..place).unwrap_or_default(), text.get(place + width..).unwrap_or_default());
    let (task, name) = match left.rsplit_once(':') {
        Some((task, name)) if !task.trim().is_empty() => (Some(task.trim().to_owned()), name.trim()),
        Some(_) => return Err("there is no task before the `:`".into()),
        None => (None, left.trim()),
    };
    let (what, limit) = measure(name, right.trim())?;
    if task.is_some() && matches!(what, Measure::Cpu | Measure::Ram) {
        return Err(format!("`{name}` is the instances', not a task's"));
    }
    let start = text.len() - text.get(left.rfind(':').map_or(0, |colon| colon + 1)..).unwrap_or_default().len();
    Ok(Promise { task, what, order, limit, text: text.get(start..).unwrap_or_default().trim().to_owned() })
}

fn order(text: &str) -> Option<(usize, Order, usize)> {
    let place = text.find(['<', '>'])?;
    let rest = text.get(place..)?;
    Some(match (rest.starts_with('<'), rest.as_bytes().get(1) == Some(&b'=')) {
        (true, true) => (place, Order::LessOrEqual, 2),
        (true, false) => (place, Order::Less, 1),
        (false, true) => (place, Order::MoreOrEqual, 2),
        (false, false) => (place, Order::More, 1),
    })
}

fn measure(name: &str, limit: &str) -> Result<(Measure, f64), String> {
    let number = |text: &str| {
        let number: f64 = text.trim().parse().map_err(|_| format!("`{limit}` is not a number"))?;
        if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(format!("`{limit}` is not a limit")) }
    };
    let percent = |what: Measure| match limit.strip_suffix('%') {
        Some(percent) => Ok((what, number(percent)?)),
        None => Err(format!("`{limit}` has no `%`: write {name}<90%")),
    };
    match name {
        "failures" => match limit.strip_suffix('%') {
            Some(percent) => Ok((Measure::FailurePercent, number(percent)?)),
            None => Ok((Measure::Failures, number(limit)?)),
        },
        "rps" => Ok((Measure::Rps, number(limit.strip_suffix("/s").unwrap_or(limit))?)),
        "requests" => Ok((Measure::Requests, number(limit)?)),
        "cpu" => percent(Measure::Cpu),
        "ram" => percent(Measure::Ram),
        _ => match Percentile::ALL.into_iter().find(|known| known.name == name) {
            Some(percentile) => Ok((Measure::Percentile(percentile), 1e3 * parse_duration(limit)?.as_secs_f64())),
            None => Err(unknown(name)),
        },
    }
}

fn unknown(name: &str) -> String {
    let latencies = Percentile::ALL.map(|known| known.name);
    let all = [&latencies[..], &["failures", "rps", "requests", "cpu", "ram"]].concat();
    let near = all.iter().min_by_key(|known| strsim::damerau_levenshtein(name, known));
    match near.filter(|near| strsim::damerau_levenshtein(name, near) <= 2 && !name.is_empty()) {
        Some(near) => format!("there is no measure `{name}`; did you mean `{near}`? There are {}", all.join(", ")),
        None => format!("there is no measure `{name}`; there are {}", all.join(", ")),
    }
}
