//! A keep-alive connection that sends prepared bytes and reads as much of the answer as it must.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An HTTP/1.1 connection.
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects to `host:port`.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Sends `request`, reads the whole answer and returns its status and body.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        let mut answer = Vec::with_capacity(1024);
        loop {
            if self.stream.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, start, end)) = frame(&answer)?
                && answer.len() >= end
            {
                return Ok((status, answer.get(start..end).unwrap_or_default().to_vec()));
            }
        }
    }
}

/// Returns the text of a `GET`.
#[must_use]
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Returns the text of a `POST /predict`.
#[must_use]
pub fn predict(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Returns the status of an answer and where its body starts and ends, once its head is there.
fn frame(answer: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(blank) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let wrong = || io::Error::from(io::ErrorKind::InvalidData);
    let head = answer.get(..blank).and_then(|head| std::str::from_utf8(head).ok()).ok_or_else(wrong)?;
    let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or_else(wrong)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let start = blank + 4;
    Ok(Some((status, start, start + length.ok_or_else(wrong)?)))
}
