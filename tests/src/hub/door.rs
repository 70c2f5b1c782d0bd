//! The hub's address: kept for as long as the hub lives, open or shut.
//!
//! A second socket is bound to the address and never listens. While the listener is closed, the
//! kernel answers connection attempts with a reset, and nobody else is given the port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, getsockname, listen,
    setsockopt, socket, sockopt,
};

/// An address that is ours.
#[derive(Debug)]
pub(super) struct Door {
    address: SocketAddr,
    _reserved: OwnedFd,
}

impl Door {
    /// Takes the address; port 0 takes a free one.
    pub(super) fn reserve(wanted: SocketAddr) -> io::Result<Self> {
        let reserved = bound(wanted)?;
        let storage: SockaddrStorage = getsockname(reserved.as_raw_fd())?;
        let port = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => v4.port(),
            (_, Some(v6)) => v6.port(),
            _ => {
                return Err(io::Error::other(
                    "the kernel gave an address of no known family",
                ));
            }
        };
        Ok(Self {
            address: SocketAddr::new(wanted.ip(), port),
            _reserved: reserved,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens. Dropping the listener shuts the door.
    pub(super) fn open(&self) -> io::Result<TcpListener> {
        let socket = bound(self.address)?;
        listen(&socket, Backlog::MAXCONN)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

fn bound(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Both sockets of a door need this to share their address.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_door_shuts_and_opens_again_on_its_port() {
        let door = Door::reserve(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let refused = |door: &Door| {
            let error = TcpStream::connect(door.address()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        };
        refused(&door);
        for _ in 0..3 {
            let listener = door.open().unwrap();
            TcpStream::connect(door.address()).unwrap();
            drop(listener);
            refused(&door);
        }
    }
}
