//! Variables of an expression, and what its series are called, as Grafana fills them.

use drover_core::FunctionName;
use serde_json::{Map, Value};

/// What `$function` is where no function is chosen: dashboards of all functions match it as a pattern.
const ALL: &str = ".+";

/// Returns `expression` for a function, or for all. `step` is the time between two points, `scrape` that between two
/// scrapes, in seconds: a rate is over four scrapes at least, and leaves nothing out between two points.
pub(super) fn expression(expression: &str, function: Option<&FunctionName>, step: u64, scrape: u64) -> String {
    let interval = (step + scrape).max(4 * scrape);
    expression
        .replace("$__rate_interval", &format!("{interval}s"))
        .replace("$function", function.map_or(ALL, FunctionName::as_str))
}

/// Returns `format` with the labels of a series for what stands in double braces; `title` where nothing is left of it.
pub(super) fn legend(format: &str, labels: &Map<String, Value>, title: &str) -> String {
    let mut parts = format.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        filled += labels.get(name.trim()).and_then(Value::as_str).unwrap_or_default();
        filled += rest;
    }
    let filled = filled.trim();
    if filled.is_empty() { title.to_owned() } else { filled.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let function = "penguins".parse().unwrap();
        let given = r#"sum(rate(a{function=~"$function"}[$__rate_interval])) / sum(rate(b[$__rate_interval]))"#;
        let one = r#"sum(rate(a{function=~"penguins"}[20s])) / sum(rate(b[20s]))"#;
        assert_eq!(expression(given, Some(&function), 5, 5), one);
        let all = r#"sum(rate(a{function=~".+"}[365s])) / sum(rate(b[365s]))"#;
        assert_eq!(expression(given, None, 360, 5), all);
    }

    #[test]
    fn legends_are_filled_with_labels() {
        let labels = serde_json::json!({ "code": "503", "kind": "not_ready" });
        let labels = labels.as_object().unwrap();
        for (format, filled) in [
            ("p95", "p95"),
            ("{{code}}", "503"),
            ("{{code}} {{ kind }}", "503 not_ready"),
            ("failed: {{task}} {{kind}}", "failed:  not_ready"),
            ("out {{why}}", "out"),
            ("{{why}}", "Errors"),
            ("", "Errors"),
            ("{{code", "503"),
        ] {
            assert_eq!(legend(format, labels, "Errors"), filled, "{format}");
        }
    }
}
