//! Which verdicts are asked for: the query of a URL, and the same as a condition in SQL.

use std::time::UNIX_EPOCH;

use drover_core::ErrorKind;
use drover_core::feedback::Verdict;

use crate::entry::Entry;
use crate::error::Refusal;
use crate::sql::Value;

/// Verdicts on one page unless the query says otherwise, and the most.
pub(crate) const PAGE: usize = 50;
pub(crate) const PAGE_MAX: usize = 500;

/// Which verdicts are asked for; nothing leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) function: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) verdict: Option<Verdict>,
    /// The predicted class.
    pub(crate) class: Option<String>,
    pub(crate) expected: Option<String>,
    /// From then on, Unix time in milliseconds.
    pub(crate) since_ms: Option<u64>,
    /// Before then.
    pub(crate) until_ms: Option<u64>,
    /// What stands in an input or a comment, in capitals or not.
    pub(crate) text: Option<String>,
}

/// A query: which verdicts, and how many of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) filter: Filter,
    pub(crate) limit: usize,
    /// Only what comes after this place of the list.
    pub(crate) before: Option<Cursor>,
    /// How an export is written.
    pub(crate) format: Option<String>,
}

/// A place in the list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    answered_ms: u64,
    request_id: String,
}

impl Query {
    /// Reads the query of a URL.
    pub(crate) fn read(query: &str) -> Result<Self, Refusal> {
        let mut read = Self { filter: Filter::default(), limit: PAGE, before: None, format: None };
        let filter = &mut read.filter;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = |rule: &str| Refusal::new(ErrorKind::BadRequest, format!("{name}=`{value}` is not {rule}"));
            let text = || Some(value.clone().into_owned());
            match name.as_ref() {
                // An empty field of a form leaves nothing out.
                _ if value.is_empty() => {}
                "function" => filter.function = text(),
                "version" => filter.version = text(),
                "class" => filter.class = text(),
                "expected" => filter.expected = text(),
                "text" => filter.text = text(),
                "verdict" => filter.verdict = Some(Verdict::of(&value).ok_or_else(|| bad("`up` or `down`"))?),
                "since" => filter.since_ms = Some(moment(&value).ok_or_else(|| bad(MOMENT))?),
                "until" => filter.until_ms = Some(moment(&value).ok_or_else(|| bad(MOMENT))?),
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=PAGE_MAX).contains(n));
                    read.limit = limit.ok_or_else(|| bad(&format!("a number from 1 to {PAGE_MAX}")))?;
                }
                "before" => read.before = Some(Cursor::read(&value).ok_or_else(|| bad("the `next` of an answer"))?),
                "format" => read.format = text(),
                _ => return Err(Refusal::new(ErrorKind::BadRequest, format!("`{name}` is no field of the query"))),
            }
        }
        Ok(read)
    }
}

impl Filter {
    /// Returns the condition in SQL, and adds what it is about to `values`.
    pub(crate) fn condition(&self, before: Option<&Cursor>, values: &mut Vec<Value>) -> String {
        let mut all = vec!["1 = 1".to_owned()];
        let mut add = |sql: &str, value: Value| {
            values.push(value);
            all.push(sql.replace('@', &format!("${}", values.len())));
        };
        for (sql, text) in [
            ("function = @", &self.function),
            ("version = @", &self.version),
            ("prediction = @", &self.class),
            ("expected = @", &self.expected),
        ] {
            if let Some(text) = text {
                add(sql, text.as_str().into());
            }
        }
        if let Some(verdict) = self.verdict {
            add("verdict = @", verdict.label().into());
        }
        if let Some(since) = self.since_ms {
            add("answered_ms >= @", since.into());
        }
        if let Some(until) = self.until_ms {
            add("answered_ms < @", until.into());
        }
        if let Some(text) = &self.text {
            let sql = "(input_words LIKE @ ESCAPE '!' OR comment_words LIKE @ ESCAPE '!')";
            add(sql, pattern(text).as_str().into());
        }
        if let Some(Cursor { answered_ms, request_id }) = before {
            add("answered_ms <= @", (*answered_ms).into());
            let place = values.len();
            values.push(request_id.as_str().into());
            all.push(format!("(answered_ms < ${place} OR request_id < ${})", values.len()));
        }
        all.join(" AND ")
    }
}

impl Cursor {
    /// Returns the place of an entry.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self { answered_ms: entry.answered_ms, request_id: entry.request_id.clone() }
    }

    fn read(text: &str) -> Option<Self> {
        let (ms, id) = text.split_once('.')?;
        Some(Self { answered_ms: ms.parse().ok()?, request_id: id.into() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.answered_ms, self.request_id)
    }
}

/// What `since` and `until` are.
const MOMENT: &str = "a time of RFC 3339 in UTC, such as 2026-11-21T00:00:00Z";

fn moment(text: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(text).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Returns the pattern of `LIKE` for what contains `text`.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_becomes_a_condition() {
        let query = Query::read("function=a&verdict=down&since=2026-11-21T00:00:00Z&text=50%25+OFF&limit=7&class=");
        let query = query.unwrap();
        assert_eq!((query.limit, query.filter.text.as_deref()), (7, Some("50% OFF")));
        let mut values = Vec::new();
        let sql = query.filter.condition(Some(&Cursor { answered_ms: 5, request_id: "r".into() }), &mut values);
        assert_eq!(
            sql,
            "1 = 1 AND function = $1 AND verdict = $2 AND answered_ms >= $3 AND (input_words LIKE $4 ESCAPE '!' OR \
             comment_words LIKE $4 ESCAPE '!') AND answered_ms <= $5 AND (answered_ms < $5 OR request_id < $6)"
        );
        assert_eq!(values[2], Value::Integer(1_795_219_200_000));
        assert_eq!(values[3], Value::from("%50!% off%"));
        assert_eq!(values.len(), 6);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (query, words) in [
            ("verdict=maybe", "`up` or `down`"),
            ("limit=0", "from 1 to 500"),
            ("limit=501", "from 1 to 500"),
            ("since=yesterday", "RFC 3339"),
            ("before=x", "`next`"),
            ("order=asc", "`order` is no field"),
        ] {
            let refused = Query::read(query).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::BadRequest);
            assert!(refused.detail.contains(words), "{refused:?}");
        }
    }
}
