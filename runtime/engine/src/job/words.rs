//! Keeps `${NOMAD_PORT_http}` and its like as text while a file is evaluated: their values are known
//! only when an instance starts.

use hcl::edit::Spanned;
use hcl::edit::expr::Expression;
use hcl::edit::structure::Body;
use hcl::edit::template::Element;
use hcl::edit::visit_mut::{VisitMut, visit_element_mut};

/// The roots whose values only the running instance has.
const ROOTS: [&str; 5] = ["attr", "node", "meta", "env", "device"];

/// Turns every interpolation of a runtime word into the text that it was.
pub(crate) fn keep_runtime_words(body: &mut Body) {
    Keep.visit_body_mut(body);
}

/// Returns whether `name` is a word that is known only when an instance starts.
pub(crate) fn is_runtime_word(name: &str) -> bool {
    let root = name.split(['.', '[']).next().unwrap_or(name);
    root.starts_with("NOMAD_") || ROOTS.contains(&root)
}

struct Keep;

impl VisitMut for Keep {
    fn visit_element_mut(&mut self, element: &mut Element) {
        let Element::Interpolation(interpolation) = &*element else { return visit_element_mut(self, element) };
        let word = interpolation.expr.to_string();
        let plain = matches!(interpolation.expr, Expression::Variable(_) | Expression::Traversal(_));
        if plain && is_runtime_word(word.trim()) {
            *element = Element::Literal(Spanned::new(format!("${{{}}}", word.trim())));
        } else {
            visit_element_mut(self, element);
        }
    }
}
