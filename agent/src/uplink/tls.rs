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
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::{ClientConnection, IoState, Stream};

pub use self::failure::TlsFailure;
pub use self::files::first_certificate;
use self::settings::Protection;
pub use self::settings::{TlsChoice, TlsSettings};
use super::dial::Socket;
use super::error::{DeliveryError, Phase};

/// A connection under TLS.
pub struct TlsStream {
    socket: Socket,
    tls: ClientConnection,
    protection: Protection,
    /// Given to rustls since it was last made to send.
    unsent_bytes: usize,
    /// It was used since it was last asked whether it is open.
    is_used: bool,
}

/// More than this does not wait for company: rustls holds 64 KiB at most.
const UNSENT_MAX_BYTES: usize = 16 * 1024;

impl TlsStream {
    /// Shakes hands with `host` over `socket`.
    pub fn connect(
        socket: Socket,
        settings: &TlsSettings,
        host: &str,
    ) -> Result<Self, DeliveryError> {
        socket.link().enter(Phase::Tls);
        let protection = settings.current();
        let name = settings.name_for(host)?;
        let tls = ClientConnection::new(Arc::clone(&protection.config), name)
            .map_err(|error| DeliveryError::Tls(protection.failure(error)))?;
        let mut stream = Self {
            socket,
            tls,
            protection,
            unsent_bytes: 0,
            is_used: false,
        };
        while stream.tls.is_handshaking() {
            if let Err(error) = stream.tls.complete_io(&mut stream.socket) {
                return Err(stream.refused(error));
            }
        }
        Ok(stream)
    }

    /// What an error out of rustls's loops is: our socket's, rustls's own, or an end without
    /// notice.
    ///
    /// An end without `close_notify` is never passed on as an end: a cut answer would look whole.
    fn refused(&mut self, error: io::Error) -> DeliveryError {
        let kind = error.kind();
        let inner = error.into_inner();
        match inner.map(<dyn Error + Send + Sync>::downcast::<rustls::Error>) {
            Some(Ok(tls)) => DeliveryError::Tls(self.protection.failure(*tls)),
            Some(Err(_)) | None if kind != io::ErrorKind::UnexpectedEof => {
                match self.socket.what_failed(&kind.into()) {
                    broken @ DeliveryError::Broken(..) => self.explained(broken),
                    other => other,
                }
            }
            _ => DeliveryError::Closed(self.socket.link().attempt().phase),
        }
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

    /// Takes `head` and `body`. They wait here until an answer is asked for, and leave in one
    /// segment.
    pub fn send(&mut self, mut head: &[u8], mut body: &[u8]) -> Result<(), DeliveryError> {
        while !(head.is_empty() && body.is_empty()) {
            let both = [IoSlice::new(head), IoSlice::new(body)];
            let taken = self.tls.writer().write_vectored(&both);
            let bytes = taken.map_err(|error| self.refused(error))?;
            let of_head = bytes.min(head.len());
            (head, body) = (&head[of_head..], &body[bytes - of_head..]);
            self.unsent_bytes += bytes;
            if bytes == 0 || self.unsent_bytes >= UNSENT_MAX_BYTES {
                self.unsent_bytes = 0;
                let sent = Stream::new(&mut self.tls, &mut self.socket).flush();
                sent.map_err(|error| self.refused(error))?;
            }
        }
        Ok(())
    }

    /// Waits for bytes of an answer; 0 if the server ended the connection with notice.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, DeliveryError> {
        // Reading sends first what waits to be sent.
        (self.unsent_bytes, self.is_used) = (0, true);
        let read = Stream::new(&mut self.tls, &mut self.socket).read(room);
        read.map_err(|error| self.refused(error))
    }

    /// Whether another request may be sent.
    pub fn is_open(&mut self) -> bool {
        // What arrives between requests is a session ticket or a change of keys, which rustls
        // takes in, or the end. Anything else makes the connection useless.
        if self.socket.is_forgotten() {
            return false;
        }
        if std::mem::take(&mut self.is_used) {
            // This is asked behind an answer and again before the next request: what arrives in the
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
}

/// Whether the server said nothing that a request could hear.
fn is_quiet(state: &IoState) -> bool {
    state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed()
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsStream").field(&self.socket).finish()
    }
}
