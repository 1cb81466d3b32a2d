//! What a server counts, read from its `/metrics`.

use std::collections::BTreeMap;

use crate::client;

/// The counters of a server, or what they grew by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Reads `URL/metrics`.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn of(url: &str) -> Self {
        Self::try_of(url).await.unwrap_or_else(|| panic!("{url}/metrics does not answer"))
    }

    /// Reads `URL/metrics`; nothing if the server does not answer.
    pub async fn try_of(url: &str) -> Option<Self> {
        let text = client().get(format!("{url}/metrics")).send().await.ok()?.text().await.ok()?;
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let series = series.filter_map(|line| line.rsplit_once(' '));
        Some(Self(series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()))
    }

    /// Returns the sum of all series of the metric `name` that have every one of `labels`, such as
    /// `code="200"`; 0 if there are none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.get(name, labels).unwrap_or(0.0)
    }

    /// As [`Scrape::sum`]; nothing if there are none.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let is_it =
            |series: &str| series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        let all =
            self.0.iter().filter(|(series, _)| is_it(series) && labels.iter().all(|label| series.contains(label)));
        all.map(|(_, value)| *value).reduce(|a, b| a + b)
    }

    /// Returns by how much everything grew since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let growth = |(name, value): (&String, &f64)| (name.clone(), value - before.0.get(name).unwrap_or(&0.0));
        Self(self.0.iter().map(growth).collect())
    }
}
