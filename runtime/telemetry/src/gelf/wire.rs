//! How messages get to Graylog: UDP in datagrams, compressed and in chunks where one does not hold them, or TCP with a
//! null byte after each.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::str::FromStr;
use std::thread::sleep;
use std::time::Duration;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// The largest datagram: what passes every network, in GELF's own words.
const DATAGRAM_BYTES: usize = 1420;
/// What begins a chunk.
const MAGIC: [u8; 2] = [0x1e, 0x0f];
/// A chunk's magic, message id, number and count.
const HEADER_BYTES: usize = 12;
/// A receiver takes no more chunks of one message.
const CHUNKS_MAX: usize = 128;
/// How long a connection or a write may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for a server that cannot be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// A Graylog's input, as `udp://host:port` or `tcp://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    transport: Transport,
    /// `host:port`, looked up at each connection.
    address: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an address such as udp://graylog.internal:12201 or tcp://10.0.0.1:12201");
        let (scheme, address) = text.split_once("://").ok_or_else(wrong)?;
        let transport = match scheme {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            _ => return Err(wrong()),
        };
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0) => {
                Ok(Self { transport, address: address.to_owned() })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

/// The way to a server, opened when it is needed.
pub(super) struct Wire {
    server: Server,
    open: Option<Socket>,
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Wire {
    pub(super) fn new(server: Server) -> Self {
        Self { server, open: None }
    }

    /// Sends one message. A TCP server that cannot be reached is waited for, and what was cut off is sent anew.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        loop {
            let socket = match self.open.take().map_or_else(|| self.server.open(), Ok) {
                Ok(socket) => socket,
                Err(e) if self.server.transport == Transport::Udp => return Err(e),
                Err(_) => {
                    sleep(PAUSE);
                    continue;
                }
            };
            match socket {
                Socket::Udp(socket) => {
                    for datagram in datagrams(message, fastrand::u64(..))? {
                        // An error here is often that of an earlier datagram; a new socket looks the name up again.
                        socket.send(&datagram)?;
                    }
                    self.open = Some(Socket::Udp(socket));
                    return Ok(());
                }
                Socket::Tcp(mut stream) => {
                    if stream.write_all(message).and_then(|()| stream.write_all(&[0])).is_ok() {
                        self.open = Some(Socket::Tcp(stream));
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Server {
    fn open(&self) -> io::Result<Socket> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.address));
        for address in self.address.to_socket_addrs()? {
            match self.open_at(address) {
                Ok(socket) => return Ok(socket),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn open_at(&self, address: SocketAddr) -> io::Result<Socket> {
        match self.transport {
            Transport::Udp => {
                let any: SocketAddr =
                    if address.is_ipv4() { ([0; 4], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Socket::Udp(socket))
            }
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Socket::Tcp(stream))
            }
        }
    }
}

/// Returns the datagrams of a message. Compression begins where it saves a datagram.
fn datagrams(message: &[u8], id: u64) -> io::Result<Vec<Vec<u8>>> {
    if message.len() <= DATAGRAM_BYTES {
        return Ok(vec![message.to_vec()]);
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(message)?;
    let packed = packed.finish()?;
    if packed.len() <= DATAGRAM_BYTES {
        return Ok(vec![packed]);
    }
    let parts = packed.chunks(DATAGRAM_BYTES - HEADER_BYTES);
    let count = match u8::try_from(parts.len()) {
        Ok(count) if usize::from(count) <= CHUNKS_MAX => count,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {CHUNKS_MAX} chunks"))),
    };
    let chunk = |(number, part): (u8, &[u8])| [&MAGIC[..], &id.to_be_bytes(), &[number, count], part].concat();
    Ok((0..count).zip(parts).map(chunk).collect())
}

#[cfg(test)]
mod tests;
