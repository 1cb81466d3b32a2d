//! `variable` and `locals` blocks: types, defaults, validation, and values from outside.

use std::collections::BTreeMap;

use hcl::edit::Span;
use hcl::edit::structure::{Block, Body};
use hcl::eval::{Context, Evaluate};
use hcl::{Expression, Map, Number, Value};

use super::findings::Findings;
use super::syntax::{Text, evaluate};

/// Values for the variables of job files, as `-var` and `-var-file` give them; the later wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variables {
    given: BTreeMap<String, Given>,
}

#[derive(Debug, Clone, PartialEq)]
enum Given {
    /// As typed: its meaning depends on the type of the variable.
    Text(String),
    /// From a file, where it has a type already.
    Value(Value),
}

impl Variables {
    /// Adds one `name=value`, as `-var` takes it.
    ///
    /// # Errors
    /// Text without `=`, in words.
    pub fn add(&mut self, assignment: &str) -> Result<(), String> {
        let (name, value) =
            assignment.split_once('=').ok_or_else(|| format!("`-var {assignment}` is not NAME=VALUE"))?;
        self.set(name.trim(), value);
        Ok(())
    }

    /// Sets the variable `name`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.given.insert(name.into(), Given::Text(value.into()));
    }

    /// Adds the assignments of a variables file (HCL attributes).
    ///
    /// # Errors
    /// What the file has wrong, in words.
    pub fn add_file(&mut self, file: &str, text: &str) -> Result<(), String> {
        let body = hcl::parse(text).map_err(|e| format!("{file}: {e}"))?;
        for structure in body {
            let hcl::Structure::Attribute(attribute) = structure else {
                return Err(format!("{file}: a variables file has only lines of the form name = value"));
            };
            let name = attribute.key.to_string();
            let value = attribute.expr.evaluate(&Context::new()).map_err(|e| format!("{file}: `{name}`: {e}"))?;
            self.given.insert(name, Given::Value(value));
        }
        Ok(())
    }

    /// Returns the names that were given but that no file in `declared` knows.
    pub fn unknown<'a>(&'a self, declared: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.given.keys().map(String::as_str).filter(|name| !declared.iter().any(|d| d == name))
    }
}

/// Declares `var` and `local` in `context`; returns the names of the variables.
pub(crate) fn declare(
    body: &Body,
    text: &Text<'_>,
    given: &Variables,
    context: &mut Context<'_>,
    findings: &mut Findings,
) -> Vec<String> {
    let (mut vars, mut names) = (Map::new(), Vec::new());
    let blocks: Vec<&Block> = body.get_blocks("variable").collect();
    for block in &blocks {
        let Some(name) = block.labels.first().map(|label| label.as_str().to_owned()) else {
            findings.mistake(text.line(block.span()), "`variable` needs a name");
            continue;
        };
        if let Some(value) = value_of(&name, block, text, given, context, findings) {
            vars.insert(name.clone(), value);
        }
        names.push(name);
    }
    let known: Vec<String> = vars.keys().cloned().collect();
    context.declare_var("var", Value::Object(vars));
    let has_value =
        |block: &&Block| block.labels.first().is_some_and(|label| known.iter().any(|n| n == label.as_str()));
    for block in blocks.into_iter().filter(has_value) {
        validate(block, text, context, findings);
    }
    locals(body, text, context, findings);
    names
}

fn value_of(
    name: &str,
    block: &Block,
    text: &Text<'_>,
    given: &Variables,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Value> {
    let line = text.line(block.span());
    for attribute in block.body.attributes() {
        let key = attribute.key.to_string();
        if !["type", "default", "description", "sensitive", "nullable"].contains(&key.trim()) {
            findings.mistake(text.line(attribute.span()), format!("`{}` means nothing in a variable", key.trim()));
        }
    }
    let kind = block.body.get_attribute("type").map_or("any".into(), |a| a.value.to_string().trim().to_owned());
    let value = match given.given.get(name) {
        Some(Given::Text(typed)) => match from_text(typed, &kind) {
            Ok(value) => value,
            Err(why) => {
                findings.mistake(line, format!("variable `{name}`: {why}"));
                return None;
            }
        },
        Some(Given::Value(value)) => value.clone(),
        None => match block.body.get_attribute("default") {
            Some(default) => return evaluate(&default.value, text.line(default.span()), context, findings),
            None => {
                findings.mistake(line, format!("variable `{name}` has no default: give it with -var {name}=..."));
                return None;
            }
        },
    };
    match convert(value, &kind) {
        Ok(value) => Some(value),
        Err(why) => {
            findings.mistake(line, format!("variable `{name}`: {why}"));
            None
        }
    }
}

fn from_text(typed: &str, kind: &str) -> Result<Value, String> {
    match kind {
        "string" | "any" => Ok(Value::from(typed)),
        "number" | "bool" => convert(Value::from(typed), kind),
        _ => {
            let bad = |e: &dyn std::fmt::Display| format!("`{typed}` is not a {kind}: {e}");
            let expression: Expression = typed.parse().map_err(|e| bad(&e))?;
            expression.evaluate(&Context::new()).map_err(|e| bad(&e.kind()))
        }
    }
}

fn convert(value: Value, kind: &str) -> Result<Value, String> {
    let wrong = |value: &Value| Err(format!("`{value}` is not a {kind}"));
    match (kind, value) {
        ("string", Value::Number(n)) => Ok(Value::from(n.to_string())),
        ("string", Value::Bool(b)) => Ok(Value::from(b.to_string())),
        ("number", Value::String(s)) => match number(&s) {
            Some(n) => Ok(Value::Number(n)),
            None => Err(format!("`{s}` is not a number")),
        },
        ("bool", Value::String(s)) => match s.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("`{s}` is not true or false")),
        },
        ("string", v) if !v.is_string() && !v.is_null() => wrong(&v),
        ("number", v) if !v.is_number() && !v.is_null() => wrong(&v),
        ("bool", v) if !v.is_boolean() && !v.is_null() => wrong(&v),
        (k, v) if (k.starts_with("list") || k.starts_with("set")) && !v.is_array() && !v.is_null() => wrong(&v),
        (k, v) if (k.starts_with("map") || k.starts_with("object")) && !v.is_object() && !v.is_null() => wrong(&v),
        (_, v) => Ok(v),
    }
}

/// Returns the number that `text` writes.
pub(crate) fn number(text: &str) -> Option<Number> {
    text.parse::<i64>().ok().map(Number::from).or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

fn validate(block: &Block, text: &Text<'_>, context: &Context<'_>, findings: &mut Findings) {
    for inner in block.body.blocks() {
        let line = text.line(inner.span());
        if !inner.has_ident("validation") {
            findings.mistake(line, format!("`{}` means nothing in a variable", inner.ident.as_str()));
            continue;
        }
        let Some(condition) = inner.body.get_attribute("condition") else { continue };
        if evaluate(&condition.value, line, context, findings) == Some(Value::Bool(false)) {
            let why = inner.body.get_attribute("error_message").and_then(|a| a.value.as_str().map(str::to_owned));
            let name = block.labels.first().map_or("", |label| label.as_str());
            findings.mistake(line, format!("variable `{name}`: {}", why.as_deref().unwrap_or("not valid")));
        }
    }
}

/// Declares the locals in rounds, as one may need another; what no round solves is a mistake.
fn locals(body: &Body, text: &Text<'_>, context: &mut Context<'_>, findings: &mut Findings) {
    let mut open: Vec<_> = body.get_blocks("locals").flat_map(|block| block.body.attributes()).collect();
    let mut solved = Map::new();
    context.declare_var("local", Value::Object(solved.clone()));
    loop {
        let before = open.len();
        open.retain(|attribute| match Expression::from(attribute.value.clone()).evaluate(context) {
            Ok(value) => {
                solved.insert(attribute.key.to_string().trim().to_owned(), value);
                false
            }
            Err(_) => true,
        });
        context.declare_var("local", Value::Object(solved.clone()));
        if open.is_empty() || open.len() == before {
            break;
        }
    }
    for attribute in open {
        evaluate(&attribute.value, text.line(attribute.span()), context, findings);
    }
}
