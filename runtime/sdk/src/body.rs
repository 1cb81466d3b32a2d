//! Bodies are read within limits: of one body, of all bodies together, and of time.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use drover_core::ErrorKind;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;

use crate::error::{BoxError, Error};

/// Bodies up to this size are not counted against the memory of all bodies.
const SMALL_BYTES: usize = 16 << 10;
/// What is beyond the limit is read up to here before the connection is given up.
const FORGOTTEN_BYTES: usize = 32 << 20;
/// So many of the largest bodies may be in memory at once.
const LARGEST_AT_ONCE: usize = 16;

/// The memory that bodies may take.
pub(crate) struct Bodies {
    limit: usize,
    /// What large bodies may take together, in units of [`SMALL_BYTES`].
    budget: Semaphore,
}

impl Bodies {
    pub(crate) fn new(limit: usize) -> Self {
        let units = (limit.div_ceil(SMALL_BYTES) * LARGEST_AT_ONCE).clamp(1, Semaphore::MAX_PERMITS);
        Self { limit, budget: Semaphore::new(units) }
    }

    /// Reads a body whole.
    pub(crate) async fn read<B>(&self, headers: &HeaderMap, body: B, deadline: Instant) -> Result<Bytes, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        // A body of unknown length may become as large as the limit.
        let most = declared.unwrap_or(self.limit).min(self.limit);
        let _room = match most {
            0..=SMALL_BYTES => None,
            _ => Some(self.reserve(most)?),
        };
        match tokio::time::timeout_at(deadline.into(), self.collect(body, declared, most)).await {
            Ok(read) => read,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the body did not arrive before the deadline")),
        }
    }

    fn reserve(&self, bytes: usize) -> Result<tokio::sync::SemaphorePermit<'_>, Error> {
        let units = u32::try_from(bytes.div_ceil(SMALL_BYTES)).unwrap_or(u32::MAX);
        self.budget
            .try_acquire_many(units)
            .map_err(|_| Error::new(ErrorKind::Overloaded, "other large bodies are being read, try again soon"))
    }

    /// Reads to the end. What is beyond the limit is read and forgotten, up to a bound: a client that
    /// is still sending would otherwise not see the answer.
    async fn collect<B>(&self, body: B, declared: Option<usize>, most: usize) -> Result<Bytes, Error>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut body = std::pin::pin!(body);
        let mut whole = Whole::Nothing;
        let mut n = 0;
        let too_large = |n: usize| n > self.limit || declared.is_some_and(|declared| declared > self.limit);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| {
                let e: BoxError = e.into();
                Error::new(ErrorKind::BadRequest, format!("the body broke off: {e}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            n += data.len();
            if n > self.limit.saturating_add(FORGOTTEN_BYTES) {
                break;
            }
            whole = if too_large(n) { Whole::Nothing } else { whole.with(data, most) };
        }
        if too_large(n) {
            let is = declared.map_or_else(|| "is longer than the limit".to_owned(), |n| format!("is {n} bytes"));
            let detail = format!("the body {is}, limit is {} bytes: send it in parts", self.limit);
            return Err(Error::new(ErrorKind::TooLarge, detail));
        }
        Ok(whole.freeze())
    }
}

/// What has arrived: most bodies are one piece, which is then not copied.
enum Whole {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Whole {
    fn with(self, data: Bytes, most: usize) -> Self {
        match self {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(most.min(first.len() + data.len() + SMALL_BYTES));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Self::Many(all)
            }
            Self::Many(mut all) => {
                all.extend_from_slice(&data);
                Self::Many(all)
            }
        }
    }

    fn freeze(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(data) => data,
            Self::Many(all) => all.freeze(),
        }
    }
}
