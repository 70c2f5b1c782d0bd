//! Connects, and carries the bytes of a request over non-blocking sockets.
//!
//! [`Dial`] tries every address within the deadline for connecting, the next one as soon as the
//! ones before it are slow (after RFC 8305), and wraps the socket in TLS for `https`. [`Socket`]
//! reads and writes without ever blocking: when the kernel is not ready, it waits in the reactor.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use http::Uri;
use http::uri::Scheme;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use super::connection::Wire;
use super::dns::MAX_ADDRESSES;
use super::error::{DeliveryError, Phase};
use super::link::Link;
use super::proxy::tunnel;
use super::resolver::port_of;
use super::tls::{TlsSettings, TlsStream};
use crate::clock;
use crate::config::proxy::Proxies;

/// How long an address may keep the others waiting (RFC 8305, section 5, says 250 ms). All those
/// that were begun go on meanwhile, so a slow link has the whole deadline for each of them.
const STAGGER_MS: u64 = 300;

/// Opens connections.
pub struct Dial {
    link: Rc<Link>,
    tls: TlsSettings,
    proxies: Rc<Proxies>,
    /// How long a connection is kept without a request.
    keep_ms: u64,
    /// Where TCP connected and the rest did not: a name server that lies leads there.
    suspect: Cell<Option<SocketAddr>>,
}

/// A connection that is being made.
struct Pending {
    fd: OwnedFd,
    address: SocketAddr,
}

/// How a connection that is being made stands.
pub(super) enum Progress {
    /// It is made.
    Connected,
    /// It is not, yet.
    Underway,
}

impl Dial {
    /// Connections that wait on `link`.
    pub fn new(link: Rc<Link>, tls: TlsSettings, proxies: Rc<Proxies>, keep_ms: u64) -> Self {
        Self {
            keep_ms,
            link,
            tls,
            proxies,
            suspect: Cell::new(None),
        }
    }

    /// Connects to the first of `addresses` that lets us, all within the deadline for connecting.
    fn connect_any(&self, addresses: &[SocketAddr]) -> Result<Pending, DeliveryError> {
        self.link.enter(Phase::Connect);
        let mut pending: heapless::Vec<Pending, MAX_ADDRESSES> = heapless::Vec::new();
        let mut last = DeliveryError::Deadline(Phase::Connect);
        let mut addresses = addresses.iter().take(MAX_ADDRESSES).copied().peekable();
        loop {
            self.link.check()?;
            if let Some(address) = addresses.next() {
                match begin(address) {
                    Ok((fd, Progress::Connected)) => return Ok(Pending { fd, address }),
                    Ok((fd, Progress::Underway)) => {
                        // There are no more than there is room for.
                        let _ = pending.push(Pending { fd, address });
                    }
                    Err(errno) => {
                        last = DeliveryError::Connect(address, errno);
                        continue;
                    }
                }
            } else if pending.is_empty() {
                return Err(last);
            }
            let until_ms = match addresses.peek() {
                Some(_) => clock::boot_ms() + STAGGER_MS,
                None => u64::MAX,
            };
            self.wait(&pending, until_ms)?;
            let mut at = 0;
            while at < pending.len() {
                match advance(&pending[at]) {
                    Ok(Progress::Connected) => return Ok(pending.swap_remove(at)),
                    Ok(Progress::Underway) => at += 1,
                    Err(errno) => {
                        let failed = pending.swap_remove(at);
                        last = DeliveryError::Connect(failed.address, errno);
                    }
                }
            }
        }
    }

    /// Waits until something became of one of `pending`, or it is the next one's turn.
    fn wait(&self, pending: &[Pending], until_ms: u64) -> Result<(), DeliveryError> {
        let mut fds: heapless::Vec<BorrowedFd<'_>, MAX_ADDRESSES> = heapless::Vec::new();
        for one in pending {
            // There are no more than there is room for.
            let _ = fds.push(one.fd.as_fd());
        }
        self.link.connecting(&fds, until_ms)
    }

    /// The addresses in the order in which they are tried: where the last attempt was led astray
    /// comes last.
    fn in_order(&self, found: &[SocketAddr]) -> heapless::Vec<SocketAddr, MAX_ADDRESSES> {
        let suspect = self.suspect.get();
        let is_suspect = |address: &&SocketAddr| Some(**address) == suspect;
        let good = found.iter().filter(|address| !is_suspect(address));
        let order = good.chain(found.iter().filter(is_suspect));
        order.take(MAX_ADDRESSES).copied().collect()
    }

    /// Connects to the server of `uri` at one of `addresses`, TLS included.
    pub(super) fn connect(
        &self,
        uri: &Uri,
        addresses: &[SocketAddr],
    ) -> Result<Wire, DeliveryError> {
        self.link.attempt().connected = true;
        let host = uri.host().unwrap_or_default();
        let proxy = self.proxies.for_host(host);
        let name = proxy.map_or(host, |proxy| &*proxy.host);
        // The address may have changed: the next attempt asks for it anew.
        let expire = |_: &DeliveryError| self.link.reactor().stub.expire(name);
        let order = self.in_order(addresses);
        let Pending { fd, address } = self.connect_any(&order).inspect_err(expire)?;
        let stream = TcpStream::from(fd);
        // A request is one small write: waiting to join it with another only delays it.
        stream
            .set_nodelay(true)
            .map_err(|error| DeliveryError::Connect(address, errno_of(&error)))?;
        let socket = Socket {
            stream,
            use_until_ms: clock::boot_ms() + self.keep_ms,
            keep_ms: self.keep_ms,
            link: Rc::clone(&self.link),
        };
        let wire = self.secure(uri, host, socket).inspect_err(|error| {
            self.suspect.set(Some(address));
            expire(error);
        })?;
        // From now on this is where the server was, whatever a name server says later.
        self.link.reactor().stub.confirm(name, address.ip());
        self.link.enter(Phase::Http);
        Ok(wire)
    }

    /// All that comes after TCP.
    fn secure(&self, uri: &Uri, host: &str, mut socket: Socket) -> Result<Wire, DeliveryError> {
        if let Some(proxy) = self.proxies.for_host(host) {
            tunnel(&mut socket, proxy, host, port_of(uri))?;
        }
        if uri.scheme() == Some(&Scheme::HTTP) {
            return Ok(Wire::Plain(socket));
        }
        let stream = TlsStream::connect(socket, &self.tls, host)?;
        Ok(Wire::Tls(Box::new(stream)))
    }
}

/// Begins to connect to `address` without waiting for it.
pub(super) fn begin(address: SocketAddr) -> Result<(OwnedFd, Progress), Errno> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    let progress = match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) => Progress::Connected,
        Err(Errno::EINPROGRESS) => Progress::Underway,
        Err(errno) => return Err(errno),
    };
    Ok((fd, progress))
}

/// Asks what became of it: connect(2), repeated, says so.
fn advance(pending: &Pending) -> Result<Progress, Errno> {
    match connect(
        pending.fd.as_raw_fd(),
        &SockaddrStorage::from(pending.address),
    ) {
        Ok(()) | Err(Errno::EISCONN) => Ok(Progress::Connected),
        Err(Errno::EALREADY | Errno::EINPROGRESS | Errno::EINTR) => Ok(Progress::Underway),
        Err(errno) => Err(errno),
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
    keep_ms: u64,
    /// When the other side, or a router between, will have forgotten it.
    use_until_ms: u64,
    link: Rc<Link>,
}

impl Socket {
    /// What it shares with the loop.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Whether it was silent for so long that nobody knows it any more.
    pub fn is_forgotten(&self) -> bool {
        clock::boot_ms() > self.use_until_ms
    }

    /// What an error of reading or writing here stands for.
    pub fn what_failed(&self, error: &io::Error) -> DeliveryError {
        let recorded = self.link.take_error();
        // Only its own loops, as in `write_all`, have others.
        recorded.unwrap_or_else(|| DeliveryError::Protocol(error.to_string().into()))
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
                    self.use_until_ms = clock::boot_ms() + self.keep_ms;
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
            outcome.map_err(|error| self.link.fail(error))?;
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
            .map_err(|error| self.link.fail(error))?;
        self.run(PollFlags::POLLIN, |stream| stream.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buffer)])
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.link.check().map_err(|error| self.link.fail(error))?;
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

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
