//! Greedy micro-batching: a free worker never waits, a busy one finds what has queued meanwhile.
//!
//! A worker is a loop over the queue that runs either as a task on the server's threads or on
//! a thread of its own. As a task it starts only after every connection that was ready has put its
//! request into the queue, so a batch forms with no thread switch at all: for a model of
//! microseconds that is the faster way. A model that takes longer than [`INLINE_MAX`]
//! for a full batch gets threads, so that health checks and other connections never wait for it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use drover_core::ErrorKind;
use tokio::sync::{Notify, oneshot};

use crate::error::Error;
use crate::function::Function;
use crate::metrics::Metrics;

/// The longest that a full batch of a model may take to be run on the server's threads.
pub const INLINE_MAX: Duration = Duration::from_micros(500);

/// The answers to the rows of one request, and where its time went.
pub(crate) struct Answered<R> {
    pub(crate) rows: Vec<R>,
    pub(crate) queued_at: Instant,
    pub(crate) queued: Duration,
    pub(crate) inference: Duration,
}

/// One request on its way to a worker.
struct Job<F: Function> {
    rows: Vec<F::Request>,
    queued_at: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answered<F::Response>, Error>>,
}

/// What waits for a worker. It holds no more than the instance has slots.
pub(crate) struct Queue<F: Function> {
    jobs: Mutex<VecDeque<Job<F>>>,
    arrived: Notify,
}

impl<F: Function> Queue<F> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { jobs: Mutex::new(VecDeque::new()), arrived: Notify::new() })
    }

    /// Runs `rows` in the next batch and waits for the answers, at most until `deadline`.
    ///
    /// Dropping the future drops the rows, unless a worker has taken them already.
    pub(crate) async fn run(&self, rows: Vec<F::Request>, deadline: Instant) -> Result<Answered<F::Response>, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs().push_back(Job { rows, queued_at: Instant::now(), deadline, reply });
        self.arrived.notify_one();
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::new(ErrorKind::Internal, "the inference worker has gone")),
            Err(_) => Err(expired()),
        }
    }

    /// Takes what has queued, up to `rows_max` rows but at least one request, waiting only if
    /// there is nothing. Requests whose client has gone or whose deadline has passed are left out.
    async fn next(&self, rows_max: usize, metrics: &Metrics) -> Vec<Job<F>> {
        loop {
            let arrived = self.arrived.notified();
            let batch = self.take(rows_max, metrics);
            if !batch.is_empty() {
                return batch;
            }
            arrived.await;
        }
    }

    fn take(&self, rows_max: usize, metrics: &Metrics) -> Vec<Job<F>> {
        let mut batch: Vec<Job<F>> = Vec::new();
        let mut n_rows = 0;
        let mut jobs = self.jobs();
        while let Some(job) = jobs.front() {
            if !batch.is_empty() && n_rows + job.rows.len() > rows_max {
                // Another worker may take the rest at once.
                self.arrived.notify_one();
                break;
            }
            let Some(job) = jobs.pop_front() else { break };
            if job.reply.is_closed() {
                metrics.dropped.increment(1);
            } else if job.deadline <= Instant::now() {
                metrics.dropped.increment(1);
                let _ = job.reply.send(Err(expired()));
            } else {
                n_rows += job.rows.len();
                batch.push(job);
            }
        }
        batch
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job<F>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expired() -> Error {
    Error::new(ErrorKind::Timeout, "the deadline passed before the model could run")
}

/// One inference worker: a model, and the queue that it empties.
pub(crate) struct Worker<F: Function> {
    pub(crate) function: F,
    pub(crate) queue: Arc<Queue<F>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) batch_rows: usize,
}

impl<F: Function> Worker<F> {
    /// Answers batches until the queue is dropped with the runtime.
    pub(crate) async fn run(mut self) {
        loop {
            let batch = self.queue.next(self.batch_rows, &self.metrics).await;
            self.answer(batch);
            tokio::task::yield_now().await;
        }
    }

    /// Runs one batch and sends every request its own answers.
    fn answer(&mut self, batch: Vec<Job<F>>) {
        let started = Instant::now();
        let mut rows = Vec::with_capacity(batch.iter().map(|job| job.rows.len()).sum());
        let mut parts = Vec::with_capacity(batch.len());
        for mut job in batch {
            let queued = started - job.queued_at;
            self.metrics.queue_wait.record(queued);
            parts.push((job.rows.len(), job.queued_at, job.reply));
            rows.append(&mut job.rows);
        }
        let results = match self.predict(&rows) {
            Ok(results) => results,
            Err(why) if parts.len() == 1 => rows.iter().map(|_| Err(why.clone())).collect(),
            Err(_) => self.predict_apart(&rows, parts.iter().map(|(n, ..)| *n)),
        };
        let inference = started.elapsed();
        let mut results = results.into_iter();
        for (n, queued_at, reply) in parts {
            let own = collect(results.by_ref().take(n));
            let queued = started - queued_at;
            let _ = reply.send(own.map(|rows| Answered { rows, queued_at, queued, inference }));
        }
    }

    /// Runs the requests of a batch one by one, after one of them made the model panic, so that
    /// only that one fails.
    fn predict_apart(
        &mut self,
        rows: &[F::Request],
        parts: impl Iterator<Item = usize>,
    ) -> Vec<Result<F::Response, String>> {
        let mut results = Vec::with_capacity(rows.len());
        let mut rest = rows;
        for n in parts {
            let (own, others) = rest.split_at(n);
            rest = others;
            match self.predict(own) {
                Ok(answers) => results.extend(answers),
                Err(why) => results.extend(own.iter().map(|_| Err(why.clone()))),
            }
        }
        results
    }

    /// Calls the model, in parts of at most `batch_rows`; says why if it panics or breaks its contract.
    fn predict(&mut self, rows: &[F::Request]) -> Result<Vec<Result<F::Response, String>>, String> {
        let mut results = Vec::with_capacity(rows.len());
        for part in rows.chunks(self.batch_rows) {
            let started = Instant::now();
            let answers = catch_unwind(AssertUnwindSafe(|| self.function.predict(part))).map_err(|panic| {
                self.metrics.panics.increment(1);
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                format!("the model panicked: {}", text.unwrap_or("no message"))
            })?;
            if answers.len() != part.len() {
                return Err(format!("predict gave {} results for {} rows", answers.len(), part.len()));
            }
            self.metrics.inference.record(started.elapsed());
            self.metrics.batch_rows.record(part.len() as f64);
            results.extend(answers.into_iter().map(|answer| answer.map_err(|failure| failure.to_string())));
        }
        Ok(results)
    }
}

/// Joins the results of one request's rows: all answers, or the failure of those that have none.
fn collect<R>(results: impl ExactSizeIterator<Item = Result<R, String>>) -> Result<Vec<R>, Error> {
    let n_rows = results.len();
    let mut rows = Vec::with_capacity(n_rows);
    let mut failed = Vec::new();
    for (index, result) in results.enumerate() {
        match result {
            Ok(answer) => rows.push(answer),
            Err(why) => failed.push((index, why)),
        }
    }
    let Some((index, why)) = failed.first() else { return Ok(rows) };
    let detail = if n_rows == 1 {
        "the model could not answer this row".to_owned()
    } else {
        format!("the model could not answer {} of {n_rows} rows, the first is row {index}", failed.len())
    };
    Err(Error::new(ErrorKind::ModelFailed, detail).because(why))
}
