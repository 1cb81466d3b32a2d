//! What the pages are made of. uPlot 1.6.32 is as its author released it, under the MIT licence.

/// The library that draws the charts.
pub(crate) const UPLOT_JS: &str = include_str!("../assets/uplot.js");
/// Its style.
pub(crate) const UPLOT_CSS: &str = include_str!("../assets/uplot.css");
/// Its licence, which goes wherever it goes.
pub(crate) const UPLOT_LICENCE: &str = include_str!("../assets/uplot.LICENSE");
/// The style of all pages.
pub(crate) const PAGE_CSS: &str = include_str!("../assets/page.css");
/// Charts, as all pages have them.
pub(crate) const CHARTS_JS: &str = include_str!("../assets/charts.js");
/// A run, as the live page and the file show it.
pub(crate) const VIEW_JS: &str = include_str!("../assets/view.js");
/// Shows the run that stands in the file.
pub(crate) const REPORT_JS: &str = include_str!("../assets/report.js");
/// Shows the runs that stand in the file beside each other.
pub(crate) const COMPARE_JS: &str = include_str!("../assets/compare.js");
/// The live page.
pub(crate) const LIVE_HTML: &str = include_str!("../assets/live.html");
/// Follows the run and steers it.
pub(crate) const LIVE_JS: &str = include_str!("../assets/live.js");
