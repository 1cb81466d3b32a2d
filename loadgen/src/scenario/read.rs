//! Reads a scenario file.

use std::cell::RefCell;

use http::Method;
use http::header::HeaderName;
use serde_json::{Map, Value};

use super::definition::{Body, Data, Definition, Step, Task};
use super::document::{At, Findings, Item, Table};
use super::judge::{Checks, From, Test};
use super::settings::{self, Promise, Settings};
use crate::body::{Broken, Order};

/// What a scenario file says.
pub(super) struct File {
    pub(super) settings: Settings,
    pub(super) definition: Definition,
}

/// Reads the whole file; what is wrong goes to the findings.
pub(super) fn file(root: Table<'_>, findings: &Findings) -> File {
    let mut settings = settings::read(&root, findings);
    let common = root.table("headers").map(|table| headers(&table, findings)).unwrap_or_default();
    let mut definition = Definition::default();
    if let Some(vars) = root.table("vars") {
        definition.vars = vars.items().into_iter().map(|(name, item)| (name.to_owned(), item.json())).collect();
    }
    if let Some(all) = root.table("data") {
        let all = all.items().into_iter();
        definition.data = all.filter_map(|(name, item)| data(name, item.table()?, findings)).collect();
    }
    let reader = Reader { findings, headers: common, promises: RefCell::default() };
    if let Some(table) = root.table("on_start") {
        definition.on_start = reader.steps(&table, table.text("name").map_or("on_start", |(name, _)| name));
        reader.finish_step(table);
    }
    for table in root.tables("tasks") {
        definition.tasks.push(reader.task(table));
    }
    settings.promises.extend(reader.promises.into_inner());
    if definition.tasks.is_empty() {
        findings.add(root.at, "there is no [[tasks]]: give one at least");
    }
    root.finish();
    File { settings, definition }
}

fn data(name: &str, table: Table<'_>, findings: &Findings) -> Option<Data> {
    let file = table.text("file");
    let order = table.word(
        "order",
        &[("sequential", Order::Sequential), ("shuffled", Order::Shuffled), ("sampled", Order::Sampled)],
    );
    let broken = table.word("broken", &[("error", Broken::Error), ("skip", Broken::Skip), ("send", Broken::Send)]);
    let columns = table.get("columns").map(|item| item.texts()).unwrap_or_default();
    let at = table.at;
    table.finish();
    let Some((file, _)) = file else {
        findings.add(at, format!("data `{name}` has no file"));
        return None;
    };
    Some(Data {
        name: name.to_owned(),
        at,
        file: findings.folder().join(file),
        order: order.unwrap_or_default(),
        columns: columns.into_iter().map(|(column, _)| column.to_owned()).collect(),
        broken: broken.unwrap_or_default(),
    })
}

struct Reader<'a> {
    findings: &'a Findings,
    /// Headers of every request.
    headers: Vec<(HeaderName, String, At)>,
    promises: RefCell<Vec<Promise>>,
}

impl Reader<'_> {
    fn task(&self, table: Table<'_>) -> Task {
        let weight = table.get("weight").map(|item| match item.number() {
            Some(n) if n >= 0.0 && n.is_finite() => n,
            Some(_) => item.wrong("a number of at least 0").unwrap_or_default(),
            None => 0.0,
        });
        let tags = table.get("tags").map(|item| item.texts()).unwrap_or_default();
        let steps = self.steps(&table, table.text("name").map_or("", |(name, _)| name));
        self.finish_step(table);
        Task { weight: weight.unwrap_or(1.0), tags: tags.into_iter().map(|(tag, _)| tag.to_owned()).collect(), steps }
    }

    /// Reads the steps of a task: those of `steps`, or the task itself if it is one.
    fn steps(&self, table: &Table<'_>, name: &str) -> Vec<Step> {
        let inner = table.tables("steps");
        if inner.is_empty() {
            return self.step(table, name, true).into_iter().collect();
        }
        if let Some(key) = STEP_KEYS.iter().find(|key| table.has(key)) {
            let what = format!("`{key}` belongs into a step, as this task has [[tasks.steps]]");
            self.findings.add(table.at, what);
        }
        inner
            .into_iter()
            .filter_map(|table| {
                let step = self.step(&table, name, false);
                table.known("name");
                table.finish();
                step
            })
            .collect()
    }

    fn finish_step(&self, table: Table<'_>) {
        STEP_KEYS.iter().for_each(|key| table.known(key));
        table.finish();
    }

    /// Reads one step. It is called as its task if it is the task itself.
    fn step(&self, table: &Table<'_>, task: &str, is_task: bool) -> Option<Step> {
        let method = table.text("method");
        let path = table.text("path");
        let body = self.body(table);
        let method = match method {
            None if matches!(body, Body::None) => Some(Method::GET),
            None => Some(Method::POST),
            Some((text, at)) => {
                let method = Method::from_bytes(text.to_uppercase().as_bytes());
                method.map_err(|_| self.findings.add(at, format!("`{text}` is no method"))).ok()
            }
        };
        let mut all = self.headers.clone();
        for header in table.table("headers").map(|table| headers(&table, self.findings)).unwrap_or_default() {
            all.retain(|(name, ..)| *name != header.0);
            all.push(header);
        }
        let rows = table.count("rows", 1).and_then(|n| usize::try_from(n).ok());
        let invalid = table.get("invalid").and_then(|item| item.share());
        let set = table.get("set").and_then(|item| Some(object(&item.table()?))).unwrap_or_default();
        if !matches!(body, Body::Data(..) | Body::Generate(_)) {
            for key in ["rows", "invalid", "set"].into_iter().filter(|key| table.has(key)) {
                self.findings.add(table.at, format!("`{key}` needs `generate = true` or `data`"));
            }
        }
        let timeout = table.duration("timeout");
        let slo = table.text("slo");
        let checks = table.table("check").map(|table| checks(table, self.findings)).unwrap_or_default();
        let extract = table.table("extract").map(|table| extracts(&table, self.findings)).unwrap_or_default();
        let Some((path, at)) = path else {
            self.findings.add(table.at, "a step has no path");
            return None;
        };
        if !path.is_empty() && !path.starts_with('/') && !path.starts_with("{{") {
            self.findings.add(at, format!("the path `{path}` does not begin with /"));
        }
        let own = if is_task { None } else { table.text("name").map(|(name, _)| name) };
        let name = match (own, task) {
            (Some(name), _) => name.to_owned(),
            (None, "") => path.to_owned(),
            (None, task) if is_task => task.to_owned(),
            (None, task) => format!("{task} {path}"),
        };
        if let Some((text, at)) = slo {
            let promise = Promise { text: text.into(), task: Some(name.clone()), place: self.findings.place(at) };
            self.promises.borrow_mut().push(promise);
        }
        Some(Step {
            name,
            method: method?,
            path: (path.to_owned(), at),
            headers: all,
            body,
            rows,
            invalid: invalid.unwrap_or(0.0),
            set,
            timeout,
            checks,
            extract,
        })
    }

    fn body(&self, table: &Table<'_>) -> Body {
        let mut given = Vec::new();
        if let Some(item) = table.get("json") {
            given.push(("json", Body::Json(item.json(), item.at)));
        }
        if let Some((text, at)) = table.text("body") {
            given.push(("body", Body::Text(text.to_owned(), at)));
        }
        if let Some((name, at)) = table.text("body_file") {
            let file = self.findings.folder().join(name);
            match std::fs::read_to_string(&file) {
                Ok(text) => given.push(("body_file", Body::Text(text, at))),
                Err(e) => self.findings.add(at, format!("{}: {e}", file.display())),
            }
        }
        if let Some((name, at)) = table.text("data") {
            given.push(("data", Body::Data(name.to_owned(), at)));
        }
        if table.flag("generate") == Some(true) {
            given.push(("generate", Body::Generate(table.at)));
        }
        if let [(first, _), (second, _), ..] = given.as_slice() {
            self.findings.add(table.at, format!("`{first}` and `{second}` both say what the body is: keep one"));
        }
        given.into_iter().next().map_or(Body::None, |(_, body)| body)
    }
}

/// The keys of a step.
const STEP_KEYS: [&str; 15] = [
    "method",
    "path",
    "headers",
    "json",
    "body",
    "body_file",
    "data",
    "generate",
    "rows",
    "invalid",
    "set",
    "timeout",
    "check",
    "extract",
    "slo",
];

fn headers(table: &Table<'_>, findings: &Findings) -> Vec<(HeaderName, String, At)> {
    let mut all = Vec::new();
    for (name, item) in table.items() {
        match (HeaderName::try_from(name), item.text()) {
            (Ok(name), Some(value)) => all.push((name, value.to_owned(), item.at)),
            (Err(_), _) => findings.add(item.at, format!("`{name}` is no name of a header")),
            (_, None) => {}
        }
    }
    all
}

fn object(table: &Table<'_>) -> Map<String, Value> {
    table.items().into_iter().map(|(name, item)| (name.to_owned(), item.json())).collect()
}

fn checks(table: Table<'_>, findings: &Findings) -> Checks {
    let mut checks = Checks::default();
    if let Some(item) = table.get("status") {
        let all = if item.is_array() { item.items("statuses") } else { vec![item] };
        checks.status = all.iter().filter_map(status).collect();
    }
    for (pointer, item) in table.table("json").map(|table| table.items()).unwrap_or_default() {
        self::pointer(pointer, item.at, findings);
        checks.json.extend(test(&item).map(|test| (pointer.to_owned(), test)));
    }
    for (name, item) in table.table("headers").map(|table| table.items()).unwrap_or_default() {
        match HeaderName::try_from(name) {
            Ok(name) => checks.headers.extend(test(&item).map(|test| (name, test))),
            Err(_) => findings.add(item.at, format!("`{name}` is no name of a header")),
        }
    }
    checks.contains = table.text("contains").map(|(text, _)| text.to_owned());
    checks.response_time = table.duration("response_time");
    table.finish();
    checks
}

/// Reads `200` or `"2xx"`.
fn status(item: &Item<'_>) -> Option<(u16, u16)> {
    let number = item.json().as_u64().and_then(|n| u16::try_from(n).ok());
    let class = item.as_str().and_then(|text| match text.as_bytes() {
        [digit @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => Some(u16::from(digit - b'0') * 100),
        _ => None,
    });
    match (number, class) {
        (Some(n), _) if (100..600).contains(&n) => Some((n, n)),
        (_, Some(class)) => Some((class, class + 99)),
        _ => item.wrong("a status such as 200 or \"2xx\""),
    }
}

/// Reads a value that must be there, several of which one must be, or `{ min, max, exists }`.
fn test(item: &Item<'_>) -> Option<Test> {
    if item.is_array() {
        return Some(Test::In(item.items("values").iter().map(Item::json).collect()));
    }
    if !item.is_table() {
        return Some(Test::In(vec![item.json()]));
    }
    let table = item.table()?;
    let (min, max, exists) = (table.number("min"), table.number("max"), table.flag("exists"));
    table.finish();
    match (min, max, exists) {
        (None, None, Some(exists)) => Some(Test::Exists(exists)),
        (min, max, None) if min.is_some() || max.is_some() => {
            Some(Test::Between(min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY)))
        }
        _ => item.wrong("a value, an array of values, { min = .., max = .. } or { exists = true }"),
    }
}

fn extracts(table: &Table<'_>, findings: &Findings) -> Vec<(String, From, At)> {
    let mut all = Vec::new();
    for (name, item) in table.items() {
        let (json, header) = match item.is_table() {
            true => {
                let Some(table) = item.table() else { continue };
                let both = (table.text("json"), table.text("header"));
                table.finish();
                both
            }
            false => (item.text().map(|text| (text, item.at)), None),
        };
        let from = match (json, header) {
            (Some((pointer, at)), None) => {
                self::pointer(pointer, at, findings);
                Some(From::Json(pointer.to_owned()))
            }
            (None, Some((header, at))) => match HeaderName::try_from(header) {
                Ok(header) => Some(From::Header(header)),
                Err(_) => {
                    findings.add(at, format!("`{header}` is no name of a header"));
                    None
                }
            },
            _ => item.wrong("a JSON pointer such as \"/id\", { json = \"/id\" } or { header = \"location\" }"),
        };
        all.extend(from.map(|from| (name.to_owned(), from, item.at)));
    }
    all
}

/// Tells of a JSON pointer that is none.
fn pointer(text: &str, at: At, findings: &Findings) {
    if !text.is_empty() && !text.starts_with('/') {
        findings.add(at, format!("`{text}` is no JSON pointer: write `/{}`", text.replace('.', "/")));
    }
}
