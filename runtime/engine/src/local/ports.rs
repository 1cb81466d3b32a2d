//! Free ports that nobody else is given before the instance takes them.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

/// Reserves a free port of 127.0.0.1 for about a minute.
///
/// A connection that the port's own side closed first leaves the port in TIME_WAIT: the kernel then
/// gives it to nobody who asks for any free port, while a server that asks for exactly this port gets
/// it, since servers set `SO_REUSEADDR`.
///
/// # Errors
/// What the kernel says when no port is free.
pub(crate) fn reserve() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address: SocketAddr = listener.local_addr()?;
    let client = TcpStream::connect(address)?;
    let (server, _) = listener.accept()?;
    server.shutdown(Shutdown::Write)?;
    drop(server);
    drop(client);
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_can_be_taken_by_name_and_is_not_handed_out_again() {
        let port = reserve().unwrap();
        for _ in 0..200 {
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert_ne!(other.local_addr().unwrap().port(), port);
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
