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
//! Never waits: what does not fit into the socket now is sent again at a later turn. Never reads.
//! Children are told nothing: whoever starts one clears its environment.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use mote_core::text;

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
    /// `READY=1` is to end it.
    Reloading,
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
        if let Some(manager) = &mut self.0
            && matches!(manager.phase, Phase::Starting | Phase::Reloading)
            && manager.send(b"READY=1")
        {
            manager.phase = Phase::Running;
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
            && manager.phase == Phase::Running
            && manager.send(format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}").as_bytes())
        {
            manager.phase = Phase::Reloading;
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
        let Some(every_ms) = manager.watchdog_every_ms else {
            return u64::MAX;
        };
        let is_due = now_ms >= manager.watchdog_sent_ms.saturating_add(every_ms / 2);
        if alive && is_due && manager.send(b"WATCHDOG=1") {
            manager.watchdog_sent_ms = now_ms;
        }
        let due_ms = manager.watchdog_sent_ms.saturating_add(every_ms);
        // What could not be sent is tried again soon, but not in a loop that never sleeps.
        due_ms.max(now_ms.saturating_add(every_ms.div_ceil(4)))
    }
}

impl Manager {
    fn send(&self, message: &[u8]) -> bool {
        self.socket.send_to_addr(message, &self.address).is_ok()
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
mod tests {
    use super::*;

    /// A manager's socket in the abstract namespace, and an agent that speaks to it.
    fn pair(name: &str, watchdog_us: Option<&str>, watchdog_pid: &str) -> (UnixDatagram, Notifier) {
        let name = format!("mote-notify-{}-{name}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager.set_nonblocking(true).unwrap();
        let environment = |asked: &str| match asked {
            "NOTIFY_SOCKET" => Some(format!("@{name}").into()),
            "WATCHDOG_USEC" => watchdog_us.map(Into::into),
            "WATCHDOG_PID" => Some(watchdog_pid.into()),
            _ => None,
        };
        (manager, Notifier::new(environment, 7))
    }

    fn heard(manager: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 1024];
        let next = || Some(manager.recv(&mut buffer).ok()?).map(|n| buffer[..n].to_vec());
        let all = std::iter::from_fn(next);
        all.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
    }

    #[test]
    fn ready_is_said_once_and_not_before_a_sample() {
        let (manager, mut notifier) = pair("ready", None, "7");
        assert_eq!(notifier.turn(0, false), u64::MAX);
        assert!(heard(&manager).is_empty());
        notifier.turn(200, true);
        notifier.turn(300, true);
        notifier.ready();
        assert_eq!(heard(&manager), ["READY=1"]);
    }

    #[test]
    fn a_reload_is_ended_by_ready_alone() {
        let (manager, mut notifier) = pair("reload", None, "7");
        notifier.turn(0, true);
        notifier.reloading(12_345);
        notifier.turn(1, true);
        notifier.ready();
        let expected = ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12345", "READY=1"];
        assert_eq!(heard(&manager), expected);
    }

    #[test]
    fn a_status_is_sent_when_it_changes_in_one_line() {
        let (manager, mut notifier) = pair("status", None, "7");
        notifier.status("holding");
        notifier.status("holding");
        notifier.status("a\nMAINPID=1");
        notifier.status(&"x".repeat(1000));
        let heard = heard(&manager);
        assert_eq!(heard[..2], ["STATUS=holding", "STATUS=a MAINPID=1"]);
        assert_eq!(heard[2].len(), "STATUS=".len() + STATUS_BYTES);
        assert_eq!(heard.len(), 3);
    }

    #[test]
    fn the_watchdog_hears_of_samples_on_time_only() {
        let (manager, mut notifier) = pair("watchdog", Some("2000000"), "7");
        assert_eq!(notifier.turn(10_000, true), 11_000);
        assert_eq!(notifier.turn(10_499, true), 11_000);
        assert_eq!(heard(&manager), ["READY=1", "WATCHDOG=1"]);
        // Awake anyway, past a quarter of the period: it rides along.
        assert_eq!(notifier.turn(10_500, true), 11_500);
        assert_eq!(heard(&manager), ["WATCHDOG=1"]);
        // Due, but no sample: silent, and the next look is not at once.
        assert_eq!(notifier.turn(12_000, false), 12_250);
        assert!(heard(&manager).is_empty());
        notifier.turn(12_250, true);
        assert_eq!(heard(&manager), ["WATCHDOG=1"]);
    }

    #[test]
    fn a_watchdog_of_another_process_is_left_alone() {
        let (manager, mut notifier) = pair("other", Some("2000000"), "8");
        assert_eq!(notifier.turn(10_000, true), u64::MAX);
        assert_eq!(heard(&manager), ["READY=1"]);
    }

    #[test]
    fn a_manager_that_went_away_is_no_failure_and_is_told_when_it_is_back() {
        let path = std::env::temp_dir().join(format!("mote-notify-{}", std::process::id()));
        let environment = |name: &str| (name == "NOTIFY_SOCKET").then(|| path.clone().into());
        let mut notifier = Notifier::new(environment, 7);
        assert!(notifier.is_heard());
        notifier.turn(0, true);
        notifier.status("delivering");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        notifier.turn(1, true);
        notifier.status("delivering");
        notifier.stopping();
        notifier.stopping();
        let expected = ["READY=1", "STATUS=delivering", "STOPPING=1"];
        assert_eq!(heard(&manager), expected);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_socket_that_can_be_meant_nothing_is_said() {
        for name in [None, Some(""), Some("vsock:2:9999"), Some("relative")] {
            let environment = |asked: &str| match asked {
                "NOTIFY_SOCKET" => name.map(OsString::from),
                _ => Some("1000000".into()),
            };
            let mut notifier = Notifier::new(environment, 7);
            assert!(!notifier.is_heard(), "{name:?}");
            assert_eq!(notifier.turn(0, true), u64::MAX);
        }
    }
}
