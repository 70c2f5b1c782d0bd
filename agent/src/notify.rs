//! What the service manager is told: that mote is up, what it does, that it is not stuck.
//!
//! The protocol is `sd_notify(3)`: datagrams of `NAME=value` lines to the socket that
//! `NOTIFY_SOCKET` names, by its path or, after an `@`, in the abstract namespace. Nothing is sent
//! where there is no such socket. Times are milliseconds on the caller's clock, but for the
//! microseconds that the protocol itself has.
//!
//! `READY=1` is sent when the first sample was taken, not when the process started. `WATCHDOG=1`
//! is sent from the loop's own progress and only while samples come on time, so a loop that is
//! stuck is restarted. It is due at half of the period that the manager gave; from a quarter on it
//! rides along whenever the loop is awake anyway, so that a device is seldom woken for it alone.
//!
//! A start that is put off asks for more time while it waits: `EXTEND_TIMEOUT_USEC`.
//!
//! Never waits and never reads. Where a start or a reload begins or ends and the socket has no room
//! for it, it is sent again at a later turn, so that a unit does not stay in "reloading". A status
//! goes with the next one that is said. That it stops is said once: the end itself shows it.
//! Children are told nothing: whoever starts one clears its environment.

use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use mote_core::text;

/// How often [`Notifier::pausing`] is to be called.
pub const PAUSING_EVERY_MS: u64 = 10_000;
/// What it asks for: enough for one message to be lost, and for the start that follows.
const PAUSING_US: u64 = 3 * PAUSING_EVERY_MS * 1_000;
/// A socket that had no room is tried again after this.
const AGAIN_MS: u64 = 1_000;
/// Longest status that is sent; a person reads it in one line.
const STATUS_BYTES: usize = 240;

/// Speaks to the service manager, if there is one. The default speaks to nobody.
#[derive(Debug, Default)]
pub struct Notifier(Option<Manager>);

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    phase: Phase,
    /// The last message found no room.
    is_full: bool,
    /// The last status that got through.
    status: String,
    /// Half of the manager's period.
    watchdog_every_ms: Option<u64>,
    watchdog_sent_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `READY=1` is still to come.
    Starting,
    Running,
    /// A reload, and the moment that it began at while `RELOADING=1` is still to come.
    Reloading(Option<u64>),
    /// The same after the reload: `READY=1` is to end it.
    Reloaded(Option<u64>),
    Stopping,
}

impl Notifier {
    /// Speaks to whoever started this process and asked to be told.
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name), std::process::id())
    }

    fn new(environment: impl Fn(&str) -> Option<OsString>, pid: u32) -> Self {
        let Some(address) = environment("NOTIFY_SOCKET").and_then(|name| address(&name)) else {
            return Self(None);
        };
        let Ok(socket) = UnixDatagram::unbound() else {
            return Self(None);
        };
        if socket.set_nonblocking(true).is_err() {
            return Self(None);
        }
        let number = |name: &str| environment(name)?.to_str()?.parse::<u64>().ok();
        // Inherited by a process that is not meant: somebody else's watchdog.
        let is_mine = number("WATCHDOG_PID").is_none_or(|meant| meant == u64::from(pid));
        let period_us = number("WATCHDOG_USEC").filter(|us| is_mine && *us > 0);
        Self(Some(Manager {
            socket,
            address,
            phase: Phase::Starting,
            is_full: false,
            status: String::new(),
            watchdog_every_ms: period_us.map(|us| (us / 2_000).max(1)),
            watchdog_sent_ms: 0,
        }))
    }

    /// Whether anybody is told. Spares composing a status for nobody.
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// The start, or a reload, is over.
    pub fn ready(&mut self) {
        let Some(manager) = &mut self.0 else {
            return;
        };
        if let Phase::Reloading(unsent_us) = manager.phase {
            manager.phase = Phase::Reloaded(unsent_us);
            manager.end_reload();
        } else if manager.phase == Phase::Starting && manager.send(b"READY=1") {
            manager.phase = Phase::Running;
        }
    }

    /// The start is put off, and goes on being so for [`PAUSING_EVERY_MS`] at most.
    pub fn pausing(&mut self) {
        if let Some(manager) = &mut self.0 {
            manager.send(format!("EXTEND_TIMEOUT_USEC={PAUSING_US}").as_bytes());
        }
    }

    /// What the agent is doing, for people. Sent only when it differs from the last.
    pub fn status(&mut self, words: &str) {
        let Some(manager) = &mut self.0 else {
            return;
        };
        let words = text::cut(words, STATUS_BYTES);
        if manager.status == words {
            return;
        }
        // A line feed would begin an assignment of its own.
        let mut message = String::from("STATUS=");
        message.extend(words.chars().map(|c| if c.is_control() { ' ' } else { c }));
        if manager.send(message.as_bytes()) {
            words.clone_into(&mut manager.status);
        }
    }

    /// A reload begins at this moment of `CLOCK_MONOTONIC`; [`Notifier::ready`] ends it.
    pub fn reloading(&mut self, monotonic_us: u64) {
        if let Some(manager) = &mut self.0
            && matches!(manager.phase, Phase::Running | Phase::Reloaded(_))
        {
            let unsent_us = (!manager.send_reloading(monotonic_us)).then_some(monotonic_us);
            manager.phase = Phase::Reloading(unsent_us);
        }
    }

    /// The agent is about to end.
    pub fn stopping(&mut self) {
        if let Some(manager) = &mut self.0
            && manager.phase != Phase::Stopping
            && manager.send(b"STOPPING=1")
        {
            manager.phase = Phase::Stopping;
        }
    }

    /// Sends what is due at `now_ms`; returns when something is due next.
    ///
    /// `alive` says that samples come, and on time. The first time that it is true ends the start.
    pub fn turn(&mut self, now_ms: u64, alive: bool) -> u64 {
        let is_starting = |manager: &Manager| manager.phase == Phase::Starting;
        if alive && self.0.as_ref().is_some_and(is_starting) {
            self.ready();
        }
        let Some(manager) = &mut self.0 else {
            return u64::MAX;
        };
        manager.end_reload();
        let again_ms = match manager.phase {
            // Who is not there at all is looked for when the loop is awake anyway.
            Phase::Starting if !alive => u64::MAX,
            Phase::Starting | Phase::Reloaded(_) if manager.is_full => {
                now_ms.saturating_add(AGAIN_MS)
            }
            _ => u64::MAX,
        };
        again_ms.min(manager.watchdog(now_ms, alive))
    }
}

impl Manager {
    /// Tells what of a reload that is over is still to be told.
    fn end_reload(&mut self) {
        let Phase::Reloaded(unsent_us) = self.phase else {
            return;
        };
        if unsent_us.is_some_and(|us| !self.send_reloading(us)) {
            return;
        }
        self.phase = if self.send(b"READY=1") {
            Phase::Running
        } else {
            Phase::Reloaded(None)
        };
    }

    fn send_reloading(&mut self, monotonic_us: u64) -> bool {
        self.send(format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}").as_bytes())
    }

    /// Says that the loop goes on, when that is due; returns when it is due next.
    fn watchdog(&mut self, now_ms: u64, alive: bool) -> u64 {
        let Some(every_ms) = self.watchdog_every_ms else {
            return u64::MAX;
        };
        let is_due = now_ms >= self.watchdog_sent_ms.saturating_add(every_ms / 2);
        if alive && is_due && self.send(b"WATCHDOG=1") {
            self.watchdog_sent_ms = now_ms;
        }
        let due_ms = self.watchdog_sent_ms.saturating_add(every_ms);
        // What could not be sent is tried again soon, but not in a loop that never sleeps.
        due_ms.max(now_ms.saturating_add(every_ms.div_ceil(4)))
    }

    fn send(&mut self, message: &[u8]) -> bool {
        let sent = self.socket.send_to_addr(message, &self.address);
        let is_full = |error: &Error| error.kind() == ErrorKind::WouldBlock;
        self.is_full = sent.as_ref().is_err_and(is_full);
        sent.is_ok()
    }
}

fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(name).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
