//! Compares a graph with the card that describes it.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

use super::PROBABILITIES;
use crate::model::{Card, Element, TensorSpec};

/// Returns what the graph takes or gives otherwise than the card says, one line each.
pub(super) fn differences(card: &Card, graph: &Session) -> Vec<String> {
    let mut lines = Vec::new();
    compare("input", graph.inputs(), &card.inputs, &mut lines);
    compare("output", graph.outputs(), &card.outputs, &mut lines);
    lines
}

/// Returns what the card lacks to be that of a classifier, one line each.
pub(super) fn lacks_for_classifier(card: &Card) -> Vec<String> {
    let mut lines = Vec::new();
    if card.labels.is_empty() {
        lines.push("a classifier needs labels, the card has none".into());
    }
    if card.inputs.len() != 1 {
        lines.push(format!("a classifier has one input, the card says {}", card.inputs.len()));
    }
    let columns = i64::try_from(card.labels.len()).unwrap_or(i64::MAX);
    let wanted = TensorSpec { name: PROBABILITIES.into(), element: Element::Float32, shape: vec![-1, columns] };
    if !card.outputs.contains(&wanted) {
        let found: Vec<_> = card.outputs.iter().map(ToString::to_string).collect();
        lines.push(format!("a classifier of {columns} labels gives {wanted}, the card says {}", found.join(", ")));
    }
    lines
}

/// Returns the columns of the card's one input, if that is a table of numbers with a fixed width.
pub(super) fn columns(card: &Card) -> Option<usize> {
    match card.inputs.as_slice() {
        [TensorSpec { element: Element::Float32, shape, .. }] => match shape.as_slice() {
            [-1, columns] => usize::try_from(*columns).ok(),
            _ => None,
        },
        _ => None,
    }
}

fn compare(what: &str, graph: &[Outlet], card: &[TensorSpec], lines: &mut Vec<String>) {
    for place in 0..graph.len().max(card.len()) {
        match (graph.get(place), card.get(place)) {
            (Some(found), Some(said)) if *said == *found => {}
            (Some(found), Some(said)) => {
                lines.push(format!("{what} {place} is {}, the card says {said}", describe(found)));
            }
            (Some(found), None) => lines.push(format!("{what} {place} is {}, the card has none", describe(found))),
            (None, Some(said)) => lines.push(format!("there is no {what} {place}, the card says {said}")),
            (None, None) => {}
        }
    }
}

impl PartialEq<Outlet> for TensorSpec {
    fn eq(&self, outlet: &Outlet) -> bool {
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else { return false };
        let same_type = match self.element {
            Element::Float32 => *ty == TensorElementType::Float32,
            Element::Int64 => *ty == TensorElementType::Int64,
            Element::String => *ty == TensorElementType::String,
        };
        same_type && self.name == outlet.name() && self.shape.iter().eq(shape.iter())
    }
}

/// Describes a tensor of the graph in the words of a card.
fn describe(outlet: &Outlet) -> String {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => "float32".into(),
                TensorElementType::Int64 => "int64".into(),
                TensorElementType::String => "string".into(),
                other => other.to_string(),
            };
            format!("`{}` {element} {shape}", outlet.name())
        }
        other => format!("`{}` {other}", outlet.name()),
    }
}
