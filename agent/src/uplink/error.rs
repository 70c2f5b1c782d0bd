//! What can go wrong between the outbox and the server's answer, by layer.

use std::fmt;
use std::net::SocketAddr;

use nix::errno::Errno;

use super::tls::TlsFailure;

/// How far a request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Looking the name up.
    #[default]
    Dns,
    /// Connecting.
    Connect,
    /// Shaking hands.
    Tls,
    /// Sending the request, waiting for the answer's head.
    Http,
    /// Reading the answer's body.
    Body,
}

impl Phase {
    /// Whether the deadline for connecting applies.
    pub fn is_connecting(self) -> bool {
        matches!(self, Self::Dns | Self::Connect | Self::Tls)
    }

    /// The layer's name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "tcp",
            Self::Tls => "tls",
            Self::Http | Self::Body => "http",
        }
    }
}

/// Why no whole answer came.
#[derive(Debug)]
pub enum DeliveryError {
    /// The agent is stopping.
    Stopped,
    /// The deadline passed in this phase.
    Deadline(Phase),
    /// The name has no address.
    NoSuchName(Box<str>),
    /// No name server answered usefully.
    NoNameServer(Box<str>),
    /// An address refused, or cannot be reached.
    Connect(SocketAddr, Errno),
    /// The TLS handshake or the protected stream failed.
    Tls(TlsFailure),
    /// The TLS settings cannot be used.
    TlsSettings(Box<str>),
    /// The connection broke.
    Broken(Phase, Errno),
    /// The server closed the connection before its answer was whole.
    Closed(Phase),
    /// The head of the answer is too large.
    HeadTooLarge,
    /// The body of the answer is too large.
    BodyTooLarge,
    /// What came is not HTTP, or the request could not be made.
    Protocol(Box<str>),
}

impl DeliveryError {
    /// The layer that failed.
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Stopped => "agent",
            Self::Deadline(phase) | Self::Broken(phase, _) | Self::Closed(phase) => phase.as_str(),
            Self::NoSuchName(_) | Self::NoNameServer(_) => Phase::Dns.as_str(),
            Self::Connect(..) => Phase::Connect.as_str(),
            Self::Tls(_) | Self::TlsSettings(_) => Phase::Tls.as_str(),
            Self::HeadTooLarge | Self::BodyTooLarge | Self::Protocol(_) => Phase::Http.as_str(),
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("cancelled because the agent is stopping"),
            Self::Deadline(Phase::Dns) => f.write_str("no name server answered in time"),
            Self::Deadline(Phase::Connect) => f.write_str("connecting took too long"),
            Self::Deadline(Phase::Tls) => f.write_str("the TLS handshake took too long"),
            Self::Deadline(Phase::Http) => f.write_str("the server did not answer in time"),
            Self::Deadline(Phase::Body) => f.write_str("the answer did not end in time"),
            Self::NoSuchName(name) => {
                write!(
                    f,
                    "{name} has no address: check server_url and the name server"
                )
            }
            Self::NoNameServer(name) => {
                write!(f, "no name server could tell the address of {name}")
            }
            Self::Connect(address, errno) => write!(f, "connecting to {address}: {}", errno.desc()),
            Self::Tls(failure) => failure.fmt(f),
            Self::TlsSettings(words) => f.write_str(words),
            Self::Broken(_, errno) => write!(f, "connection broken: {}", errno.desc()),
            Self::Closed(Phase::Tls) => {
                f.write_str("the server closed the connection in the TLS handshake")
            }
            Self::Closed(Phase::Body) => f.write_str("the server's answer was cut off"),
            Self::Closed(_) => f.write_str("the server closed the connection without an answer"),
            Self::HeadTooLarge => f.write_str("the head of the answer is larger than 16 KiB"),
            Self::BodyTooLarge => f.write_str("the body of the answer is larger than 64 KiB"),
            Self::Protocol(words) => write!(f, "not a usable HTTP answer: {words}"),
        }
    }
}

impl std::error::Error for DeliveryError {}
