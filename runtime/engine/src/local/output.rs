//! What instances write: to files, to whoever follows, and the newest lines in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use drover_core::{FunctionName, InstanceId};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;

use super::rotate::RotatingFile;
use crate::{LogLine, LogQuery, Stream};

/// Lines kept in memory per function.
const LINES_KEPT: usize = 2000;
/// Lines that a slow follower may be behind before it misses some.
const FOLLOWER_BACKLOG: usize = 4096;
/// A longer line is cut in pieces.
const LINE_MAX_BYTES: usize = 16 * 1024;
/// So much of an instance's last words is shown as the reason of its end.
const COMPLAINT_MAX_CHARS: usize = 300;

/// Hands lines to whoever follows.
#[derive(Debug)]
pub(crate) struct Output {
    kept: Mutex<BTreeMap<FunctionName, VecDeque<LogLine>>>,
    lines: broadcast::Sender<LogLine>,
}

impl Output {
    /// Has no lines yet.
    pub(crate) fn new() -> Self {
        Self { kept: Mutex::default(), lines: broadcast::channel(FOLLOWER_BACKLOG).0 }
    }

    /// Takes one line.
    pub(crate) fn write(&self, line: LogLine) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.entry(line.function.clone()).or_default();
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        // Sent under the lock, so that `read` neither misses a line nor sees it twice.
        let _nobody_follows = self.lines.send(line);
    }

    /// Returns the last line that an instance wrote to standard error, if that was not long before.
    pub(crate) fn last_complaint(&self, function: &FunctionName, instance: &InstanceId) -> Option<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = kept.get(function)?.iter().rev().filter(|line| line.instance == *instance);
        let line = own.find(|line| line.stream != Stream::Stdout)?;
        let is_complaint = line.stream == Stream::Stderr && !line.text.trim().is_empty();
        is_complaint.then(|| message(&line.text).chars().take(COMPLAINT_MAX_CHARS).collect())
    }

    /// Returns every line to come, of all functions.
    pub(crate) fn follow(&self) -> BoxStream<'static, LogLine> {
        to_stream(self.lines.subscribe())
    }

    /// Returns the newest lines of one function and, if asked, all that follow.
    pub(crate) fn read(&self, function: &FunctionName, query: LogQuery) -> BoxStream<'static, LogLine> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.get(function).map(|all| all.iter().skip(all.len().saturating_sub(query.tail)).cloned());
        let past = stream::iter(lines.into_iter().flatten().collect::<Vec<_>>());
        if !query.follow {
            return past.boxed();
        }
        let function = function.clone();
        let future = to_stream(self.lines.subscribe()).filter(move |l| std::future::ready(l.function == function));
        past.chain(future).boxed()
    }
}

/// Returns the message of a line that is a JSON log record; any other line as it is.
fn message(line: &str) -> String {
    let record = serde_json::from_str::<serde_json::Value>(line).ok();
    let message = record.as_ref().and_then(|record| record.get("message")?.as_str());
    message.unwrap_or(line).trim().to_owned()
}

fn to_stream(lines: broadcast::Receiver<LogLine>) -> BoxStream<'static, LogLine> {
    let next = |mut lines: broadcast::Receiver<LogLine>| async move {
        loop {
            match lines.recv().await {
                Ok(line) => return Some((line, lines)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    };
    stream::unfold(lines, next).boxed()
}

/// Who writes a stream of lines.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) function: FunctionName,
    pub(crate) instance: InstanceId,
    pub(crate) index: u32,
    pub(crate) stream: Stream,
}

impl Writer {
    /// Makes a line of this writer.
    pub(crate) fn line(&self, text: String) -> LogLine {
        LogLine {
            function: self.function.clone(),
            instance: self.instance.clone(),
            index: self.index,
            stream: self.stream,
            text,
        }
    }
}

/// Copies what an instance writes until it closes the pipe. A full disk costs lines, not the instance.
pub(crate) async fn pump(
    mut from: impl AsyncRead + Unpin,
    writer: Writer,
    mut file: Option<RotatingFile>,
    output: Arc<Output>,
) {
    let (mut buffer, mut rest) = (vec![0; LINE_MAX_BYTES], Vec::new());
    let mut take = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let written = file.as_mut().map_or(Ok(()), |file| file.write_line(line));
        if let Err(e) = written {
            tracing::warn!(instance = %writer.instance, error = %e, "a log line could not be written");
        }
        output.write(writer.line(String::from_utf8_lossy(line).into_owned()));
    };
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        rest.extend_from_slice(buffer.get(..n).unwrap_or_default());
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            take(line.strip_suffix(b"\n").unwrap_or(&line));
        }
        if rest.len() >= LINE_MAX_BYTES {
            take(&std::mem::take(&mut rest));
        }
    }
    if !rest.is_empty() {
        take(&rest);
    }
}
