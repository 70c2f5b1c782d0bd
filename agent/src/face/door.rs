//! A port that guests come in at: opened, tried again while somebody else has it, never spun on.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use mote_core::log_line::Value;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpNoDelay;

use super::owner;
use super::routes::{Rules, Services};
use crate::config::Settings;
use crate::log;

/// Between two attempts to open a port that somebody else has.
const AGAIN_MS: u64 = 60_000;
/// How long nobody is let in when there are no descriptors left.
const PAUSE_MS: u64 = 1_000;
/// How long that is not said again.
const SILENCE_MS: u64 = 60_000;

/// A port.
#[derive(Debug)]
pub struct Door {
    wanted: SocketAddr,
    services: Services,
    listener: Option<TcpListener>,
    /// Where it listens, if it does.
    address: SocketAddr,
    /// When opening it is tried again, or guests are let in again.
    again_ms: u64,
    /// The trouble that was said last, so that it is not said every minute.
    said: Option<ErrorKind>,
    /// Until then it is not said again that there are no descriptors left.
    silent_until_ms: u64,
}

impl Door {
    /// The ports that `settings` ask for: none, one or two.
    pub fn wanted(settings: &Settings) -> impl Iterator<Item = (SocketAddr, Services)> {
        let address = |ip: IpAddr, port| SocketAddr::new(ip, port);
        let health = address(settings.health_bind, settings.health_port);
        let metrics = address(settings.metrics_bind, settings.metrics_port);
        let both = settings.health_enabled && settings.metrics_enabled && health == metrics;
        let first = settings.health_enabled.then_some((
            health,
            Services {
                health: true,
                metrics: both,
            },
        ));
        let second = (settings.metrics_enabled && !both).then_some((
            metrics,
            Services {
                health: false,
                metrics: true,
            },
        ));
        first.into_iter().chain(second)
    }

    /// A port that is to be opened at the next turn.
    pub fn new(wanted: SocketAddr, services: Services) -> Self {
        Self {
            wanted,
            services,
            listener: None,
            address: wanted,
            again_ms: 0,
            said: None,
            silent_until_ms: 0,
        }
    }

    /// Whether it is the one that is wanted.
    pub fn is(&self, wanted: SocketAddr, services: Services) -> bool {
        (self.wanted, self.services) == (wanted, services)
    }

    /// Opens it at the next turn, if it is not open.
    pub fn hurry(&mut self) {
        if self.listener.is_none() {
            self.again_ms = 0;
        }
    }

    /// What is answered here.
    pub fn services(&self) -> Services {
        self.services
    }

    /// What is waited for, while guests may come in.
    pub fn interest(&self, now_ms: u64) -> Option<BorrowedFd<'_>> {
        let listener = self.listener.as_ref()?;
        (now_ms >= self.again_ms).then(|| listener.as_fd())
    }

    /// Opens it if that is due; gives when it is due next.
    pub fn turn(&mut self, now_ms: u64, rules: &Rules, proc_root: &Path) -> u64 {
        if self.listener.is_none() && now_ms >= self.again_ms {
            self.open(now_ms, rules, proc_root);
        }
        if now_ms < self.again_ms {
            self.again_ms
        } else {
            u64::MAX
        }
    }

    fn open(&mut self, now_ms: u64, rules: &Rules, proc_root: &Path) {
        let opened = TcpListener::bind(self.wanted).and_then(|listener| {
            listener.set_nonblocking(true)?;
            // Pieces of an answer are not to wait for each other. Guests have it from here.
            setsockopt(&listener, TcpNoDelay, &true)?;
            Ok((listener.local_addr()?, listener))
        });
        match opened {
            Ok((address, listener)) => {
                self.listener = Some(listener);
                self.address = address;
                self.said = None;
                let address = address.to_string();
                log::info(
                    "Listening",
                    &[
                        ("address", Value::Str(&address)),
                        ("serves", Value::Str(&self.serves(rules))),
                    ],
                );
            }
            Err(error) => {
                self.again_ms = now_ms + AGAIN_MS;
                if self.said == Some(error.kind()) {
                    return;
                }
                self.said = Some(error.kind());
                let address = self.wanted.to_string();
                let holder = if error.kind() == ErrorKind::AddrInUse {
                    owner::of_port(proc_root, self.wanted.port())
                } else {
                    None
                };
                let error = error.to_string();
                let mut fields = vec![
                    ("address", Value::Str(&address)),
                    ("error", Value::Str(&error)),
                ];
                if let Some(holder) = &holder {
                    fields.push(("taken_by", Value::Str(holder)));
                }
                let remedy = if self.services.health {
                    "Not listening, trying again every minute: give health.port another port, or 0"
                } else {
                    "Not listening, trying again every minute: give metrics.port another port, or 0"
                };
                log::error(remedy, &fields);
            }
        }
    }

    fn serves(&self, rules: &Rules) -> String {
        let mut words = Vec::new();
        if self.services.health {
            words.extend([rules.health_path.as_str(), rules.ready_path.as_str()]);
            if rules.page {
                words.extend(["/", "/api/status", "/api/history"]);
            }
        }
        if self.services.metrics {
            words.push(&rules.metrics_path);
        }
        words.join(" ")
    }

    /// Lets the next guest in.
    pub fn accept(&mut self, now_ms: u64) -> Arrival {
        let Some(listener) = &self.listener else {
            return Arrival::Nobody;
        };
        match listener.accept() {
            Ok((stream, peer)) => {
                let address = if self.address.ip().is_unspecified() {
                    stream.local_addr().unwrap_or(self.address)
                } else {
                    self.address
                };
                Arrival::Guest(Newcomer {
                    stream,
                    local: address.ip(),
                    peer: peer.ip(),
                })
            }
            Err(error) => match error.kind() {
                // Nobody there, or not any more.
                ErrorKind::WouldBlock
                | ErrorKind::Interrupted
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset => Arrival::Nobody,
                _ => {
                    self.again_ms = now_ms + PAUSE_MS;
                    if now_ms >= self.silent_until_ms {
                        // Guests that come and go would have it said at each turn.
                        self.silent_until_ms = now_ms + SILENCE_MS;
                        let error = error.to_string();
                        log::warn(
                            "Nobody let in at the port",
                            &[("error", Value::Str(&error))],
                        );
                    }
                    Arrival::Refused
                }
            },
        }
    }
}

/// Somebody who came in.
#[derive(Debug)]
pub struct Newcomer {
    /// The connection.
    pub stream: TcpStream,
    /// The address of the device that it was made to.
    pub local: IpAddr,
    /// Where it comes from.
    pub peer: IpAddr,
}

/// Who was at the door.
#[derive(Debug)]
pub enum Arrival {
    /// A guest.
    Guest(Newcomer),
    /// Nobody.
    Nobody,
    /// Somebody for whom there is no descriptor. Nobody is let in for a while now, rather than be
    /// told of the same guest again and again.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(health: Option<&str>, metrics: Option<&str>) -> Vec<(String, bool, bool)> {
        let mut settings = Settings {
            health_enabled: health.is_some(),
            metrics_enabled: metrics.is_some(),
            ..Settings::default()
        };
        let split = |text: &str| {
            let address: SocketAddr = text.parse().unwrap();
            (address.ip(), address.port())
        };
        if let Some(text) = health {
            (settings.health_bind, settings.health_port) = split(text);
        }
        if let Some(text) = metrics {
            (settings.metrics_bind, settings.metrics_port) = split(text);
        }
        Door::wanted(&settings)
            .map(|(address, services)| (address.to_string(), services.health, services.metrics))
            .collect()
    }

    #[test]
    fn two_services_on_one_address_share_a_door() {
        let (a, b) = ("127.0.0.1:8080", "127.0.0.1:9090");
        assert_eq!(wanted(None, None), []);
        assert_eq!(wanted(Some(a), None), [(a.into(), true, false)]);
        assert_eq!(wanted(None, Some(b)), [(b.into(), false, true)]);
        assert_eq!(
            wanted(Some(a), Some(b)),
            [(a.into(), true, false), (b.into(), false, true)]
        );
        assert_eq!(wanted(Some(a), Some(a)), [(a.into(), true, true)]);
        let any = "0.0.0.0:8080";
        assert_eq!(wanted(Some(a), Some(any)).len(), 2);
    }
}
