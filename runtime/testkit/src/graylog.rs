//! A receiver of GELF, as Graylog's inputs are: datagrams, chunks, zlib, and null bytes on TCP.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use flate2::read::ZlibDecoder;
use serde_json::Value;

/// How long a message may take to come.
const LIMIT: Duration = Duration::from_secs(10);

/// Receives messages until the test ends.
#[derive(Debug)]
pub struct Graylog {
    /// For `DROVER_GELF`.
    pub url: String,
    messages: Receiver<Received>,
}

/// One message, and how it came.
#[derive(Debug)]
pub struct Received {
    /// What it says.
    pub message: Value,
    /// Datagrams that it took; 0 on TCP.
    pub n_datagrams: usize,
    /// Whether it was compressed.
    pub is_packed: bool,
}

impl Graylog {
    /// Listens for datagrams on a free port.
    pub fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let url = format!("udp://{}", socket.local_addr().expect("it is bound"));
        let (sender, messages) = channel();
        std::thread::spawn(move || receive(&socket, &sender));
        Self { url, messages }
    }

    /// Listens for connections on a free port.
    pub fn tcp() -> Self {
        Self::tcp_of(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Listens for connections on a port that was taken before.
    pub fn tcp_of(listener: TcpListener) -> Self {
        let url = format!("tcp://{}", listener.local_addr().expect("it is bound"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for frame in BufReader::new(stream).split(0).map_while(Result::ok) {
                        let message = serde_json::from_slice(&frame).expect("a frame is JSON");
                        let _the_test_has_ended = sender.send(Received { message, n_datagrams: 0, is_packed: false });
                    }
                });
            }
        });
        Self { url, messages }
    }

    /// Waits for the next message whose text is `short_message`.
    pub fn next(&self, short_message: &str) -> Received {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let received = self.messages.recv_timeout(left).unwrap_or_else(|_| panic!("no message `{short_message}`"));
            if received.message["short_message"] == short_message {
                return received;
            }
        }
    }
}

/// Puts chunks together as the format says: each has its message's id, its number and their count.
fn receive(socket: &UdpSocket, messages: &Sender<Received>) {
    let mut datagram = vec![0; 1 << 16];
    let mut parts: BTreeMap<[u8; 8], BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
    while let Ok(n) = socket.recv(&mut datagram) {
        let (whole, n_datagrams) = match &datagram[..n] {
            [0x1e, 0x0f, header @ ..] => {
                let id: [u8; 8] = header[..8].try_into().expect("eight bytes");
                let (number, count) = (header[8], header[9]);
                assert!(number < count && count <= 128, "chunk {number} of {count}");
                let chunks = parts.entry(id).or_default();
                chunks.insert(number, header[10..].to_vec());
                if chunks.len() < usize::from(count) {
                    continue;
                }
                let chunks = parts.remove(&id).expect("all of its chunks");
                (chunks.into_values().flatten().collect(), usize::from(count))
            }
            whole => (whole.to_vec(), 1),
        };
        let is_packed = whole.first() == Some(&0x78);
        let mut text = Vec::new();
        if is_packed {
            ZlibDecoder::new(whole.as_slice()).read_to_end(&mut text).expect("it is zlib");
        } else {
            text = whole;
        }
        let message = serde_json::from_slice(&text).expect("a message is JSON");
        if messages.send(Received { message, n_datagrams, is_packed }).is_err() {
            return;
        }
    }
}
