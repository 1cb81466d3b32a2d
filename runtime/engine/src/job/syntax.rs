//! A job file's text as evaluated blocks that know their lines.

use std::ops::Range;

use hcl::edit::structure::{Block as RawBlock, Body, Structure};
use hcl::edit::{Span, parser};
use hcl::eval::{Context, Evaluate};
use hcl::{Expression, Value};

use super::findings::Findings;

/// An attribute with its evaluated value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) line: usize,
}

/// A block with everything in it evaluated.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Block {
    pub(crate) kind: String,
    pub(crate) labels: Vec<String>,
    pub(crate) line: usize,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) blocks: Vec<Block>,
}

/// The text of a file, to turn byte offsets into lines.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Text<'_> {
    /// Returns the line, from 1, on which `span` begins.
    pub(crate) fn line(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |s| s.start);
        1 + self.0.bytes().take(start).filter(|b| *b == b'\n').count()
    }
}

/// Parses a job file's text.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Body> {
    match parser::parse_body(text) {
        Ok(body) => Some(body),
        Err(e) => {
            findings.mistake(e.location().line(), e.message());
            None
        }
    }
}

/// Evaluates one expression, or notes what is wrong with it on `line`.
pub(crate) fn evaluate(
    raw: &hcl::edit::expr::Expression,
    line: usize,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Value> {
    match Expression::from(raw.clone()).evaluate(context) {
        Ok(value) => Some(value),
        Err(e) => {
            findings.mistake(line, e.kind());
            None
        }
    }
}

/// Evaluates a block and all blocks in it; a `dynamic` block becomes as many blocks as it says.
pub(crate) fn block(raw: &RawBlock, text: &Text<'_>, context: &Context<'_>, findings: &mut Findings) -> Block {
    let labels = raw.labels.iter().map(|label| label.as_str().to_owned()).collect();
    let mut block = Block { kind: raw.ident.to_string(), labels, line: text.line(raw.span()), ..Block::default() };
    fill(&mut block, &raw.body, text, context, findings);
    block
}

fn fill(block: &mut Block, body: &Body, text: &Text<'_>, context: &Context<'_>, findings: &mut Findings) {
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let (key, line) = (attribute.key.to_string(), text.line(attribute.span()));
                if let Some(value) = evaluate(&attribute.value, line, context, findings) {
                    block.attributes.push(Attribute { key: key.trim().to_owned(), value, line });
                }
            }
            Structure::Block(inner) if inner.has_ident("dynamic") => {
                block.blocks.extend(dynamic(inner, text, context, findings));
            }
            Structure::Block(inner) => block.blocks.push(self::block(inner, text, context, findings)),
        }
    }
}

fn dynamic(raw: &RawBlock, text: &Text<'_>, context: &Context<'_>, findings: &mut Findings) -> Vec<Block> {
    let line = text.line(raw.span());
    let kind = raw.labels.first().map_or("", |label| label.as_str());
    let (Some(for_each), Some(content)) = (raw.body.get_attribute("for_each"), raw.body.get_blocks("content").next())
    else {
        findings.mistake(line, format!("`dynamic \"{kind}\"` needs `for_each` and a `content` block"));
        return Vec::new();
    };
    let iterator = raw.body.get_attribute("iterator").map_or(kind.to_owned(), |a| a.value.to_string().trim().into());
    let Some(value) = evaluate(&for_each.value, line, context, findings) else { return Vec::new() };
    let items: Vec<(Value, Value)> = match value {
        Value::Array(items) => items.into_iter().enumerate().map(|(i, v)| (Value::from(i), v)).collect(),
        Value::Object(items) => items.into_iter().map(|(k, v)| (Value::from(k), v)).collect(),
        Value::Null => Vec::new(),
        other => {
            findings.mistake(line, format!("`for_each` is `{other}`, not a list or a map"));
            return Vec::new();
        }
    };
    let one = |(key, value): (Value, Value)| {
        let mut inner = context.clone();
        let item = hcl::Map::from_iter([("key".to_owned(), key), ("value".to_owned(), value)]);
        inner.declare_var(hcl::Identifier::sanitized(&iterator), Value::Object(item));
        let mut block = Block { kind: kind.to_owned(), line, ..Block::default() };
        fill(&mut block, &content.body, text, &inner, findings);
        block
    };
    items.into_iter().map(one).collect()
}
