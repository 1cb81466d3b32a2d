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
        let url = format!("{url}/metrics");
        let answer = client().get(&url).send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let text = answer.text().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let series = series.filter_map(|line| line.rsplit_once(' '));
        Self(series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// Returns the sum of all series of the metric `name` that have every one of `labels`, such as
    /// `code="200"`.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_of =
            |series: &str| series.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        let all =
            self.0.iter().filter(|(series, _)| is_of(series) && labels.iter().all(|label| series.contains(label)));
        // An empty sum of floats is -0.
        all.map(|(_, value)| value).sum::<f64>() + 0.0
    }

    /// Returns by how much everything grew since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let growth = |(name, value): (&String, &f64)| (name.clone(), value - before.0.get(name).unwrap_or(&0.0));
        Self(self.0.iter().map(growth).collect())
    }

    /// Returns the sum of two servers' counters.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(name, value)| *self.0.entry(name.clone()).or_default() += value);
        self
    }
}
