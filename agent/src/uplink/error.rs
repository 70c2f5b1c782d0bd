//! What can go wrong between the outbox and the server's answer, by layer.

use std::fmt;
use std::net::SocketAddr;

use mote_core::outage::Layer;
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
    /// Asking the proxy to connect through.
    Proxy,
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
        matches!(self, Self::Dns | Self::Connect | Self::Proxy | Self::Tls)
    }

    /// The layer that fails when this phase does.
    pub fn layer(self) -> Layer {
        match self {
            Self::Dns => Layer::Dns,
            Self::Connect => Layer::Tcp,
            Self::Proxy => Layer::Proxy,
            Self::Tls => Layer::Tls,
            Self::Http | Self::Body => Layer::Http,
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
    /// No name server could even be asked about this name: there is no way out.
    NoNetwork(Box<str>, Errno),
    /// An address refused, or cannot be reached.
    Connect(SocketAddr, Errno),
    /// The proxy answered with this status instead of connecting through.
    ProxyRefused(u16),
    /// What the proxy said is no answer to that.
    ProxyBroken,
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
    /// The body of the answer, which had this status, has more than so many bytes.
    BodyTooLarge(u16, usize),
    /// What came is not HTTP, or the request could not be made.
    Protocol(Box<str>),
}

impl DeliveryError {
    /// The layer that failed; a stop is no failure of any.
    pub fn layer(&self) -> Option<Layer> {
        Some(match self {
            Self::Stopped => return None,
            Self::Deadline(phase) | Self::Broken(phase, _) | Self::Closed(phase) => phase.layer(),
            Self::NoNetwork(..) => Layer::Link,
            Self::Connect(_, errno) if is_no_way_out(*errno) => Layer::Link,
            Self::NoSuchName(_) | Self::NoNameServer(_) => Layer::Dns,
            Self::Connect(..) => Layer::Tcp,
            Self::ProxyRefused(_) | Self::ProxyBroken => Layer::Proxy,
            Self::Tls(_) | Self::TlsSettings(_) => Layer::Tls,
            Self::HeadTooLarge | Self::BodyTooLarge(..) | Self::Protocol(_) => Layer::Http,
        })
    }

    /// The layer's name in the log.
    pub fn layer_name(&self) -> &'static str {
        self.layer().map_or("agent", Layer::as_str)
    }

    /// The number that goes with it, for the black box: what the system called it, or the status of an
    /// answer; 0 if there is none.
    pub fn code(&self) -> u16 {
        match self {
            Self::Connect(_, errno) | Self::Broken(_, errno) | Self::NoNetwork(_, errno) => {
                u16::try_from(*errno as i32).unwrap_or(0)
            }
            Self::Deadline(_) => Errno::ETIMEDOUT as u16,
            Self::ProxyRefused(status) | Self::BodyTooLarge(status, _) => *status,
            _ => 0,
        }
    }
}

/// Whether the device itself has no address or no route, whoever is to be reached.
pub fn is_no_way_out(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENETUNREACH | Errno::ENETDOWN | Errno::EADDRNOTAVAIL
    )
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("cancelled because the agent is stopping"),
            Self::Deadline(Phase::Dns) => f.write_str("no name server answered in time"),
            Self::Deadline(Phase::Connect) => f.write_str("connecting took too long"),
            Self::Deadline(Phase::Proxy) => f.write_str("the proxy did not answer in time"),
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
            Self::NoNetwork(_, errno) => write!(
                f,
                "no name server can be reached: {}: check the network",
                errno.desc()
            ),
            Self::Connect(address, errno) => {
                let advice = match errno {
                    Errno::ECONNREFUSED => ": is the server running there, and is the port right?",
                    Errno::ENETUNREACH | Errno::EHOSTUNREACH => ": check the network",
                    _ => "",
                };
                write!(f, "connecting to {address}: {}{advice}", errno.desc())
            }
            Self::ProxyRefused(407) => f.write_str(
                "the proxy wants a user and a password (407): write them into proxy, as in \
                 http://user:password@host:port",
            ),
            Self::ProxyRefused(status) => write!(
                f,
                "the proxy answered {status} and does not connect to the server"
            ),
            Self::ProxyBroken => {
                f.write_str("what answers in place of the proxy is none: check proxy")
            }
            Self::Tls(failure) => failure.fmt(f),
            Self::TlsSettings(words) => f.write_str(words),
            Self::Broken(_, errno) => write!(f, "connection broken: {}", errno.desc()),
            Self::Closed(Phase::Proxy) => {
                f.write_str("the proxy closed the connection without an answer")
            }
            Self::Closed(Phase::Tls) => {
                f.write_str("the server closed the connection in the TLS handshake")
            }
            Self::Closed(Phase::Body) => f.write_str("the server's answer was cut off"),
            Self::Closed(_) => f.write_str("the server closed the connection without an answer"),
            Self::HeadTooLarge => f.write_str("the head of the answer is larger than 16 KiB"),
            Self::BodyTooLarge(_, limit) => {
                let kib = limit / 1024;
                write!(f, "the body of the answer is larger than {kib} KiB")
            }
            Self::Protocol(words) => write!(f, "not a usable HTTP answer: {words}"),
        }
    }
}

impl std::error::Error for DeliveryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_counted_in_its_layer() {
        let address: SocketAddr = "192.0.2.7:443".parse().unwrap();
        for (error, layer, code) in [
            (
                DeliveryError::Connect(address, Errno::ENETUNREACH),
                "link",
                101,
            ),
            (
                DeliveryError::NoNetwork("hub".into(), Errno::ENETDOWN),
                "link",
                100,
            ),
            (DeliveryError::NoNameServer("hub".into()), "dns", 0),
            (
                DeliveryError::Connect(address, Errno::ECONNREFUSED),
                "tcp",
                111,
            ),
            (
                DeliveryError::Connect(address, Errno::EHOSTUNREACH),
                "tcp",
                113,
            ),
            (DeliveryError::Deadline(Phase::Connect), "tcp", 110),
            (DeliveryError::ProxyRefused(407), "proxy", 407),
            (DeliveryError::BodyTooLarge(404, 1), "http", 404),
            (DeliveryError::Closed(Phase::Tls), "tls", 0),
            (
                DeliveryError::Broken(Phase::Body, Errno::ECONNRESET),
                "http",
                104,
            ),
            (DeliveryError::Stopped, "agent", 0),
        ] {
            assert_eq!(
                (error.layer_name(), error.code()),
                (layer, code),
                "{error:?}"
            );
        }
    }
}
