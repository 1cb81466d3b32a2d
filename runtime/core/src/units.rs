//! Durations and sizes as people write them.

use std::time::Duration;

use bytesize::ByteSize;

/// Parses a duration with its unit: `250ms`, `10s`, `1m 30s`; `0` needs none.
///
/// # Errors
/// A bare number other than 0, or an unknown unit, in words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text != "0" && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("`{text}` has no unit: write {text}ms or {text}s"));
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|e| format!("`{text}` is not a duration such as 250ms or 10s: {e}"))
}

/// Parses a size in bytes with its unit: `2MiB`, `64kB`, `0`.
///
/// # Errors
/// A bare number other than 0, or an unknown unit, in words.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let text = text.trim();
    if text != "0" && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!("`{text}` has no unit: write {text}B or {text}MiB"));
    }
    let size: ByteSize = text.parse().map_err(|_| format!("`{text}` is not a size such as 2MiB or 64kB"))?;
    usize::try_from(size.as_u64()).map_err(|_| format!("`{text}` is more than this machine can address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("10").unwrap_err(), "`10` has no unit: write 10ms or 10s");
        assert!(parse_duration("soon").unwrap_err().starts_with("`soon` is not a duration"));
        assert!(parse_duration("").is_err());
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse_bytes("2MiB"), Ok(2 << 20));
        assert_eq!(parse_bytes("64kB"), Ok(64_000));
        assert_eq!(parse_bytes("0"), Ok(0));
        assert!(parse_bytes("1024").unwrap_err().contains("has no unit"));
        assert!(parse_bytes("-1MiB").is_err());
        assert!(parse_bytes("").is_err());
    }
}
