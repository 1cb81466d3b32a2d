//! The picture of one trace: its load, and what both rules made of it.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::trace::Trace;
use crate::world::{Run, Second};

const SIZE: (u32, u32) = (1200, 1300);
const TITLE: u32 = 58;
const GREY: RGBColor = RGBColor(110, 118, 129);
const BLUE: RGBColor = RGBColor(9, 105, 218);
const ORANGE: RGBColor = RGBColor(207, 92, 0);
const FONT: &str = "sans-serif";
/// Room above the highest point, for the legend.
const HEADROOM: f64 = 1.45;
/// Seconds that are drawn as one point.
const BIN: usize = 5;

/// A line, or an area under one.
struct Series {
    label: &'static str,
    colour: RGBColor,
    is_area: bool,
    points: Vec<(f64, f64)>,
}

type Outcome = Result<(), Box<dyn Error>>;

/// Draws `trace` to `path`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(path: &Path, trace: &Trace, drover: &Run, stock: &Run) -> Outcome {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(TITLE);
    let title = format!("Drover's scaling rule and the Nomad Autoscaler's on one load ({})", trace.title);
    head.draw(&Text::new(title, (24, 14), (FONT, 22).into_font()))?;
    let under = "2 slots per instance, 0.5 to 1.5 s per invocation, 0.5 s to start, target 1.4 in flight per instance, \
                 0 to 40 instances; each point is the highest value of 5 s";
    head.draw(&Text::new(under, (24, 41), (FONT, 14).into_font().color(&GREY)))?;

    let line = |label, colour, points| Series { label, colour, is_area: false, points };
    let area = |label, colour, points| Series { label, colour, is_area: true, points };
    let load = bins(&trace.seconds, |&n| n);
    let [ours, theirs] = [drover, stock].map(|run| {
        let of = |value: fn(&Second) -> u32| bins(&run.seconds, value);
        (of(|s| s.n_ready), of(|s| s.wanted), of(|s| s.in_flight), of(|s| s.waiting))
    });
    let n_most = highest(&[&ours.0, &ours.1, &theirs.0, &theirs.1]);
    let panels = body.split_evenly((5, 1));
    let [first, second, third, fourth, fifth] = panels.as_slice() else { return Err("five panels".into()) };
    panel(first, "Load", "requests/s", None, &[area("requests that arrive", GREY, load)])?;
    let instances = [area("ready", BLUE, ours.0), line("wanted", BLACK, ours.1)];
    panel(second, "Drover: decided each second", "instances", n_most, &instances)?;
    let instances = [area("ready", ORANGE, theirs.0), line("wanted", BLACK, theirs.1)];
    panel(third, "Nomad Autoscaler: decided each 10 s, cooldown 5 min", "instances", n_most, &instances)?;
    let in_flight = [line("Nomad Autoscaler", ORANGE, theirs.2), line("Drover", BLUE, ours.2)];
    panel(fourth, "In flight: running and waiting", "invocations", None, &in_flight)?;
    let waiting = [line("Nomad Autoscaler", ORANGE, theirs.3), line("Drover", BLUE, ours.3)];
    panel(fifth, "Of these, waiting for a slot", "invocations", None, &waiting)?;
    Ok(root.present()?)
}

/// Draws one panel, up to `most` if it is to have the scale of another.
fn panel(
    place: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    unit: &str,
    most: Option<f64>,
    all: &[Series],
) -> Outcome {
    let end = all.iter().filter_map(|s| s.points.last()).fold(1.0, |end: f64, point| end.max(point.0));
    let points: Vec<_> = all.iter().map(|series| &series.points).collect();
    let most = most.or_else(|| highest(&points)).unwrap_or(1.0) * HEADROOM;
    let mut chart = ChartBuilder::on(place)
        .caption(title, (FONT, 16))
        .margin_left(10)
        .margin_right(24)
        .x_label_area_size(38)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0.0..most)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.2))
        .x_labels(13)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc("minutes")
        .y_desc(unit)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 13))
        .draw()?;
    for Series { label, colour, is_area, points } in all {
        let (points, style) = (points.iter().copied(), colour.stroke_width(if *is_area { 1 } else { 2 }));
        let drawn = if *is_area {
            chart.draw_series(AreaSeries::new(points, 0.0, colour.mix(0.25)).border_style(style))?
        } else {
            chart.draw_series(LineSeries::new(points, style))?
        };
        let (is_area, colour) = (*is_area, *colour);
        drawn.label(*label).legend(move |(x, y)| {
            if is_area {
                Rectangle::new([(x, y - 5), (x + 18, y + 5)], colour.mix(0.35).filled()).into_dyn()
            } else {
                PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)).into_dyn()
            }
        });
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(GREY.mix(0.4))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// Returns the most of each few seconds, over minutes.
fn bins<T>(seconds: &[T], value: impl Fn(&T) -> u32) -> Vec<(f64, f64)> {
    let most = |bin: &[T]| bin.iter().map(&value).max().unwrap_or_default();
    seconds.chunks(BIN).zip(0u32..).map(|(bin, i)| (f64::from(i) * BIN as f64 / 60.0, most(bin).into())).collect()
}

fn highest(all: &[&Vec<(f64, f64)>]) -> Option<f64> {
    all.iter().flat_map(|points| points.iter()).map(|point| point.1).reduce(f64::max)
}
