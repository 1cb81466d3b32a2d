//! Writes a size into a job file, whose form and comments stay as they are.
//!
//! A number in the `resources` block is replaced. Where a variable stands there, its default is: the plan says so,
//! for the file may be the job of other functions too.

use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Attribute, Block, BlocksMut, Body};
use hcl_edit::{Decorate as _, Ident};

use super::Answer;

/// What would be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The file's new text.
    pub text: String,
    /// What changes, a line each.
    pub changes: Vec<String>,
}

/// Returns what `answer` changes in the job file `text`.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn plan(text: &str, answer: &Answer) -> Result<Plan, String> {
    sized(text, answer.cpu_mhz, answer.recommended.memory_mib)
}

/// Makes sure that an answer can be written into the job file `text`.
///
/// # Errors
/// As [`plan`].
pub fn check(text: &str) -> Result<(), String> {
    sized(text, 0, 0).map(|_| ())
}

fn sized(text: &str, cpu_mhz: u64, memory_mib: u64) -> Result<Plan, String> {
    let mut body: Body = text.parse().map_err(|e| format!("the job file: {e}"))?;
    let mut changes = Vec::new();
    let mut defaults: Vec<(String, u64)> = Vec::new();
    let wanted = [("cpu", cpu_mhz), ("memory", memory_mib)];
    {
        let none = "the job file has no block `job` with a `group`, a `task` and `resources` in it";
        let resources = inside(&mut body, "job")
            .and_then(|job| inside(&mut job.body, "group"))
            .and_then(|group| inside(&mut group.body, "task"))
            .and_then(|task| inside(&mut task.body, "resources"))
            .ok_or(none)?;
        for (name, value) in wanted {
            match resources.body.get_attribute(name).map(|attribute| variable(&attribute.value)) {
                Some(Some(variable)) => defaults.push((variable, value)),
                _ => changes.extend(set(&mut resources.body, name, value, "resources")),
            }
        }
        if resources.body.remove_attribute("cores").is_some() {
            changes.push("resources: `cores` goes, for it would win over cpu".into());
        }
    }
    for (name, value) in defaults {
        let block = labelled(body.get_blocks_mut("variable"), &name);
        let block = block.ok_or_else(|| format!("the job file has no variable `{name}`"))?;
        changes.extend(set(
            &mut block.body,
            "default",
            value,
            &format!("variable \"{name}\", for all that run by this file"),
        ));
    }
    Ok(Plan { text: body.to_string(), changes })
}

/// Returns the first block called `name`.
fn inside<'b>(body: &'b mut Body, name: &'b str) -> Option<&'b mut Block> {
    body.get_blocks_mut(name).next()
}

fn labelled<'b>(mut blocks: BlocksMut<'b>, label: &str) -> Option<&'b mut Block> {
    blocks.find(|block| block.labels.first().is_some_and(|found| found.as_str() == label))
}

/// Returns the name of the variable that an expression is.
fn variable(expression: &Expression) -> Option<String> {
    let traversal = expression.as_traversal()?;
    if traversal.expr.as_variable()?.as_str() != "var" {
        return None;
    }
    match traversal.operators.as_slice() {
        [operator] => match operator.value() {
            TraversalOperator::GetAttr(name) => Some(name.as_str().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// Sets an attribute; returns what that changes, if anything.
fn set(body: &mut Body, name: &str, value: u64, place: &str) -> Option<String> {
    let before = body.get_attribute(name).map(|attribute| attribute.value.to_string().trim().to_owned());
    if before.as_deref() == Some(&value.to_string()) {
        return None;
    }
    match body.get_attribute_mut(name) {
        Some(mut attribute) => {
            let mut new = Expression::from(value);
            *new.decor_mut() = attribute.value_mut().decor().clone();
            *attribute.value_mut() = new;
        }
        None => body.push(Attribute::new(Ident::new(name), value)),
    }
    Some(format!("{place}: {name} = {value}, before {}", before.unwrap_or_else(|| "nothing".into())))
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Candidate, Found};
    use super::plan;

    fn answer() -> Answer {
        let least = Candidate { cpu_cores: 0.25, memory_mib: 50, count: 1 };
        let answer = Answer::new(least, Found { held: 4, trials: 4, is_sure: true }, &[], 20.0, (0, 5));
        Answer { cpu_mhz: 700, ..answer }
    }

    #[test]
    fn only_the_numbers_change() {
        let before = "job \"a\" {\n  group \"g\" {\n    task \"t\" {\n      # What it needs.\n      resources {\n        cpu        = 100 # MHz\n        memory     = 64\n        memory_max = 128\n      }\n    }\n  }\n}\n";
        let plan = plan(before, &answer()).unwrap();
        assert_eq!(plan.text, before.replace("= 100 #", "= 700 #").replace("= 64\n", "= 60\n"));
        assert_eq!(plan.changes, ["resources: cpu = 700, before 100", "resources: memory = 60, before 64"]);
    }

    #[test]
    fn a_variable_s_default_changes_and_the_plan_says_whose_that_is() {
        let before = include_str!("../../../jobs/predict.nomad");
        let plan = plan(before, &answer()).unwrap();
        let differ: Vec<_> = before.lines().zip(plan.text.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(differ.len(), 2, "{differ:?}");
        assert!(
            plan.changes[0].contains("variable \"cpu\", for all that run by this file: default = 700"),
            "{:?}",
            plan.changes
        );
        assert!(super::plan("job \"a\" {}", &answer()).unwrap_err().contains("no block `job` with"));
        assert!(super::plan("job {", &answer()).unwrap_err().starts_with("the job file:"));
    }
}
