//! One accepted connection as a stream of bytes, and the rude and polite ways to end it.
//!
//! Bytes are counted where TCP sees them, TLS included.

use std::hint;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};

use super::Waits;

/// How long and how much is read after the hub has said its last word.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;
/// Between two looks of a hub that waits awake, so that the peer finds its socket free.
const SPINS: u32 = 1000;

/// Bytes over all connections.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

/// The handle by which others can end a connection that a thread is busy with.
#[derive(Debug)]
pub(super) struct Line {
    tcp: TcpStream,
    cut: AtomicBool,
}

impl Line {
    pub(super) fn new(tcp: &TcpStream) -> io::Result<Self> {
        Ok(Self {
            tcp: tcp.try_clone()?,
            cut: AtomicBool::new(false),
        })
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    /// Ends it in both directions.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        // Only fails when the connection is gone already.
        self.tcp.shutdown(Shutdown::Both).ok();
    }

    /// Ends it with a reset. Its thread is woken by the end of what it reads; the reset goes out
    /// when the last handle is closed.
    pub(super) fn cut_with_reset(&self) {
        self.cut.store(true, Ordering::SeqCst);
        reset_on_close(&self.tcp);
        self.tcp.shutdown(Shutdown::Read).ok();
    }
}

/// Makes closing throw away what is unsent and tell the peer so.
fn reset_on_close(tcp: &TcpStream) {
    // Fails only on what is no socket.
    setsockopt(
        tcp,
        sockopt::Linger,
        &libc::linger {
            l_onoff: 1,
            l_linger: 0,
        },
    )
    .ok();
}

/// A TCP stream that counts.
#[derive(Debug)]
pub(super) struct Counted {
    tcp: TcpStream,
    meter: Arc<Meter>,
    waits: Waits,
}

impl Counted {
    fn look_until_there_is(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.tcp.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => (0..SPINS).for_each(|_| hint::spin_loop()),
                done => return Ok(done?),
            }
        }
    }
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = match self.waits {
            Waits::Asleep => self.tcp.read(into)?,
            Waits::Awake => self.look_until_there_is(into)?,
        };
        self.meter.bytes_in.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

impl Write for Counted {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let sent = self.tcp.write(from)?;
        self.meter
            .bytes_out
            .fetch_add(sent as u64, Ordering::Relaxed);
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// A connection, with TLS or without.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(Counted),
    Tls(Box<StreamOwned<ServerConnection, Counted>>),
}

impl Wire {
    pub(super) fn plain(tcp: TcpStream, meter: Arc<Meter>, waits: Waits) -> Self {
        Self::Plain(Counted { tcp, meter, waits })
    }

    /// Shakes hands as the server.
    pub(super) fn handshake(self, config: Arc<ServerConfig>) -> io::Result<Self> {
        let Self::Plain(mut counted) = self else {
            return Ok(self);
        };
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            if tls.complete_io(&mut counted)? == (0, 0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, counted))))
    }

    pub(super) fn tls_version(&self) -> Option<String> {
        let Self::Tls(tls) = self else { return None };
        tls.conn
            .protocol_version()
            .map(|version| format!("{version:?}"))
    }

    pub(super) fn is_resumed(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.conn.handshake_kind() == Some(HandshakeKind::Resumed))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(counted) => &counted.tcp,
            Self::Tls(tls) => &tls.sock.tcp,
        }
    }

    /// Says goodbye in TLS and TCP, and lets the client finish, so that no reset overtakes the
    /// answer.
    pub(super) fn close(mut self) {
        if let Self::Tls(tls) = &mut self {
            tls.conn.send_close_notify();
            // A client that has gone needs no goodbye.
            tls.flush().ok();
        }
        self.close_without_goodbye();
    }

    /// Ends the TCP stream where it is; TLS says nothing.
    pub(super) fn close_without_goodbye(self) {
        let tcp = self.tcp();
        if tcp.shutdown(Shutdown::Write).is_ok() && tcp.set_read_timeout(Some(LINGER)).is_ok() {
            io::copy(&mut tcp.take(LINGER_BYTES), &mut io::sink()).ok();
        }
    }

    /// Resets the connection.
    pub(super) fn reset(self) {
        reset_on_close(self.tcp());
    }

    /// Reads what comes, deaf, until the client gives up or the line is cut.
    pub(super) fn ignore(self) {
        let mut tcp = self.tcp();
        io::copy(&mut tcp, &mut io::sink()).ok();
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(counted) => counted.read(into),
            Self::Tls(tls) => tls.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(counted) => counted.write(from),
            Self::Tls(tls) => tls.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(counted) => counted.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
