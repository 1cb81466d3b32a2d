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
pub(super) struct Side {
    /// What it shows.
    pub(super) title: &'static str,
    /// Whether equal steps are equal factors.
    pub(super) is_log: bool,
    /// What a value looks like.
    pub(super) show: fn(f64) -> String,
}

/// A point.
#[derive(Debug, Clone)]
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    /// A colour of the pages, such as `--red`.
    pub(super) colour: &'static str,
    /// What it is, for those who point at it.
    pub(super) text: String,
}

/// A line.
pub(super) struct Line<'a> {
    pub(super) of: &'a dyn Fn(f64) -> f64,
    pub(super) colour: &'static str,
    pub(super) is_dashed: bool,
}

/// A chart.
pub(super) struct Chart<'a> {
    pub(super) x: Side,
    pub(super) y: Side,
    pub(super) dots: Vec<Dot>,
    pub(super) lines: Vec<Line<'a>>,
    /// A value of the y axis that is a limit.
    pub(super) limit: Option<f64>,
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
    /// Returns it as an SVG element; nothing without a dot.
    pub(super) fn svg(&self) -> Option<String> {
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
        svg.push_str("</svg>");
        Some(svg)
    }
}
