//! The functions that a job file may call: those of Nomad's HCL2 that make sense in one.

use std::path::{Path, PathBuf};

use hcl::eval::{Context, FuncArgs, FuncDef, ParamType};
use hcl::{Number, Value};

type Answer = Result<Value, String>;
type Function = fn(FuncArgs) -> Answer;

/// Declares every function.
pub(crate) fn declare(context: &mut Context<'_>) {
    let any: &[(&str, Function)] = &[
        ("abs", |a| float(&a, f64::abs)),
        ("abspath", |a| path(&a, |p| std::path::absolute(p).map_err(|e| e.to_string()))),
        ("basename", |a| path(&a, |p| Ok(p.file_name().map(PathBuf::from).unwrap_or_default()))),
        ("ceil", |a| float(&a, f64::ceil)),
        ("coalesce", |a| Ok(values(a).into_iter().find(|v| !v.is_null() && v != &Value::from("")).unwrap_or_default())),
        ("compact", |a| list(a, |items| items.retain(|v| !v.is_null() && v != &Value::from("")))),
        ("concat", |a| Ok(Value::Array(values(a).into_iter().flat_map(items).collect()))),
        ("contains", |a| Ok(Value::from(items(at(&a, 0)?.clone()).contains(at(&a, 1)?)))),
        ("dirname", |a| path(&a, |p| Ok(p.parent().map(PathBuf::from).unwrap_or_default()))),
        ("distinct", |a| list(a, distinct)),
        ("element", |a| element(&a)),
        ("file", |a| std::fs::read_to_string(text(&a, 0)?).map(Value::from).map_err(|e| e.to_string())),
        ("fileexists", |a| Ok(Value::from(Path::new(text(&a, 0)?).is_file()))),
        ("flatten", |a| Ok(Value::Array(flatten(at(&a, 0)?)))),
        ("floor", |a| float(&a, f64::floor)),
        ("format", |a| format(&a)),
        ("join", |a| join(&a)),
        ("jsonencode", |a| Ok(Value::from(hcl_to_json(at(&a, 0)?).to_string()))),
        ("keys", |a| Ok(object(&a)?.keys().cloned().map(Value::from).collect())),
        ("length", |a| length(&a)),
        ("lookup", |a| object(&a)?.get(text(&a, 1)?).or(a.get(2)).cloned().ok_or("no such key".into())),
        ("lower", |a| Ok(Value::from(text(&a, 0)?.to_lowercase()))),
        ("max", |a| numbers(a)?.into_iter().reduce(f64::max).map(exact).ok_or("max of nothing".into())),
        ("merge", merge),
        ("min", |a| numbers(a)?.into_iter().reduce(f64::min).map(exact).ok_or("min of nothing".into())),
        ("pow", |a| Ok(exact(num(at(&a, 0)?)?.powf(num(at(&a, 1)?)?)))),
        ("range", |a| range(&a)),
        ("replace", |a| Ok(Value::from(text(&a, 0)?.replace(text(&a, 1)?, text(&a, 2)?)))),
        ("reverse", |a| list(a, |items| items.reverse())),
        ("sort", |a| list(a, |items| items.sort_by_key(plain))),
        ("split", |a| Ok(text(&a, 1)?.split(text(&a, 0)?).map(Value::from).collect())),
        ("tonumber", |a| num(at(&a, 0)?).map(exact)),
        ("tostring", |a| Ok(Value::from(plain(at(&a, 0)?)))),
        ("trim", |a| Ok(Value::from(text(&a, 0)?.trim_matches(|c| text(&a, 1).is_ok_and(|set| set.contains(c)))))),
        ("trimprefix", |a| strip(&a, |t, cut| t.strip_prefix(cut))),
        ("trimspace", |a| Ok(Value::from(text(&a, 0)?.trim()))),
        ("trimsuffix", |a| strip(&a, |t, cut| t.strip_suffix(cut))),
        ("upper", |a| Ok(Value::from(text(&a, 0)?.to_uppercase()))),
        ("values", |a| Ok(object(&a)?.values().cloned().collect())),
    ];
    for (name, function) in any {
        context.declare_func(
            hcl::Identifier::unchecked(*name),
            FuncDef::builder().variadic_param(ParamType::Any).build(*function),
        );
    }
}

fn at(args: &FuncArgs, index: usize) -> Result<&Value, String> {
    args.get(index).ok_or_else(|| format!("argument {} is missing", index + 1))
}

fn text(args: &FuncArgs, index: usize) -> Result<&str, String> {
    let value = at(args, index)?;
    value.as_str().ok_or_else(|| format!("argument {} is `{value}`, not a string", index + 1))
}

fn object(args: &FuncArgs) -> Result<&hcl::Map<String, Value>, String> {
    let value = at(args, 0)?;
    value.as_object().ok_or_else(|| format!("`{value}` is not a map"))
}

fn num(value: &Value) -> Result<f64, String> {
    let parsed = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| format!("`{value}` is not a number"))
}

fn numbers(args: FuncArgs) -> Result<Vec<f64>, String> {
    values(args).iter().map(num).collect()
}

/// Returns a whole number as one, so that `floor(2.5)` is `2` and not `2.0`.
fn exact(x: f64) -> Value {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if x.fract() == 0.0 && x.abs() < LIMIT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        return Value::from(x as i64);
    }
    Number::from_f64(x).map_or(Value::Null, Value::Number)
}

fn float(args: &FuncArgs, f: fn(f64) -> f64) -> Answer {
    Ok(exact(f(num(at(args, 0)?)?)))
}

fn path(args: &FuncArgs, f: fn(&Path) -> Result<PathBuf, String>) -> Answer {
    Ok(Value::from(f(Path::new(text(args, 0)?))?.display().to_string()))
}

fn strip(args: &FuncArgs, f: for<'t> fn(&'t str, &str) -> Option<&'t str>) -> Answer {
    let whole = text(args, 0)?;
    Ok(Value::from(f(whole, text(args, 1)?).unwrap_or(whole)))
}

/// Returns all arguments, wherever the definition put them.
fn values(args: FuncArgs) -> Vec<Value> {
    args.into_values()
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

fn list(args: FuncArgs, change: fn(&mut Vec<Value>)) -> Answer {
    let mut all = items(values(args).into_iter().next().unwrap_or_default());
    change(&mut all);
    Ok(Value::Array(all))
}

fn distinct(all: &mut Vec<Value>) {
    let mut seen: Vec<Value> = Vec::new();
    all.retain(|v| {
        let new = !seen.contains(v);
        if new {
            seen.push(v.clone());
        }
        new
    });
}

fn flatten(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(flatten).collect(),
        other => vec![other.clone()],
    }
}

fn element(args: &FuncArgs) -> Answer {
    let all = items(at(args, 0)?.clone());
    let index = at(args, 1)?.as_u64().and_then(|i| usize::try_from(i).ok()).ok_or("the index is not a whole number")?;
    all.get(index.checked_rem(all.len()).unwrap_or(0)).cloned().ok_or("the list is empty".into())
}

fn join(args: &FuncArgs) -> Answer {
    let parts: Vec<String> = items(at(args, 1)?.clone()).iter().map(plain).collect();
    Ok(Value::from(parts.join(text(args, 0)?)))
}

fn length(args: &FuncArgs) -> Answer {
    match at(args, 0)? {
        Value::Array(items) => Ok(Value::from(items.len())),
        Value::Object(map) => Ok(Value::from(map.len())),
        Value::String(s) => Ok(Value::from(s.chars().count())),
        other => Err(format!("`{other}` has no length")),
    }
}

fn merge(args: FuncArgs) -> Answer {
    let mut all = hcl::Map::new();
    for value in values(args) {
        match value {
            Value::Object(map) => all.extend(map),
            Value::Null => {}
            other => return Err(format!("`{other}` is not a map")),
        }
    }
    Ok(Value::Object(all))
}

fn range(args: &FuncArgs) -> Answer {
    let (first, second) = (num(at(args, 0)?)?, args.get(1).map(num).transpose()?);
    let (from, to) = second.map_or((0.0, first), |end| (first, end));
    let step = args.get(2).map(num).transpose()?.unwrap_or(1.0);
    if step <= 0.0 || (to - from) / step > 1024.0 {
        return Err("the step must be positive and the range at most 1024 long".into());
    }
    let mut next = from;
    Ok(std::iter::from_fn(|| {
        let here = (next < to).then_some(next);
        next += step;
        here.map(exact)
    })
    .collect())
}

/// Formats `%s`, `%d`, `%v`, `%q`, `%f`, `%.2f`, `%02d` and `%%`.
fn format(args: &FuncArgs) -> Answer {
    let (pattern, mut out, mut next) = (text(args, 0)?, String::new(), 1);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        let verb = loop {
            match chars.next() {
                Some(c) if c.is_ascii_digit() || c == '.' => flags.push(c),
                Some(c) => break c,
                None => return Err("the format ends in %".into()),
            }
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = at(args, next)?;
        next += 1;
        let (width, precision) = flags.split_once('.').unwrap_or((&flags, ""));
        let (zero, width) = (width.starts_with('0'), width.parse::<usize>().unwrap_or(0));
        let shown = match verb {
            's' | 'v' => plain(value),
            'q' => format!("{:?}", plain(value)),
            'd' => format!("{:.0}", num(value)?),
            'f' | 'g' => format!("{:.*}", precision.parse().unwrap_or(6), num(value)?),
            other => return Err(format!("the format verb %{other} is not known")),
        };
        out.push_str(&if zero { format!("{shown:0>width$}") } else { format!("{shown:>width$}") });
    }
    Ok(Value::from(out))
}

/// Returns a value as it stands inside a string.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn hcl_to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}
