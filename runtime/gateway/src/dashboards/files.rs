//! The dashboards as `grafana/make.py` writes them, read once.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::Value;

/// A dashboard, as the console is told of it.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Dashboard {
    pub(super) uid: String,
    title: String,
    description: String,
    pub(super) function: Takes,
    pub(super) panels: Vec<Panel>,
}

/// Whether a dashboard is of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Takes {
    None,
    /// Of one that has to be chosen.
    One,
    /// Of all, or of one.
    Any,
}

/// A panel. What is asked for it stays here.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Panel {
    pub(super) id: u64,
    pub(super) title: String,
    description: String,
    /// `timeseries`, `stat`, `gauge` or `heatmap`.
    #[serde(rename = "type")]
    kind: String,
    /// As Grafana names units, such as `percentunit`.
    unit: String,
    is_stacked: bool,
    max: Option<f64>,
    /// Its place, of 24 columns: `x`, `y`, `w`, `h`.
    grid: Value,
    #[serde(skip)]
    pub(super) queries: Vec<Query>,
}

/// An expression of Prometheus with variables, and what its series are called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) expression: String,
    pub(super) legend: String,
}

/// All dashboards, the one that is opened first before the others.
pub(super) static DASHBOARDS: LazyLock<Vec<Dashboard>> = LazyLock::new(|| {
    let files = [
        include_str!("../../../../grafana/dashboards/overview.json"),
        include_str!("../../../../grafana/dashboards/function.json"),
        include_str!("../../../../grafana/dashboards/load.json"),
        include_str!("../../../../grafana/dashboards/cluster.json"),
    ];
    files.into_iter().filter_map(|text| serde_json::from_str(text).ok()).map(|file| dashboard(&file)).collect()
});

fn dashboard(file: &Value) -> Dashboard {
    let variables = items(file, "/templating/list");
    let function = match variables.iter().find(|variable| variable["name"] == "function") {
        None => Takes::None,
        Some(variable) if variable["includeAll"] == true => Takes::Any,
        Some(_) => Takes::One,
    };
    Dashboard {
        uid: text(file, "/uid"),
        title: text(file, "/title"),
        description: text(file, "/description"),
        function,
        panels: items(file, "/panels").iter().map(panel).collect(),
    }
}

fn panel(file: &Value) -> Panel {
    Panel {
        id: file["id"].as_u64().unwrap_or_default(),
        title: text(file, "/title"),
        description: text(file, "/description"),
        kind: text(file, "/type"),
        unit: text(file, "/fieldConfig/defaults/unit"),
        is_stacked: text(file, "/fieldConfig/defaults/custom/stacking/mode") == "normal",
        max: file.pointer("/fieldConfig/defaults/max").and_then(Value::as_f64),
        grid: file["gridPos"].clone(),
        queries: items(file, "/targets").iter().map(query).collect(),
    }
}

fn query(target: &Value) -> Query {
    Query { expression: text(target, "/expr"), legend: text(target, "/legendFormat") }
}

fn text(of: &Value, at: &str) -> String {
    of.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn items<'v>(of: &'v Value, at: &str) -> &'v [Value] {
    of.pointer(at).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::fill;
    use super::*;

    #[test]
    fn all_dashboards_of_the_folder_are_here_and_whole() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana/dashboards");
        assert_eq!(std::fs::read_dir(dir).unwrap().count(), DASHBOARDS.len());
        let takes = |uid: &str| DASHBOARDS.iter().find(|board| board.uid == uid).unwrap().function;
        assert_eq!(takes("drover-overview"), Takes::Any);
        assert_eq!(takes("drover-function"), Takes::One);
        assert_eq!(takes("drover-cluster"), Takes::None);
        for board in DASHBOARDS.iter() {
            assert!(!board.title.is_empty() && !board.description.is_empty() && board.panels.len() > 5, "{board:?}");
            let ids: BTreeSet<_> = board.panels.iter().map(|panel| panel.id).collect();
            assert_eq!(ids.len(), board.panels.len(), "{}: each panel has its id", board.uid);
            for panel in &board.panels {
                assert!(
                    !panel.title.is_empty() && !panel.description.is_empty() && !panel.queries.is_empty(),
                    "{panel:?}"
                );
                assert!(["timeseries", "stat", "gauge", "heatmap"].contains(&panel.kind.as_str()), "{panel:?}");
                assert!(panel.grid["w"].is_u64(), "{panel:?}");
            }
        }
    }

    #[test]
    fn no_variable_is_left_in_any_expression() {
        let function = "penguins".parse().unwrap();
        for query in DASHBOARDS.iter().flat_map(|board| &board.panels).flat_map(|panel| &panel.queries) {
            let filled = fill::expression(&query.expression, Some(&function), 15, 5);
            assert!(!filled.is_empty() && !filled.contains('$'), "{filled}");
        }
    }
}
