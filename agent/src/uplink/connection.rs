//! A connection to a server: requests go out on it, answers come in, one after the other.

use std::io::{self, IoSlice, Read, Write};

use http::Uri;
use http::uri::{Authority, Scheme};

use super::dial::Socket;
use super::error::DeliveryError;
use super::input::Input;
use super::link::Link;
use super::tls::TlsStream;

/// What carries its bytes.
#[derive(Debug)]
pub(super) enum Wire {
    /// In the clear.
    Plain(Socket),
    /// Under TLS.
    Tls(Box<TlsStream>),
}

/// A connection, and what arrived on it.
#[derive(Debug)]
pub(super) struct Connection {
    wire: Wire,
    /// What arrived and is not used yet.
    pub(super) input: Input,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

impl Connection {
    /// Over `wire` to the server of `uri`.
    pub(super) fn new(wire: Wire, uri: &Uri) -> Self {
        Self {
            wire,
            input: Input::default(),
            scheme: uri.scheme().cloned(),
            authority: uri.authority().cloned(),
        }
    }

    /// Itself, if it leads to the server of `uri` and is open.
    pub(super) fn for_another(mut self, uri: &Uri) -> Option<Self> {
        let is_its =
            self.scheme.as_ref() == uri.scheme() && self.authority.as_ref() == uri.authority();
        (is_its && self.is_open()).then_some(self)
    }

    /// Sends a request.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(), DeliveryError> {
        match &mut self.wire {
            Wire::Plain(socket) => {
                write_both(socket, head, body).map_err(|error| socket.what_failed(&error))
            }
            Wire::Tls(stream) => stream.send(head, body),
        }
    }

    /// Waits for more input, of an answer whose beginning is `link`'s to note; false if the server
    /// ended the connection.
    pub(super) fn receive(&mut self, link: &Link) -> Result<bool, DeliveryError> {
        let room = self.input.room();
        if room.is_empty() {
            return Err(DeliveryError::HeadTooLarge);
        }
        let bytes = match &mut self.wire {
            Wire::Plain(socket) => {
                let read = socket.read(room);
                read.map_err(|error| socket.what_failed(&error))?
            }
            Wire::Tls(stream) => stream.read(room)?,
        };
        self.input.arrived(bytes);
        if bytes > 0 {
            link.attempt().answered = true;
        }
        Ok(bytes > 0)
    }

    /// Whether another request may be sent: asked once behind an answer and once before a request.
    pub(super) fn is_open(&mut self) -> bool {
        // Bytes that nobody asked for make it useless, as its end does.
        self.input.rest().is_empty()
            && match &mut self.wire {
                Wire::Plain(socket) => !socket.is_forgotten() && socket.peek().is_none(),
                Wire::Tls(stream) => stream.is_open(),
            }
    }
}

/// Writes both, in as few pieces as the socket takes.
fn write_both(socket: &mut Socket, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !(head.is_empty() && body.is_empty()) {
        let bytes = socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_head = bytes.min(head.len());
        (head, body) = (&head[of_head..], &body[bytes - of_head..]);
    }
    Ok(())
}
