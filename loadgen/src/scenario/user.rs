//! One user of a scenario.

use std::sync::Arc;

use fastrand::Rng;
use serde_json::Value;

use super::judge::{failure, judge_refusal};
use super::prepare::{Inner, Made, Source};
use super::template::Scope;
use crate::body::Drawn;
use crate::work::{Answer, Ask, Failure, Script};

/// One user.
#[derive(Debug)]
pub(super) struct User {
    memory: Memory,
    now: Option<Place>,
    /// Whether the last request has not been judged.
    is_open: bool,
    has_started: bool,
    /// What was wrong with the last request on purpose.
    wrong: Option<Arc<str>>,
}

/// The step that comes next.
#[derive(Debug, Clone, Copy)]
struct Place {
    task: List,
    step: usize,
}

#[derive(Debug, Clone, Copy)]
enum List {
    OnStart,
    Task(usize),
}

/// What a user knows.
#[derive(Debug)]
struct Memory {
    all: Arc<Inner>,
    rng: Rng,
    kept: Vec<Option<Value>>,
    /// This iteration's row of each file, once it is asked for.
    rows: Vec<Option<usize>>,
    iteration: u64,
}

impl User {
    pub(super) fn new(all: Arc<Inner>, seed: u64) -> Self {
        let (kept, rows) = (vec![None; all.kept.len()], vec![None; all.data.len()]);
        let has_started = all.on_start.is_empty();
        let memory = Memory { all, rng: Rng::with_seed(seed), kept, rows, iteration: 0 };
        Self { memory, now: None, is_open: false, has_started, wrong: None }
    }

    fn begin(&mut self) -> Place {
        if !self.has_started {
            return Place { task: List::OnStart, step: 0 };
        }
        self.memory.iteration += 1;
        self.memory.rows.fill(None);
        let tasks = &self.memory.all.tasks;
        let at = match tasks.as_slice() {
            [_] => 0,
            tasks => {
                let drawn = self.memory.rng.f64() * tasks.last().map_or(0.0, |(sum, _)| *sum);
                tasks.partition_point(|(sum, _)| *sum <= drawn).min(tasks.len() - 1)
            }
        };
        Place { task: List::Task(at), step: 0 }
    }

    fn ask(&mut self, step: &Made) -> Result<Ask, Failure> {
        let memory = &mut self.memory;
        let Drawn { body, wrong } = match &step.body {
            Source::Text(text) => Drawn { body: text.render(memory)?, wrong: None },
            Source::Drawn(bodies) => bodies.draw(&mut memory.rng),
            Source::Row { data, bodies } => {
                let place = memory.place(*data);
                bodies.spoilt(&mut memory.rng).unwrap_or_else(|| bodies.at(place))
            }
        };
        self.wrong = wrong;
        Ok(Ask {
            task: step.task,
            method: step.method.clone(),
            path: step.path.render(memory)?,
            headers: step.headers.render(memory)?,
            body,
            reads: step.reads,
            timeout: step.timeout,
        })
    }
}

impl Script for User {
    fn next(&mut self) -> Result<Option<Ask>, Failure> {
        if std::mem::take(&mut self.is_open) {
            // No answer came to the last request, so that the steps after it cannot be made.
            self.now = None;
        }
        let all = Arc::clone(&self.memory.all);
        loop {
            let place = match self.now {
                Some(place) => place,
                None => self.begin(),
            };
            let Some(step) = all.steps(place.task).get(place.step) else {
                self.now = None;
                if matches!(place.task, List::OnStart) {
                    self.has_started = true;
                    continue;
                }
                return Ok(None);
            };
            let ask = self.ask(step);
            self.is_open = ask.is_ok();
            self.now = ask.is_ok().then_some(Place { step: place.step + 1, ..place });
            return ask.map(Some);
        }
    }

    fn judge(&mut self, answer: &Answer) -> Result<(), Failure> {
        self.is_open = false;
        let Some(place) = self.now else { return Ok(()) };
        let all = Arc::clone(&self.memory.all);
        let Some(step) = all.steps(place.task).get(place.step.saturating_sub(1)) else { return Ok(()) };
        if let Some(why) = self.wrong.take() {
            // What follows would need the answer to a good request.
            self.now = Some(Place { step: usize::MAX, ..place });
            return judge_refusal(answer, &why).inspect_err(|_| self.now = None);
        }
        let kept = step.checks.judge(answer, &step.extract).inspect_err(|_| self.now = None)?;
        for (place, value) in kept {
            if let Some(slot) = self.memory.kept.get_mut(place) {
                *slot = Some(value);
            }
        }
        Ok(())
    }
}

impl Inner {
    fn steps(&self, list: List) -> &[Made] {
        match list {
            List::OnStart => &self.on_start,
            List::Task(at) => self.tasks.get(at).map(|(_, steps)| steps.as_slice()).unwrap_or_default(),
        }
    }
}

impl Memory {
    /// Returns the place of this iteration's row.
    fn place(&mut self, data: usize) -> usize {
        let chosen = self.rows.get(data).copied().flatten();
        chosen.unwrap_or_else(|| {
            let place = self.all.data.get(data).map(|set| set.picker.pick(&mut self.rng)).unwrap_or_default();
            if let Some(slot) = self.rows.get_mut(data) {
                *slot = Some(place);
            }
            place
        })
    }
}

impl Scope for Memory {
    fn kept(&self, place: usize) -> Result<&Value, Failure> {
        let name = || self.all.kept.get(place).map(String::as_str).unwrap_or_default();
        let missing = || failure("extract", format!("no answer has given `{}` yet", name()));
        self.kept.get(place).and_then(Option::as_ref).ok_or_else(missing)
    }

    fn row(&mut self, data: usize) -> &Value {
        let place = self.place(data);
        self.all.data.get(data).map_or(&Value::Null, |set| set.row(place))
    }

    fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    fn iteration(&self) -> u64 {
        self.iteration
    }
}
