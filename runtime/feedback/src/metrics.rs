//! What the feedback service counts, as Prometheus text. All of it comes from the store, so that it outlives a restart.

use std::collections::BTreeMap;

use crate::error::StoreError;
use crate::sql::Statement;
use crate::store::Store;
use crate::summary::Votes;

/// The time over which agreement is shown.
const WINDOW_MS: u64 = 7 * 24 * 3600 * 1000;

impl Store {
    /// Returns all counters as Prometheus text, as of `now_ms`, Unix time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn counters(&self, now_ms: u64) -> Result<String, StoreError> {
        let sql = "SELECT function, version, verdict, n FROM totals ORDER BY function, version, verdict";
        let totals = self.database.read(Statement::new(sql, [])).await?;
        let sql = "SELECT function, version, SUM(CASE verdict WHEN 'up' THEN 1 ELSE 0 END), COUNT(*) FROM feedback \
                   WHERE answered_ms >= $1 GROUP BY function, version ORDER BY function, version";
        let recent = self.database.read(Statement::new(sql, [now_ms.saturating_sub(WINDOW_MS).into()])).await?;
        let rows = self.database.read(Statement::new("SELECT COUNT(*) FROM feedback", [])).await?;

        let mut given: BTreeMap<(String, String), BTreeMap<String, u64>> = BTreeMap::new();
        for row in &totals {
            // The other verdict of a version begins at 0: Prometheus sees its first one, too.
            let verdicts = given.entry((row.text(0), row.text(1))).or_insert_with(both);
            verdicts.insert(row.text(2), row.count(3));
        }
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            name.to_owned()
        };
        let help =
            "verdicts given, by function, version of its model and verdict; one that replaces another counts, too";
        let name = head(&mut text, "drover_feedback_verdicts_total", "counter", help);
        for ((function, version), verdicts) in &given {
            for (verdict, n) in verdicts {
                let labels = format!("{},verdict=\"{verdict}\"", labels(function, version));
                text.push_str(&format!("{name}{{{labels}}} {n}\n"));
            }
        }
        let help = "share of the answers of the last seven days, among those with a verdict, that were right";
        let name = head(&mut text, "drover_feedback_agreement", "gauge", help);
        for row in &recent {
            let votes = Votes::of(row.count(2), row.count(3).saturating_sub(row.count(2)));
            let labels = labels(&row.text(0), &row.text(1));
            text.push_str(&format!("{name}{{{labels}}} {}\n", votes.agreement.unwrap_or_default()));
        }
        let name = head(&mut text, "drover_feedback_stored", "gauge", "verdicts in the store");
        text.push_str(&format!("{name} {}\n", rows.first().map_or(0, |row| row.count(0))));
        Ok(text)
    }
}

fn both() -> BTreeMap<String, u64> {
    ["up", "down"].map(|verdict| (verdict.to_owned(), 0)).into()
}

fn labels(function: &str, version: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("function=\"{}\",version=\"{}\"", escaped(function), escaped(version))
}
