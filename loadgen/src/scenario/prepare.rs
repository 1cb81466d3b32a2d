//! Makes of a scenario all that can be made before the run.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::definition::{Body, Data, Step, Task};
use super::document::Findings;
use super::judge::{Checks, Extract, failure};
use super::template::{Form, Names, Scope, Template, is_name};
use super::user::User;
use super::{Scenario, ScenarioError};
use crate::body::pick::Picker;
use crate::body::{Bodies, Making, OpenApi, Rows, Shape};
use crate::drive::Share;
use crate::files::Files;
use crate::work::{Failure, Reads, Script, Work};

/// What a scenario must know of the run to be prepared.
#[derive(Debug, Clone, Default)]
pub struct Preparing<'a> {
    /// Where files come from; this machine by default.
    pub files: &'a Files,
    /// The target's OpenAPI document, if it has one.
    pub openapi: Option<&'a OpenApi>,
    /// What stands before every path.
    pub base_path: &'a str,
    /// What all that is drawn at random begins from.
    pub seed: u64,
    /// Which of several generators this is.
    pub share: Share,
    /// Only tasks with one of these tags; all if there are none.
    pub tags: &'a [String],
    /// No tasks with one of these tags.
    pub exclude_tags: &'a [String],
}

/// A scenario that can be run.
#[derive(Debug, Clone)]
pub struct Prepared {
    inner: Arc<Inner>,
    notes: Vec<String>,
}

/// All that users share.
#[derive(Debug)]
pub(super) struct Inner {
    names: Vec<String>,
    /// Each with the sum of its weight and those before it.
    pub(super) tasks: Vec<(f64, Vec<Made>)>,
    pub(super) on_start: Vec<Made>,
    pub(super) kept: Vec<String>,
    pub(super) data: Vec<DataSet>,
}

/// Rows of a file, and which is next.
#[derive(Debug)]
pub(super) struct DataSet {
    pub(super) rows: Rows,
    pub(super) picker: Picker,
}

/// A step, made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) task: usize,
    pub(super) method: Method,
    pub(super) path: Text,
    pub(super) headers: Headers,
    pub(super) body: Source,
    pub(super) timeout: Option<std::time::Duration>,
    pub(super) checks: Checks,
    pub(super) extract: Vec<Extract>,
    pub(super) reads: Reads,
}

/// A text that never changes, or is made each time.
#[derive(Debug)]
pub(super) enum Text {
    Fixed(Bytes),
    Made(Template),
}

/// Headers of a request.
#[derive(Debug)]
pub(super) enum Headers {
    Fixed(Arc<HeaderMap>),
    Made(HeaderMap, Vec<(HeaderName, Template)>),
}

/// Where a body comes from.
#[derive(Debug)]
pub(super) enum Source {
    Text(Text),
    Drawn(Bodies),
    /// The row of this iteration.
    Row {
        data: usize,
        bodies: Bodies,
    },
}

impl Scenario {
    /// Makes all that can be made before the run: reads files, draws bodies, takes templates apart.
    ///
    /// # Errors
    /// Everything that stands in the way: tags that no task has, names that nothing gives, files with broken rows,
    /// a schema that cannot be met.
    pub fn prepare(&self, how: &Preparing<'_>) -> Result<Prepared, ScenarioError> {
        let findings = &self.findings;
        let is_wanted = |task: &&Task| {
            let has = |tags: &[String]| task.tags.iter().any(|tag| tags.contains(tag));
            task.weight > 0.0 && (how.tags.is_empty() || has(how.tags)) && !has(how.exclude_tags)
        };
        let tasks: Vec<&Task> = self.definition.tasks.iter().filter(is_wanted).collect();
        if tasks.is_empty() {
            let all = self.definition.tasks.iter().flat_map(|task| &task.tags);
            let mut all: Vec<_> = all.map(String::as_str).collect();
            all.sort_unstable();
            all.dedup();
            findings.add(0, format!("no task is left by weight and tags; there are the tags {}", all.join(", ")));
            return Err(findings.error());
        }
        let steps = || self.definition.on_start.iter().chain(tasks.iter().flat_map(|task| &task.steps));
        let mut maker = Maker { how, findings, names: Names::default(), tasks: Vec::new(), data: Vec::new() };
        for (name, value) in &self.definition.vars {
            maker.names.constants.insert(name.clone(), value.clone());
        }
        for (name, _, at) in steps().flat_map(|step| &step.extract) {
            if maker.names.constants.contains_key(name) {
                findings.add(*at, format!("`{name}` is in vars already"));
            }
            if !maker.names.kept.contains(name) {
                maker.names.kept.push(name.clone());
            }
        }
        let places = steps().flat_map(|step| &step.extract).map(|(name, _, at)| (name, *at));
        let names = self.definition.vars.keys().map(|name| (name, 0)).chain(places);
        for (name, at) in names.chain(self.definition.data.iter().map(|data| (&data.name, 0))) {
            if !is_name(name) {
                findings
                    .add(at, format!("`{name}` cannot stand in `{{{{{name}}}}}`: it is no name, or a word of Jinja's"));
            }
        }
        let mut notes = Vec::new();
        for data in &self.definition.data {
            if let Some(set) = maker.data_set(data, steps()) {
                notes.extend(set.rows.notes().iter().map(|note| format!("{}: {note}", data.file.display())));
                maker.names.data.push((data.name.clone(), set.rows.columns().map(str::to_owned).collect()));
                maker.data.push(set);
            }
        }
        // What is said of a file that cannot be read need not be said of all that would use it.
        findings.end()?;
        let on_start = self.definition.on_start.iter().filter_map(|step| maker.step(step)).collect();
        let mut sum = 0.0;
        let mut made = Vec::new();
        for task in &tasks {
            sum += task.weight;
            made.push((sum, task.steps.iter().filter_map(|step| maker.step(step)).collect()));
        }
        findings.end()?;
        let Maker { names, tasks: counted, data, .. } = maker;
        let inner = Inner { names: counted, tasks: made, on_start, kept: names.kept, data };
        Ok(Prepared { inner: Arc::new(inner), notes })
    }
}

impl Prepared {
    /// Returns what a person should know before the run, such as columns that are left out.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Work for Prepared {
    fn tasks(&self) -> &[String] {
        &self.inner.names
    }

    fn user(&self, seed: u64) -> Box<dyn Script> {
        Box::new(User::new(Arc::clone(&self.inner), seed))
    }
}

struct Maker<'a> {
    how: &'a Preparing<'a>,
    findings: &'a Findings,
    names: Names,
    /// Under which names requests are counted.
    tasks: Vec<String>,
    data: Vec<DataSet>,
}

impl Maker<'_> {
    /// Reads a file of rows as the first request wants them that has them as its body.
    fn data_set<'s>(&self, data: &Data, mut steps: impl Iterator<Item = &'s Step>) -> Option<DataSet> {
        let is_body = |step: &&Step| matches!(&step.body, Body::Data(name, _) if *name == data.name);
        let shape = steps.find(is_body).and_then(|step| self.shape(step).ok());
        let rows = Rows::read(self.how.files, &data.file, &data.columns, shape.as_ref(), data.broken);
        let rows = rows.map_err(|e| self.findings.add(data.at, e.to_string())).ok()?;
        let picker = Picker::new(rows.values().len(), data.order, self.how.seed, self.how.share);
        Some(DataSet { rows, picker })
    }

    /// Returns what one row of the body of `step` may look like.
    fn shape(&self, step: &Step) -> Result<Shape, String> {
        let openapi = self.how.openapi.ok_or("bodies can be generated only for a target with an OpenAPI document")?;
        let path = format!("{}{}", self.how.base_path, step.path.0);
        let described = path.strip_prefix(&openapi.folder).unwrap_or(&path);
        openapi.request(step.method.as_str(), described).map_err(|e| e.to_string())
    }

    fn step(&mut self, step: &Step) -> Option<Made> {
        let task = self.tasks.iter().position(|name| *name == step.name).unwrap_or_else(|| {
            self.tasks.push(step.name.clone());
            self.tasks.len() - 1
        });
        let body = self.body(step);
        let path = self.text(&step.path.0, Form::Url, step.path.1);
        let headers = self.headers(step, body.as_ref().and_then(|(_, content_type)| *content_type));
        // What is wrong with any of them has been told.
        let ((body, _), path, headers) = (body?, path?, headers?);
        let extract = step.extract.iter().filter_map(|(name, from, _)| {
            let place = self.names.kept.iter().position(|known| known == name)?;
            Some(Extract { place, name: name.clone(), from: from.clone() })
        });
        let extract: Vec<_> = extract.collect();
        Some(Made {
            task,
            method: step.method.clone(),
            path,
            headers,
            body,
            timeout: step.timeout,
            reads: step.checks.reads(&extract),
            checks: step.checks.clone(),
            extract,
        })
    }

    fn text(&self, text: &str, form: Form, at: usize) -> Option<Text> {
        self.template(Template::new(text, form, &self.names), at)
    }

    fn template(&self, template: Result<Template, String>, at: usize) -> Option<Text> {
        let template = template.map_err(|why| self.findings.add(at, why)).ok()?;
        Some(template.fixed().map_or(Text::Made(template), Text::Fixed))
    }

    fn headers(&self, step: &Step, content_type: Option<&'static str>) -> Option<Headers> {
        let mut fixed = HeaderMap::new();
        if let Some(kind) = content_type {
            fixed.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let mut made = Vec::new();
        for (name, text, at) in &step.headers {
            match self.text(text, Form::Text, *at)? {
                Text::Made(template) => {
                    fixed.remove(name);
                    made.push((name.clone(), template));
                }
                Text::Fixed(text) => match HeaderValue::from_maybe_shared(text) {
                    Ok(value) => drop(fixed.insert(name, value)),
                    Err(_) => self.findings.add(*at, format!("the value of header `{name}` is none that HTTP knows")),
                },
            }
        }
        Some(if made.is_empty() { Headers::Fixed(Arc::new(fixed)) } else { Headers::Made(fixed, made) })
    }

    /// Returns a body, and the type that it has unless a header says another.
    fn body(&self, step: &Step) -> Option<(Source, Option<&'static str>)> {
        const JSON: Option<&str> = Some("application/json");
        let text = |text| (Source::Text(text), JSON);
        let making = Making {
            rows: step.rows,
            invalid: step.invalid,
            set: step.set.clone(),
            // Another one for each request, so that two of the same shape do not send the same.
            seed: self.how.seed.wrapping_add((self.tasks.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            share: self.how.share,
        };
        match &step.body {
            Body::None => Some((Source::Text(Text::Fixed(Bytes::new())), None)),
            Body::Json(value, at) => self.template(Template::of_json(value, &self.names), *at).map(text),
            Body::Text(body, at) => {
                let kind =
                    if body.trim_start().starts_with(['{', '[']) { JSON } else { Some("text/plain; charset=utf-8") };
                Some((Source::Text(self.text(body, Form::Text, *at)?), kind))
            }
            Body::Generate(at) => {
                let bodies = self.shape(step).and_then(|shape| Bodies::drawn(&shape, &making));
                let bodies = bodies.map_err(|why| self.findings.add(*at, why)).ok()?;
                Some((Source::Drawn(bodies), JSON))
            }
            Body::Data(name, at) => {
                let Some(data) = self.names.data.iter().position(|(known, _)| known == name) else {
                    let known = self.names.data.iter().map(|(known, _)| known.as_str());
                    let hint = crate::near::hint(name, known);
                    self.findings.add(*at, format!("there is no [data.{name}]{hint}"));
                    return None;
                };
                let rows = &self.data.get(data)?.rows;
                let order = self.data.get(data)?.picker.order();
                let shape = self.shape(step).ok();
                let bodies = Bodies::from_rows(rows, order, shape.as_ref(), &making);
                let source = match step.rows {
                    None => Source::Row { data, bodies },
                    // An array holds other rows than the one of this iteration.
                    Some(_) => Source::Drawn(bodies),
                };
                Some((source, JSON))
            }
        }
    }
}

impl Text {
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<Bytes, Failure> {
        match self {
            Self::Fixed(text) => Ok(text.clone()),
            Self::Made(template) => template.render(scope),
        }
    }
}

impl Headers {
    pub(super) fn render(&self, scope: &mut dyn Scope) -> Result<Arc<HeaderMap>, Failure> {
        match self {
            Self::Fixed(headers) => Ok(Arc::clone(headers)),
            Self::Made(fixed, made) => {
                let mut headers = fixed.clone();
                for (name, template) in made {
                    let value = HeaderValue::from_maybe_shared(template.render(scope)?);
                    let bad = |_| failure("extract", format!("the value of header `{name}` is none that HTTP knows"));
                    headers.insert(name, value.map_err(bad)?);
                }
                Ok(Arc::new(headers))
            }
        }
    }
}

impl DataSet {
    pub(super) fn row(&self, place: usize) -> &Value {
        self.rows.get(place).unwrap_or(&Value::Null)
    }
}
