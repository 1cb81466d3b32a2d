//! What instances wrote, as Nomad keeps it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use drover_core::FunctionName;
use futures_util::stream::{BoxStream, StreamExt};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::api::{Api, ApiError, Ask};
use super::blocking::{Backoff, Query};
use super::nomad::Described;
use crate::{LogLine, LogQuery, Stream};

/// Lines that wait for a reader.
const BACKLOG: usize = 256;
/// So many bytes are asked for per line of the tail.
const LINE_BYTES: usize = 512;
/// The least and the most bytes that are asked for at once.
const TAIL_BYTES: (usize, usize) = (16 * 1024, 4 * 1024 * 1024);
/// Nomad sends what is there without a pause: what comes after one is new.
const PAUSE: Duration = Duration::from_millis(300);
/// What is there has come after this time at the latest.
const TAIL_LIMIT: Duration = Duration::from_secs(2);
/// How long Nomad may take to begin to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A longer line is cut in pieces.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// One entry of `/v1/job/ID/allocations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Allocation {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    task_group: String,
    client_status: String,
    create_index: u64,
}

/// What one task of an allocation writes to one stream.
#[derive(Debug, Clone)]
struct Writer {
    nomad: Api,
    task: String,
    /// Everything but the text.
    line: LogLine,
    query: LogQuery,
    /// Whether the allocation was there when the log was asked for: of a later one all is new.
    was_there: bool,
    lines: mpsc::Sender<LogLine>,
}

/// Returns the newest lines of all instances of a function and, if asked, all that follow.
pub(super) async fn read(
    nomad: &Api,
    function: &FunctionName,
    job: Described,
    query: LogQuery,
) -> Result<BoxStream<'static, LogLine>, ApiError> {
    let mut allocations = Query::new(nomad, Ask::new(&["v1", "job", &job.job, "allocations"]));
    let first = of_group(allocations.next().await?, &job.group);
    let (sender, mut receiver) = mpsc::channel(BACKLOG);
    let (nomad, function) = (nomad.clone(), function.clone());
    let writers = move |found: Vec<Allocation>, was_there: bool| -> Vec<Writer> {
        let streams = found.into_iter().flat_map(|a| [(a.clone(), Stream::Stdout), (a, Stream::Stderr)]);
        let writer = |(allocation, stream): (Allocation, Stream)| {
            let index = allocation.index();
            let instance = allocation.id.as_str().into();
            let line = LogLine { function: function.clone(), instance, index, stream, text: String::new() };
            Writer { nomad: nomad.clone(), task: job.task.clone(), line, query, was_there, lines: sender.clone() }
        };
        streams.map(writer).collect()
    };
    let group = job.group.clone();
    let task = tokio::spawn(async move {
        let mut running = JoinSet::new();
        let mut seen: BTreeSet<String> = first.iter().map(|allocation| allocation.id.clone()).collect();
        writers(first, true).into_iter().for_each(|writer| drop(running.spawn(writer.run())));
        loop {
            if !query.follow {
                break;
            }
            let Ok(all) = allocations.next().await else { continue };
            let mut new = of_group(all, &group);
            new.retain(|allocation| seen.insert(allocation.id.clone()));
            writers(new, false).into_iter().for_each(|writer| drop(running.spawn(writer.run())));
        }
        drop(writers);
        running.join_all().await;
    });
    let task = tokio_util::task::AbortOnDropHandle::new(task);
    let lines = futures_util::stream::poll_fn(move |cx| {
        let _lives_as_long_as_the_stream = &task;
        receiver.poll_recv(cx)
    });
    Ok(lines.boxed())
}

/// Returns the allocations that have something to say: those that run, or else the newest.
fn of_group(all: Option<Vec<Allocation>>, group: &str) -> Vec<Allocation> {
    let mut all = all.unwrap_or_default();
    all.retain(|allocation| allocation.task_group == group);
    all.sort_by_key(|allocation| allocation.create_index);
    let last = all.last().cloned();
    all.retain(|allocation| allocation.client_status == "running");
    if all.is_empty() { last.into_iter().collect() } else { all }
}

impl Allocation {
    /// Returns the number in a name such as `penguins.function[3]`.
    fn index(&self) -> u32 {
        let number = self.name.rsplit_once('[').and_then(|(_, rest)| rest.trim_end_matches(']').parse().ok());
        number.unwrap_or_default()
    }
}

impl Writer {
    async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            let unanswered = || ApiError::Unreachable("Nomad does not answer in time".into());
            let answer = tokio::time::timeout(ANSWER_LIMIT, self.nomad.stream(&self.ask())).await;
            match answer.unwrap_or_else(|_| Err(unanswered())) {
                Ok(Some(answer)) => return self.copy(answer.bytes_stream().boxed()).await,
                // A task that has not begun has no log yet.
                Ok(None) | Err(_) if self.query.follow => tokio::time::sleep(backoff.next()).await,
                Ok(None) => return,
                Err(e) => {
                    let text = format!("its log cannot be read: {e}");
                    return drop(self.lines.send(LogLine { stream: Stream::Engine, text, ..self.line }).await);
                }
            }
        }
    }

    fn ask(&self) -> Ask {
        let stream = if self.line.stream == Stream::Stdout { "stdout" } else { "stderr" };
        let (origin, offset) = if self.was_there { ("end", self.tail_bytes()) } else { ("start", 0) };
        Ask::new(&["v1", "client", "fs", "logs", self.line.instance.as_str()])
            .with("task", self.task.clone())
            .with("type", stream)
            .with("plain", "true")
            .with("follow", self.query.follow.to_string())
            .with("origin", origin)
            .with("offset", offset.to_string())
    }

    fn tail_bytes(&self) -> usize {
        self.query.tail.saturating_mul(LINE_BYTES).clamp(TAIL_BYTES.0, TAIL_BYTES.1)
    }

    /// Hands on the last lines of what is there already, then everything.
    async fn copy<B: AsRef<[u8]>, E>(self, mut from: BoxStream<'static, Result<B, E>>) {
        let mut lines = Lines::default();
        let mut is_past = self.was_there;
        let (mut past, mut n_bytes, limit) = (VecDeque::new(), 0, Instant::now() + TAIL_LIMIT);
        loop {
            let until = match (self.query.follow, is_past) {
                (false, _) => limit,
                (true, true) => limit.min(Instant::now() + PAUSE),
                (true, false) => Instant::now() + TAIL_LIMIT,
            };
            let piece = tokio::time::timeout_at(until, from.next()).await;
            let is_pause = piece.is_err();
            // A log that is not followed ends by itself, unless its node is in trouble.
            let is_end = matches!(piece, Ok(None | Some(Err(_)))) || (is_pause && !self.query.follow);
            let mut new = match &piece {
                Ok(Some(Ok(piece))) => {
                    n_bytes += piece.as_ref().len();
                    lines.take(piece.as_ref())
                }
                _ => Vec::new(),
            };
            if is_end {
                new.extend(lines.rest());
            }
            if is_past {
                past.extend(new.drain(..));
                while past.len() > self.query.tail {
                    past.pop_front();
                }
                if is_pause || is_end || n_bytes >= self.tail_bytes() {
                    is_past = false;
                    new.extend(past.drain(..));
                }
            }
            for text in new {
                if self.lines.send(LogLine { text, ..self.line.clone() }).await.is_err() {
                    return;
                }
            }
            if is_end {
                return;
            }
        }
    }
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes; returns the lines that they end.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            lines.push(text(&line));
        }
        if self.0.len() >= LINE_MAX_BYTES {
            lines.extend(self.rest());
        }
        lines
    }

    /// Returns the line that has no end.
    fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.0);
        (!rest.is_empty()).then(|| text(&rest))
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}
