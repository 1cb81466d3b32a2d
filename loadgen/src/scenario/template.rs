//! Texts with values in them, as Jinja writes them: `{{name}}`. They are compiled before the run begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastrand::Rng;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Jinja};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::judge::failure;
use crate::body::shape::draw::uuid;
use crate::work::Failure;

/// What a template is called in its own environment.
const NAME: &str = "text";
/// What every template may use besides the scenario's own names.
const BUILT_IN: [&str; 3] = ["uuid", "int", "iteration"];

/// A text with values in it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// Knows the template and the constants.
    jinja: Arc<Environment<'static>>,
    /// The values that answers give and the files of rows that it names, by their places.
    kept: Vec<(String, usize)>,
    data: Vec<(String, usize)>,
    draws: bool,
    /// The text, if nothing in it changes.
    fixed: Option<Bytes>,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Text,
    /// In a path or query.
    Url,
}

/// The names that templates may use.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Values that never change.
    pub(super) constants: BTreeMap<String, Value>,
    /// Values that answers give, by their place.
    pub(super) kept: Vec<String>,
    /// Files of rows, by their place, each with its columns.
    pub(super) data: Vec<(String, Vec<String>)>,
}

/// What a user knows when a text is made.
pub(super) trait Scope {
    /// Returns a value that an answer gave.
    fn kept(&self, place: usize) -> Result<&Value, Failure>;
    /// Returns this iteration's row of a file.
    fn row(&mut self, data: usize) -> &Value;
    /// Returns what draws.
    fn rng(&mut self) -> &mut Rng;
    /// Returns the number of this iteration, from 1.
    fn iteration(&self) -> u64;
}

impl Template {
    /// Compiles `text`; what is wrong with it is said as it would be to its author.
    pub(super) fn new(text: &str, form: Form, names: &Names) -> Result<Self, String> {
        if !has_tags(text) {
            let fixed = Some(Bytes::copy_from_slice(text.as_bytes()));
            return Ok(Self { jinja: Arc::default(), kept: Vec::new(), data: Vec::new(), draws: false, fixed });
        }
        let said = |e: &Error| e.detail().map_or_else(|| e.kind().to_string(), str::to_owned);
        let mut jinja = environment(form).map_err(|e| said(&e))?;
        for (name, value) in &names.constants {
            jinja.add_global(name.clone(), Jinja::from(Serde(value)));
        }
        jinja.add_template_owned(NAME, text.to_owned()).map_err(|e| format!("`{text}`: {}", said(&e)))?;
        let used = jinja.get_template(NAME).map_err(|e| said(&e))?.undeclared_variables(true);
        let (mut kept, mut data) = (Vec::new(), Vec::new());
        let (mut draws, mut changes) = (false, false);
        for name in used.into_iter().collect::<BTreeSet<_>>() {
            match names.find(&name)? {
                Found::Constant => continue,
                Found::Kept(place) => kept.push((names.kept.get(place).cloned().unwrap_or_default(), place)),
                Found::Data(place) => {
                    let (name, _) = names.data.get(place).cloned().unwrap_or_default();
                    // Each column that is named was found apart.
                    if !data.contains(&(name.clone(), place)) {
                        data.push((name, place));
                    }
                }
                Found::BuiltIn => draws |= name != "iteration",
            }
            changes = true;
        }
        let mut template = Self { jinja: Arc::new(jinja), kept, data, draws, fixed: None };
        if template.kept.is_empty() && template.data.is_empty() {
            // What cannot be made now can never be.
            let context = template.context(&mut Nobody(Rng::with_seed(1))).map_err(|e| e.detail)?;
            let made = template.made(context).map_err(|e| format!("`{text}`: {}", said(&e)))?;
            template.fixed = (!changes).then_some(made);
        }
        Ok(template)
    }

    /// Compiles a JSON value. A string that is nothing but `{{name}}` becomes the value itself, whatever its type.
    pub(super) fn of_json(value: &Value, names: &Names) -> Result<Self, String> {
        let mut text = String::new();
        add_json(value, &mut text);
        Self::new(&text, Form::Text, names)
    }

    /// Returns the text if nothing in it changes.
    pub(super) fn fixed(&self) -> Option<Bytes> {
        self.fixed.clone()
    }

    /// Makes the text.
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<Bytes, Failure> {
        let context = self.context(scope)?;
        self.made(context).map_err(|e| failure("template", e.to_string()))
    }

    fn made(&self, context: Jinja) -> Result<Bytes, Error> {
        Ok(self.jinja.get_template(NAME)?.render(context)?.into())
    }

    /// Returns the names that this template uses, with their values.
    fn context(&self, scope: &mut dyn Scope) -> Result<Jinja, Failure> {
        let mut all: Vec<(&str, Jinja)> = vec![("iteration", scope.iteration().into())];
        for (name, place) in &self.kept {
            all.push((name, Jinja::from(Serde(scope.kept(*place)?))));
        }
        for (name, place) in &self.data {
            all.push((name, Jinja::from(Serde(scope.row(*place)))));
        }
        if self.draws {
            let rng = Arc::new(Mutex::new(scope.rng().fork()));
            let same = Arc::clone(&rng);
            all.push(("uuid", Jinja::from_function(move || uuid(&mut lock(&same)))));
            all.push((
                "int",
                Jinja::from_function(move |least: i64, most: i64| {
                    let range = (least <= most).then_some(least..=most);
                    let wrong = || format!("int({least}, {most}) should be such as int(1, 100)");
                    let range = range.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, wrong()))?;
                    Ok::<_, Error>(lock(&rng).i64(range))
                }),
            ));
        }
        Ok(Jinja::from_pairs(all))
    }
}

/// What a name stands for.
enum Found {
    Constant,
    Kept(usize),
    Data(usize),
    BuiltIn,
}

impl Names {
    /// Finds what `path` begins with, such as `rows.name`.
    fn find(&self, path: &str) -> Result<Found, String> {
        let (name, below) = path.split_once('.').map_or((path, None), |(name, below)| (name, Some(below)));
        if self.constants.contains_key(name) {
            return Ok(Found::Constant);
        }
        if let Some(place) = self.kept.iter().position(|known| known == name) {
            return Ok(Found::Kept(place));
        }
        if let Some(place) = self.data.iter().position(|(known, _)| known == name) {
            let columns = self.data.get(place).map(|(_, columns)| columns.as_slice()).unwrap_or_default();
            return match below {
                Some(column) if !columns.iter().any(|known| known == column) => {
                    let hint = crate::near::hint(column, columns.iter().map(String::as_str));
                    Err(format!("`{name}` has no column `{column}`{hint}"))
                }
                _ => Ok(Found::Data(place)),
            };
        }
        if BUILT_IN.contains(&name) {
            return Ok(Found::BuiltIn);
        }
        let data =
            self.data.iter().flat_map(|(name, columns)| columns.iter().map(move |column| format!("{name}.{column}")));
        let own = self.constants.keys().chain(&self.kept).cloned();
        let known: Vec<String> = own.chain(data).chain(BUILT_IN.map(str::to_owned)).collect();
        let hint = crate::near::hint(path, known.iter().map(String::as_str));
        Err(format!("`{{{{{path}}}}}` is in no vars, data or extract{hint}"))
    }
}

/// A user of a template that names nothing of a user.
struct Nobody(Rng);

impl Scope for Nobody {
    fn kept(&self, _: usize) -> Result<&Value, Failure> {
        Ok(&Value::Null)
    }

    fn row(&mut self, _: usize) -> &Value {
        &Value::Null
    }

    fn rng(&mut self) -> &mut Rng {
        &mut self.0
    }

    fn iteration(&self) -> u64 {
        1
    }
}

/// Returns whether a template can name `name`: `none` and `my-name` it reads as something else.
pub(super) fn is_name(name: &str) -> bool {
    let named = format!("{{{{{name}}}}}");
    Environment::empty().template_from_str(&named).is_ok_and(|t| t.undeclared_variables(false).contains(name))
}

/// Makes an environment in which a name without value is an error.
fn environment(form: Form) -> Result<Environment<'static>, Error> {
    let mut jinja = Environment::new();
    jinja.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build()?);
    jinja.set_undefined_behavior(UndefinedBehavior::Strict);
    jinja.set_formatter(move |out, _, value| {
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None if value.is_undefined() => return Err(Error::from(ErrorKind::UndefinedError)),
            None => serde_json::to_string(value)
                .map_err(|e| Error::new(ErrorKind::BadSerialization, "no value of JSON").with_source(e))?,
        };
        let written = match form {
            Form::Text => out.write_str(&text),
            Form::Url => write_escaped(&text, out),
        };
        written.map_err(Error::from)
    });
    Ok(jinja)
}

fn has_tags(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|tag| text.contains(tag))
}

/// Writes a template that makes `value`: its structure as it is, and each text with values in it through `tojson`.
fn add_json(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => add_text(text, out),
        Value::Array(all) => {
            out.push('[');
            for (i, one) in all.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                add_json(one, out);
            }
            out.push(']');
        }
        Value::Object(all) => {
            out.push('{');
            for (i, (key, one)) in all.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                add_text(key, out);
                out.push(':');
                add_json(one, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn add_text(text: &str, out: &mut String) {
    let inside = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    match inside.filter(|inside| !inside.contains("{{") && !inside.contains("}}")) {
        Some(inside) => out.push_str(&format!("{{{{ ({inside}) | tojson }}}}")),
        None if has_tags(text) => out.push_str(&format!("{{% filter tojson %}}{text}{{% endfilter %}}")),
        None => out.push_str(&Value::from(text).to_string()),
    }
}

/// Writes `text` with every byte escaped that has a meaning in a path or query.
fn write_escaped(text: &str, out: &mut dyn std::fmt::Write) -> std::fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'-' | b'.' | b'_' | b'~' => out.write_char(char::from(byte)),
        _ if byte.is_ascii_alphanumeric() => out.write_char(char::from(byte)),
        _ => write!(out, "%{byte:02X}"),
    })
}

fn lock(rng: &Mutex<Rng>) -> std::sync::MutexGuard<'_, Rng> {
    rng.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct User {
        kept: Vec<Option<Value>>,
        row: Value,
        rng: Rng,
    }

    impl Scope for User {
        fn kept(&self, place: usize) -> Result<&Value, Failure> {
            let missing = || Failure { kind: "extract".into(), detail: "no value yet".into() };
            self.kept[place].as_ref().ok_or_else(missing)
        }

        fn row(&mut self, _: usize) -> &Value {
            &self.row
        }

        fn rng(&mut self) -> &mut Rng {
            &mut self.rng
        }

        fn iteration(&self) -> u64 {
            7
        }
    }

    fn names() -> Names {
        Names {
            constants: [("colour".to_owned(), json!("re\"d"))].into(),
            kept: vec!["id".into(), "later".into()],
            data: vec![("rows".into(), vec!["name".into(), "mass".into()])],
        }
    }

    fn user() -> User {
        let row = json!({"name": "Ñandú 1/2", "mass": 3.5});
        User { kept: vec![Some(json!({"a": [1]})), None], row, rng: Rng::with_seed(1) }
    }

    fn made(text: &str, form: Form) -> String {
        let made = Template::new(text, form, &names()).unwrap().render(&mut user()).unwrap();
        String::from_utf8(made.to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_their_place_needs() {
        assert_eq!(made("/a/{{rows.name}}?m={{ rows.mass }}", Form::Url), "/a/%C3%91and%C3%BA%201%2F2?m=3.5");
        assert_eq!(made("{{colour}} {{rows.name}} {{id}}", Form::Text), "re\"d Ñandú 1/2 {\"a\":[1]}");
        assert_eq!(made("no. {{iteration}}", Form::Text), "no. 7");
        let n: i64 = made("{{int(3, 5)}}", Form::Text).parse().unwrap();
        assert!((3..=5).contains(&n));
        assert_eq!(made("{{uuid()}}", Form::Text).len(), 36);
    }

    #[test]
    fn json_keeps_the_types_of_values_and_stays_json() {
        let body =
            json!({"mass": "{{rows.mass}}", "text": "a {{colour}} {{rows.name}}", "id": "{{id}}", "n": [1, [], {}]});
        let made = Template::of_json(&body, &names()).unwrap().render(&mut user()).unwrap();
        let made: Value = serde_json::from_slice(&made).unwrap();
        let expected = json!({"mass": 3.5, "text": "a re\"d Ñandú 1/2", "id": {"a": [1]}, "n": [1, [], {}]});
        assert_eq!(made, expected);
    }

    #[test]
    fn what_never_changes_is_made_once() {
        assert_eq!(Template::new("/a/{{colour}}", Form::Url, &names()).unwrap().fixed().unwrap(), "/a/re%22d");
        assert_eq!(Template::new("{{id}}", Form::Url, &names()).unwrap().fixed(), None);
    }

    #[test]
    fn a_name_that_nothing_gives_is_told() {
        let wrong = |text: &str| Template::new(text, Form::Text, &names()).unwrap_err();
        assert_eq!(wrong("{{colur}}"), "`{{colur}}` is in no vars, data or extract; near: `colour`");
        assert_eq!(wrong("{{rows.nmae}}"), "`rows` has no column `nmae`; near: `name`");
        assert_eq!(wrong("{{id"), "`{{id`: unexpected end of input, expected end of variable block");
        assert_eq!(wrong("{{int(5,1)}}"), "`{{int(5,1)}}`: int(5, 1) should be such as int(1, 100)");
        assert_eq!(wrong("{{nwo}}").split(';').next().unwrap(), "`{{nwo}}` is in no vars, data or extract");
        assert_eq!(wrong("{{colour | uper}}"), "`{{colour | uper}}`: filter uper is unknown");
        assert!(is_name("colour") && !is_name("none") && !is_name("my-name") && !is_name("a.b"));
        let missing = Template::new("{{later}}", Form::Text, &names()).unwrap().render(&mut user()).unwrap_err();
        assert_eq!(missing.kind, "extract");
    }
}
