//! Connects, and carries the bytes of a request over non-blocking sockets.
//!
//! [`Dial`] is the one connector that `ureq` has: it tries every address within the deadline for
//! connecting, and wraps the socket in TLS for `https`. [`Socket`] reads and writes without ever
//! blocking: when the kernel is not ready, it waits in the reactor.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::buffers::ConnectionBuffers;
use super::error::{DeliveryError, Phase};
use super::link::Link;
use super::tls::{TlsSettings, TlsTransport};
use crate::clock;

/// The least that an address gets to answer: a satellite link takes more than half a second.
const SHARE_MS: u64 = 2_000;

/// Opens connections for `ureq`.
pub struct Dial {
    link: Arc<Link>,
    tls: TlsSettings,
    /// Where among the addresses of a name the last attempt was.
    first: AtomicUsize,
}

impl Dial {
    /// Connections that wait on `link`.
    pub fn new(link: Arc<Link>, tls: TlsSettings) -> Self {
        let first = AtomicUsize::new(0);
        Self { link, tls, first }
    }

    fn connect(&self, addresses: &[SocketAddr]) -> Result<Socket, DeliveryError> {
        self.link.enter(Phase::Connect);
        let mut last = DeliveryError::Deadline(Phase::Connect);
        let first = self.first.load(Ordering::Relaxed);
        for at in 0..addresses.len() {
            // A dead address may use its share of what is left, not the share of the others; but
            // a slow link needs its time, and what comes too late now is first the next time.
            let now_ms = clock::boot_ms();
            let left_ms = self.link.deadline_ms().saturating_sub(now_ms);
            let share_ms = (left_ms / (addresses.len() - at) as u64).max(SHARE_MS);
            let place = (first + at) % addresses.len();
            self.first.store(place, Ordering::Relaxed);
            match self.connect_one(addresses[place], now_ms + share_ms) {
                Ok(socket) => return Ok(socket),
                Err(DeliveryError::Stopped) => return Err(DeliveryError::Stopped),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect_one(&self, address: SocketAddr, until_ms: u64) -> Result<Socket, DeliveryError> {
        let failed = |errno| DeliveryError::Connect(address, errno);
        self.link.check()?;
        let family = if address.is_ipv4() {
            AddressFamily::Inet
        } else {
            AddressFamily::Inet6
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(family, SockType::Stream, flags, None).map_err(failed)?;
        match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) => {}
            Err(Errno::EINPROGRESS) => {
                self.link.ready(fd.as_fd(), PollFlags::POLLOUT, until_ms)?;
            }
            Err(errno) => return Err(failed(errno)),
        }
        let stream = TcpStream::from(fd);
        match stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Err(failed(errno_of(&error))),
        }
        // A request is one small write: waiting to join it with another only delays it.
        stream
            .set_nodelay(true)
            .map_err(|error| failed(errno_of(&error)))?;
        Ok(Socket {
            stream,
            link: Arc::clone(&self.link),
        })
    }
}

impl Connector for Dial {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.link.attempt().connected = true;
        let socket = Self::connect(self, &details.addrs).map_err(|error| {
            // The address may have changed: the next attempt asks for it anew.
            self.link.reactor().stub.expire();
            self.link.fail(error)
        })?;
        let buffers = ConnectionBuffers::default();
        let transport: Self::Out = if details.needs_tls() {
            let host = details.uri.host().unwrap_or_default();
            Box::new(TlsTransport::connect(socket, &self.tls, host, buffers)?)
        } else {
            Box::new(PlainTransport { socket, buffers })
        };
        self.link.enter(Phase::Http);
        Ok(Some(transport))
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

/// A connected socket that waits in the reactor.
pub struct Socket {
    stream: TcpStream,
    link: Arc<Link>,
}

impl Socket {
    /// What it shares with the loop.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Looks at what arrived without waiting: `None` if nothing did.
    pub fn peek(&self) -> Option<io::Result<usize>> {
        match self.stream.peek(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            other => Some(other),
        }
    }

    /// Repeats `operate` until it does not have to wait.
    ///
    /// The error it gives is a marker; what happened is recorded in the attempt.
    fn run(
        &mut self,
        events: PollFlags,
        mut operate: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let outcome = match operate(&mut self.stream) {
                Ok(bytes) => {
                    self.link.attempt().wire_bytes += bytes as u64;
                    return Ok(bytes);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.link.ready(self.stream.as_fd(), events, u64::MAX)
                    }
                    io::ErrorKind::Interrupted => Ok(()),
                    _ => {
                        let phase = self.link.attempt().phase;
                        Err(DeliveryError::Broken(phase, errno_of(&error)))
                    }
                },
            };
            outcome.map_err(|error| io::Error::other(self.link.fail(error)))?;
        }
    }
}

// Each read and write meets the deadline before it touches the socket: a peer that always has a
// byte ready would otherwise never be cut off.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What is read is an answer, which is hardly ever there already: asking the kernel for it
        // before waiting would be a system call for nothing.
        self.link
            .ready(self.stream.as_fd(), PollFlags::POLLIN, u64::MAX)
            .map_err(|error| io::Error::other(self.link.fail(error)))?;
        self.run(PollFlags::POLLIN, |stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.link
            .check()
            .map_err(|error| io::Error::other(self.link.fail(error)))?;
        self.run(PollFlags::POLLOUT, |stream| stream.write_vectored(buffers))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.stream).finish()
    }
}

/// Notes that the answer began, once its first byte is there.
pub fn note_answer(link: &Link, bytes: usize) {
    if bytes > 0 {
        link.attempt().answered = true;
    }
}

/// Where the next bytes of an answer go; fails if its head fills the whole buffer.
pub fn room<'b>(
    link: &Link,
    buffers: &'b mut ConnectionBuffers,
) -> Result<&'b mut [u8], ureq::Error> {
    let room = buffers.input_append_buf();
    if room.is_empty() {
        return Err(link.fail(DeliveryError::HeadTooLarge));
    }
    Ok(room)
}

/// HTTP in the clear.
struct PlainTransport {
    socket: Socket,
    buffers: ConnectionBuffers,
}

impl Transport for PlainTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Ok(self.socket.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let room = room(&self.socket.link, &mut self.buffers)?;
        let bytes = self.socket.read(room)?;
        note_answer(&self.socket.link, bytes);
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    fn is_open(&mut self) -> bool {
        // Bytes that nobody asked for make a kept connection useless, as its end does.
        self.socket.peek().is_none()
    }
}

impl fmt::Debug for PlainTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PlainTransport").field(&self.socket).finish()
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
