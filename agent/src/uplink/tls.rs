//! TLS by rustls over our socket.
//!
//! Everything that rustls reads or writes goes through [`Socket`], which waits in the reactor, so
//! a handshake that hangs delays nothing. What rustls refuses is recorded in the attempt as what
//! it was, with what is needed to put it into words.
//!
//! `settings` decides what protects a connection and notices renewed files; `files` reads them;
//! `identity` is what this device shows; `judge` is how a server is verified; `pins` what its keys
//! must be; `dates` is about clocks that are not right; `failure` is for the person who has to mend
//! it. Nothing here turns verification off.

mod any_certificate;
mod dates;
mod failure;
mod files;
mod identity;
mod judge;
mod pins;
mod settings;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::{ClientConnection, IoState, Stream};
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

pub use self::failure::TlsFailure;
pub use self::files::first_certificate;
use self::settings::Protection;
pub use self::settings::{TlsChoice, TlsSettings};
use super::buffers::ConnectionBuffers;
use super::dial::{Socket, note_answer, room};
use super::error::{DeliveryError, Phase};

/// HTTP over TLS.
pub struct TlsTransport {
    socket: Socket,
    tls: ClientConnection,
    protection: Protection,
    buffers: ConnectionBuffers,
    /// Given to rustls since it was last made to send.
    unsent_bytes: usize,
    /// It was used since it was last asked whether it is open.
    is_used: bool,
}

/// More than this does not wait for company: rustls holds 64 KiB at most.
const UNSENT_MAX_BYTES: usize = 16 * 1024;

impl TlsTransport {
    /// Shakes hands with `host` over `socket`.
    pub fn connect(
        socket: Socket,
        settings: &TlsSettings,
        host: &str,
        buffers: ConnectionBuffers,
    ) -> Result<Self, ureq::Error> {
        socket.link().enter(Phase::Tls);
        let protection = settings.current();
        let started = settings.name_for(host).and_then(|name| {
            ClientConnection::new(Arc::clone(&protection.config), name)
                .map_err(|error| DeliveryError::Tls(protection.failure(error)))
        });
        let tls = started.map_err(|error| socket.link().fail(error))?;
        let mut transport = Self {
            socket,
            tls,
            protection,
            buffers,
            unsent_bytes: 0,
            is_used: false,
        };
        while transport.tls.is_handshaking() {
            if let Err(error) = transport.tls.complete_io(&mut transport.socket) {
                return Err(transport.refused(error));
            }
        }
        Ok(transport)
    }

    /// Records what an error out of rustls's loops is: our socket's, rustls's own, or an end
    /// without notice.
    ///
    /// An end without `close_notify` is never passed on as an end: a cut answer would look whole.
    fn refused(&mut self, error: io::Error) -> ureq::Error {
        let kind = error.kind();
        let inner = error.into_inner();
        let error = match inner.map(<dyn Error + Send + Sync>::downcast::<rustls::Error>) {
            Some(Ok(tls)) => DeliveryError::Tls(self.protection.failure(*tls)),
            Some(Err(_)) | None if kind != io::ErrorKind::UnexpectedEof => {
                // Ours is recorded already; nothing else of another kind comes out of rustls.
                match self.socket.link().take_error() {
                    Some(broken @ DeliveryError::Broken(..)) => self.explained(broken),
                    Some(recorded) => recorded,
                    None => DeliveryError::Protocol(kind.to_string().into()),
                }
            }
            _ => DeliveryError::Closed(self.socket.link().attempt().phase),
        };
        self.socket.link().fail(error)
    }

    /// A server that refuses says why and closes at once: when a write then fails, the reason lies
    /// unread in the socket.
    fn explained(&mut self, broken: DeliveryError) -> DeliveryError {
        while let Some(Ok(1..)) = self.socket.peek() {
            if !matches!(self.tls.read_tls(&mut self.socket), Ok(1..)) {
                break;
            }
            if let Err(error) = self.tls.process_new_packets() {
                return DeliveryError::Tls(self.protection.failure(error));
            }
        }
        broken
    }
}

/// Whether the server said nothing that a request could hear.
fn is_quiet(state: &IoState) -> bool {
    state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed()
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        // The head and the body of a request come one after the other. They wait here until an
        // answer is asked for, and leave in one segment.
        let output = &self.buffers.output()[..amount];
        let taken = self.tls.writer().write_all(output);
        self.unsent_bytes += amount;
        let written = taken.and_then(|()| {
            if self.unsent_bytes < UNSENT_MAX_BYTES {
                return Ok(());
            }
            self.unsent_bytes = 0;
            Stream::new(&mut self.tls, &mut self.socket).flush()
        });
        written.map_err(|error| self.refused(error))
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let room = room(self.socket.link(), &mut self.buffers)?;
        // Reading sends first what waits to be sent.
        (self.unsent_bytes, self.is_used) = (0, true);
        let read = Stream::new(&mut self.tls, &mut self.socket).read(room);
        let bytes = read.map_err(|error| self.refused(error))?;
        note_answer(self.socket.link(), bytes);
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    fn is_open(&mut self) -> bool {
        // What arrives between requests is a session ticket or a change of keys, which rustls
        // takes in, or the end. Anything else makes the connection useless.
        if self.socket.is_forgotten() {
            return false;
        }
        if std::mem::take(&mut self.is_used) {
            // `ureq` asks behind an answer and again before the next request: what arrives in the
            // socket is looked at then. What rustls has already belongs to no answer.
            let state = self.tls.process_new_packets();
            return state.is_ok_and(|state| is_quiet(&state));
        }
        while let Some(arrived) = self.socket.peek() {
            if !matches!(arrived, Ok(1..)) {
                return false;
            }
            let taken = self.tls.read_tls(&mut self.socket);
            if !matches!(taken, Ok(1..)) {
                return false;
            }
            let state = self.tls.process_new_packets();
            if !state.is_ok_and(|state| is_quiet(&state)) {
                return false;
            }
        }
        true
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsTransport").field(&self.socket).finish()
    }
}
