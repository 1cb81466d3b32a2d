//! Reads Prometheus text: the gateway's own counters, and those of instances.

/// One sample: a metric, its labels as they are written, and its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample<'t> {
    pub(crate) name: &'t str,
    labels: &'t str,
    pub(crate) value: f64,
}

impl<'t> Sample<'t> {
    /// Returns the value of a label. Of what Drover writes, no value has quotes in it.
    pub(crate) fn label(&self, name: &str) -> Option<&'t str> {
        let mut pairs = self.labels.split("\",").filter_map(|pair| pair.split_once("=\""));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.trim_end_matches('"'))
    }
}

/// Returns all samples of `text`; what is not one is left out.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Sample { name, labels: labels.trim_end_matches('}'), value: value.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a b\n\nup 1\nn_total{function=\"x\",code=\"200\"} 7\nb_bucket{le=\"+Inf\"} 2.5\nbroken\n";
        let all: Vec<_> = samples(text).collect();
        let [up, total, bucket] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((up.name, up.value, up.label("le")), ("up", 1.0, None));
        assert_eq!((total.name, total.value), ("n_total", 7.0));
        assert_eq!((total.label("function"), total.label("code"), total.label("kind")), (Some("x"), Some("200"), None));
        assert_eq!((bucket.label("le"), bucket.value), (Some("+Inf"), 2.5));
    }
}
