//! A connection between a master and a worker: JSON messages, each behind its length.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec, LengthDelimitedCodecError};

/// Bytes of a message of somebody who has not shown to know the key.
pub(super) const STRANGER_BYTES_MAX: usize = 4 << 10;
/// Bytes of a worker's message.
pub(super) const WORKER_BYTES_MAX: usize = 16 << 20;
/// Bytes of a brief, the largest message of a master.
pub(super) const BRIEF_BYTES_MAX: usize = 64 << 20;

/// How long a message may take to leave, and a second more for each of so many bytes. Who reads nothing for so long
/// is as good as gone.
const SEND_LIMIT: Duration = super::SILENCE;
const BYTES_PER_SECOND: usize = 1 << 20;

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The other side has closed it.
    #[error("the connection was closed")]
    Closed,
    /// The other side says nothing, or reads nothing.
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    /// A message is larger than it may be.
    #[error("a message of more than {0} bytes")]
    Large(usize),
    /// A message cannot be understood.
    #[error("a message that is none: {0}")]
    Message(#[from] serde_json::Error),
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// One side of a connection, that hears messages of type `M`.
#[derive(Debug)]
pub(super) struct Wire<M> {
    framed: Framed<TcpStream, LengthDelimitedCodec>,
    heard: PhantomData<M>,
}

impl<M: DeserializeOwned> Wire<M> {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let codec = LengthDelimitedCodec::builder().max_frame_length(STRANGER_BYTES_MAX).new_codec();
        Ok(Self { framed: Framed::new(stream, codec), heard: PhantomData })
    }

    /// Takes messages of up to `bytes` from now on, as the other side has shown who it is.
    pub(super) fn trust(&mut self, bytes: usize) {
        self.framed.codec_mut().set_max_frame_length(bytes);
    }

    /// Waits for a message. Cancel safe.
    pub(super) async fn hear(&mut self) -> Result<M, Lost> {
        match self.framed.next().await {
            Some(Ok(bytes)) => Ok(serde_json::from_slice(&bytes)?),
            Some(Err(e)) if is_large(&e) => Err(Lost::Large(self.framed.codec().max_frame_length())),
            Some(Err(e)) => Err(e.into()),
            None => Err(Lost::Closed),
        }
    }

    pub(super) async fn say(&mut self, message: &impl Serialize) -> Result<(), Lost> {
        let message = Bytes::from(serde_json::to_vec(message)?);
        let limit = SEND_LIMIT + Duration::from_secs((message.len() / BYTES_PER_SECOND) as u64);
        match timeout(limit, self.framed.send(message)).await {
            Ok(Err(e)) if is_large(&e) => Err(Lost::Large(self.framed.codec().max_frame_length())),
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Lost::Silent(limit)),
        }
    }
}

fn is_large(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<LengthDelimitedCodecError>()).is_some()
}
