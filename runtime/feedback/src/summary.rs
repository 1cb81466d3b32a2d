//! How often users agree with a function, by version and day, and what it takes for what.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

use crate::entry::time;
use crate::error::StoreError;
use crate::filter::Filter;
use crate::sql::{Row, Statement};
use crate::store::Store;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// What users say of one function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) function: String,
    #[serde(flatten)]
    pub(crate) votes: Votes,
    pub(crate) versions: Vec<Version>,
    /// Of what is known to be right: predicted, expected, how often.
    pub(crate) confusion: Vec<Confused>,
    /// For the gateway, which asks the instances.
    pub(crate) drift: Json,
}

/// How many said what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Votes {
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// The share of `up`; nothing without votes.
    pub(crate) agreement: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    #[serde(flatten)]
    pub(crate) votes: Votes,
    pub(crate) days: Vec<Day>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Day {
    /// Such as 2026-11-21, in UTC.
    pub(crate) day: String,
    pub(crate) up: u64,
    pub(crate) down: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Confused {
    pub(crate) predicted: String,
    pub(crate) expected: String,
    pub(crate) count: u64,
}

impl Votes {
    /// Counts votes.
    pub(crate) fn of(up: u64, down: u64) -> Self {
        let all = up + down;
        Self { up, down, agreement: (all > 0).then(|| up as f64 / all as f64) }
    }

    fn and(self, day: &Day) -> Self {
        Self::of(self.up + day.up, self.down + day.down)
    }
}

impl Store {
    /// Returns what users say of `function` in the time of `filter`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn summary(&self, function: String, filter: &Filter) -> Result<Summary, StoreError> {
        let filter = Filter { function: Some(function.clone()), ..filter.clone() };
        let mut values = Vec::new();
        let condition = filter.condition(None, &mut values);
        let sql = format!(
            "SELECT version, answered_ms / {DAY_MS}, SUM(CASE verdict WHEN 'up' THEN 1 ELSE 0 END), COUNT(*) \
             FROM feedback WHERE {condition} GROUP BY version, answered_ms / {DAY_MS} \
             ORDER BY version, answered_ms / {DAY_MS}"
        );
        let days = self.database.read(Statement::new(sql, values.clone())).await?;
        let sql = format!(
            "SELECT prediction, COALESCE(expected, prediction), COUNT(*) FROM feedback \
             WHERE {condition} AND prediction IS NOT NULL AND (verdict = 'up' OR expected IS NOT NULL) \
             GROUP BY prediction, COALESCE(expected, prediction) \
             ORDER BY prediction, COALESCE(expected, prediction)"
        );
        let confusion = self.database.read(Statement::new(sql, values)).await?;
        let versions = versions(&days);
        Ok(Summary {
            function,
            votes: Votes::of(versions.iter().map(|v| v.votes.up).sum(), versions.iter().map(|v| v.votes.down).sum()),
            versions,
            confusion: confusion
                .iter()
                .map(|row| Confused { predicted: row.text(0), expected: row.text(1), count: row.count(2) })
                .collect(),
            drift: Json::Null,
        })
    }
}

fn versions(rows: &[Row]) -> Vec<Version> {
    let mut found: BTreeMap<String, (Votes, Vec<Day>)> = BTreeMap::new();
    for row in rows {
        let (up, all) = (row.count(2), row.count(3));
        let day = time(row.count(1).saturating_mul(DAY_MS)).chars().take(10).collect();
        let day = Day { day, up, down: all.saturating_sub(up) };
        let (votes, days) = found.entry(row.text(0)).or_default();
        *votes = votes.and(&day);
        days.push(day);
    }
    found.into_iter().map(|(version, (votes, days))| Version { version, votes, days }).collect()
}
