//! Charts as SVG: points and lines over two axes, each of them equal or logarithmic.

use std::fmt::Write as _;

const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 300.0;
/// Room for the texts beside the axes.
const LEFT: f64 = 70.0;
const BELOW: f64 = 42.0;
const ABOVE: f64 = 12.0;
const RIGHT: f64 = 18.0;
/// Steps of a line that is drawn after a formula.
const STEPS: u32 = 60;

/// An axis.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// What it shows.
    pub title: &'static str,
    /// Whether equal steps are equal factors.
    pub is_log: bool,
    /// What a value looks like.
    pub show: fn(f64) -> String,
}

/// A point.
#[derive(Debug, Clone)]
pub struct Dot {
    /// Where it is along the x axis.
    pub x: f64,
    /// Where it is along the y axis.
    pub y: f64,
    /// A colour of the pages, such as `--red`.
    pub colour: &'static str,
    /// What it is, for those who point at it.
    pub text: String,
}

/// A line.
pub struct Line<'a> {
    /// The formula that it is drawn after.
    pub of: &'a dyn Fn(f64) -> f64,
    /// A colour of the pages.
    pub colour: &'static str,
    /// Whether it has gaps.
    pub is_dashed: bool,
}

/// A chart.
pub struct Chart<'a> {
    /// The axis from left to right.
    pub x: Side,
    /// The axis from below.
    pub y: Side,
    /// Its points: without one there is no chart.
    pub dots: Vec<Dot>,
    /// Its lines.
    pub lines: Vec<Line<'a>>,
    /// What each colour means, where the title does not say it.
    pub names: Vec<(&'static str, String)>,
    /// A value of the y axis that is a limit.
    pub limit: Option<f64>,
}

/// The ends of an axis.
#[derive(Clone, Copy)]
struct Span {
    least: f64,
    most: f64,
    is_log: bool,
}

impl Span {
    fn of(side: Side, values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        match side.is_log {
            true => Self { least: least.max(1e-3) / 1.2, most: most.max(2e-3) * 1.2, is_log: true },
            false => Self { least: 0.0, most: if most > 0.0 { most * 1.08 } else { 1.0 }, is_log: false },
        }
    }

    /// Returns where a value is, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        match self.is_log {
            true => (value.max(1e-9) / self.least).ln() / (self.most / self.least).ln(),
            false => (value - self.least) / (self.most - self.least),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self.is_log {
            true => self.least * (self.most / self.least).powf(place),
            false => self.least + place * (self.most - self.least),
        }
    }

    /// Returns round values inside.
    fn marks(self) -> Vec<f64> {
        let steps: &[f64] = if self.is_log { &[1.0, 2.0, 5.0] } else { &[1.0] };
        if self.is_log {
            let decades = (-3..9).map(|n| 10_f64.powi(n));
            let all = decades.flat_map(|decade| steps.iter().map(move |step| step * decade));
            return all.filter(|value| (self.least..=self.most).contains(value)).collect();
        }
        let rough = (self.most - self.least) / 5.0;
        let decade = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * decade).into_iter().find(|step| *step >= rough).unwrap_or(rough);
        (0..20).map(|n| f64::from(n) * step).filter(|value| *value <= self.most).collect()
    }
}

impl Chart<'_> {
    /// Returns it as an SVG element, for a page that has the colours; nothing without a dot.
    #[must_use]
    pub fn svg(&self) -> Option<String> {
        if self.dots.is_empty() {
            return None;
        }
        let xs = self.dots.iter().map(|dot| dot.x);
        let x = Span::of(self.x, xs.clone());
        let y = Span::of(self.y, self.dots.iter().map(|dot| dot.y).chain(self.limit));
        let at_x = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
        let at_y = |value: f64| HEIGHT - BELOW - y.place(value) * (HEIGHT - BELOW - ABOVE);
        let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-size="11">"#);
        for mark in y.marks() {
            let (place, text) = (at_y(mark), (self.y.show)(mark));
            let _ = write!(
                svg,
                r#"<line x1="{LEFT}" x2="{:.1}" y1="{place:.1}" y2="{place:.1}" stroke="var(--grid)"/><text x="{:.1}" y="{:.1}" text-anchor="end" fill="var(--dim)">{text}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                place + 4.0
            );
        }
        for mark in x.marks() {
            let (place, text) = (at_x(mark), (self.x.show)(mark));
            let _ = write!(
                svg,
                r#"<text x="{place:.1}" y="{:.1}" text-anchor="middle" fill="var(--dim)">{text}</text>"#,
                HEIGHT - BELOW + 18.0
            );
        }
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="var(--dim)">{}</text><text x="{LEFT}" y="{ABOVE}" fill="var(--dim)">{}</text>"#,
            WIDTH - RIGHT,
            HEIGHT - 6.0,
            self.x.title,
            self.y.title
        );
        if let Some(limit) = self.limit {
            let place = at_y(limit);
            let _ = write!(
                svg,
                r#"<line x1="{LEFT}" x2="{:.1}" y1="{place:.1}" y2="{place:.1}" stroke="var(--red)" stroke-dasharray="5 4"/>"#,
                WIDTH - RIGHT
            );
        }
        for line in &self.lines {
            let points = (0..=STEPS).map(|step| {
                let value = x.value(f64::from(step) / f64::from(STEPS));
                format!("{:.1},{:.1}", at_x(value), at_y((line.of)(value).clamp(y.least, y.most)))
            });
            let dash = if line.is_dashed { r#" stroke-dasharray="5 4""# } else { "" };
            let _ = write!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="var({})" stroke-width="1.75"{dash}/>"#,
                points.collect::<Vec<_>>().join(" "),
                line.colour
            );
        }
        for dot in &self.dots {
            let _ = write!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="5" fill="var({})" fill-opacity="0.8"><title>{}</title></circle>"#,
                at_x(dot.x),
                at_y(dot.y),
                dot.colour,
                crate::report::html::escaped(&dot.text)
            );
        }
        for (place, (colour, name)) in (0_u32..).zip(&self.names) {
            let y = ABOVE + 14.0 + 16.0 * f64::from(place);
            let _ = write!(
                svg,
                r#"<circle cx="{:.1}" cy="{:.1}" r="4" fill="var({colour})"/><text x="{:.1}" y="{y:.1}" fill="var(--dim)">{}</text>"#,
                LEFT + 12.0,
                y - 4.0,
                LEFT + 22.0,
                crate::report::html::escaped(name)
            );
        }
        svg.push_str("</svg>");
        Some(svg)
    }

    /// Returns it as a file of its own, in the colours of the pages; nothing without a dot.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let palette = crate::assets::PAGE_CSS.split("* {").next().unwrap_or_default();
        let style = format!("<style>{palette}svg {{ background: var(--panel); font-family: sans-serif; }}</style>");
        let start = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" "#);
        let svg = self.svg()?.replacen("<svg ", &start, 1);
        let (head, rest) = svg.split_once('>')?;
        Some(format!("{head}>{style}{rest}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Chart, Dot, Side};

    #[test]
    fn a_file_of_its_own_has_its_colours_and_says_what_they_mean() {
        let side = |title| Side { title, is_log: true, show: |value| value.to_string() };
        let dot = Dot { x: 500.0, y: 0.05, colour: "--teal", text: "a < b".into() };
        let names = vec![("--teal", "penguins".to_owned())];
        let chart = Chart { x: side("users"), y: side("CPU"), dots: vec![dot], lines: Vec::new(), names, limit: None };
        let file = chart.file().unwrap();
        assert!(file.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg""#) && file.ends_with("</svg>\n"), "{file}");
        for part in ["--teal: #", ">penguins</text>", "a &lt; b", ">500</text>", ">0.05</text>"] {
            assert!(file.contains(part), "{part}: {file}");
        }
        assert_eq!(Chart { dots: Vec::new(), ..chart }.file(), None);
    }
}
