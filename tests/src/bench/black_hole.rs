//! An address that takes no connection and refuses none.
//!
//! A listener that never accepts, with the shortest queue there is, filled up: the kernel drops
//! what asks for another place, as a firewall or a dead link would.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, socket,
};

/// A connection over loopback takes microseconds, unless it is dropped.
const PATIENCE: Duration = Duration::from_millis(200);
/// More than the shortest queue of any kernel takes.
const MOST: usize = 16;

/// The hole. It is there until dropped.
#[derive(Debug)]
pub(in crate::bench) struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub(in crate::bench) fn dig() -> io::Result<Self> {
        let any = SockaddrStorage::from(SocketAddr::from(([127, 0, 0, 1], 0)));
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        bind(socket.as_raw_fd(), &any)?;
        listen(&socket, Backlog::new(0)?)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        while queue.len() < MOST {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(connection) => queue.push(connection),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Self {
                        address,
                        _listener: listener,
                        _queue: queue,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!(
            "a listener with no queue took {MOST} connections"
        )))
    }

    pub(in crate::bench) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_hole_neither_takes_nor_refuses() {
        let hole = BlackHole::dig().unwrap();
        for _ in 0..2 {
            let error = TcpStream::connect_timeout(&hole.address(), PATIENCE).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
    }
}
