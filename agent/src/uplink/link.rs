//! What the uplink's parts share with the loop: the wait, and the attempt under way.
//!
//! There is one thread. Both are borrowed for the time of a wait and for short look-ups, and never
//! across one another's.
//!
//! The attempt carries the one deadline of a request. It is absolute and checked before every
//! read, write and wait. What goes wrong in a socket beneath rustls is recorded here, and rustls
//! only carries a marker: among its own errors a stop would look like a closed connection.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

use nix::poll::PollFlags;

use super::error::{DeliveryError, Phase};
use crate::clock;
use crate::reactor::{Interest, Reactor, Wake};

/// The request under way.
#[derive(Debug, Default)]
pub struct Attempt {
    /// How far it got.
    pub phase: Phase,
    /// When it must have an answer, whole.
    deadline_ms: u64,
    /// When it must have a connection, TLS included.
    connect_deadline_ms: u64,
    /// It opened a connection, rather than use a kept one.
    pub connected: bool,
    /// A byte of the answer arrived.
    pub answered: bool,
    /// An attempt before it, of the same request, broke after bytes of the request had left.
    pub is_repeat: bool,
    /// What went wrong in the socket.
    error: Option<DeliveryError>,
    /// Bytes written to and read from sockets.
    pub wire_bytes: u64,
}

/// The wait and the attempt, shared.
pub struct Link {
    reactor: RefCell<Reactor>,
    attempt: RefCell<Attempt>,
}

impl fmt::Debug for Link {
    /// All of the agent hangs on this, and printing all of it would be a good part of the binary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

impl Link {
    /// Shares `reactor` with the parts of the uplink.
    pub fn new(reactor: Reactor) -> Self {
        Self {
            reactor: RefCell::new(reactor),
            attempt: RefCell::default(),
        }
    }

    /// The reactor, for a moment.
    pub fn reactor(&self) -> RefMut<'_, Reactor> {
        self.reactor.borrow_mut()
    }

    /// The attempt, for a moment.
    pub fn attempt(&self) -> RefMut<'_, Attempt> {
        self.attempt.borrow_mut()
    }

    /// Starts an attempt that must be over at `deadline_ms`.
    pub fn begin(&self, connect_timeout_ms: u64, deadline_ms: u64) {
        let connect_deadline_ms = (clock::boot_ms() + connect_timeout_ms).min(deadline_ms);
        *self.attempt() = Attempt {
            deadline_ms,
            connect_deadline_ms,
            ..Attempt::default()
        };
    }

    /// Starts another attempt of a request that had left already, within the same deadlines.
    pub fn begin_again(&self, connect_timeout_ms: u64, deadline_ms: u64) {
        self.begin(connect_timeout_ms, deadline_ms);
        self.attempt().is_repeat = true;
    }

    /// Whether the server may have seen the request under way, or a part of it.
    pub fn has_left(&self) -> bool {
        let attempt = self.attempt();
        attempt.is_repeat || matches!(attempt.phase, Phase::Http | Phase::Body)
    }

    /// Enters `phase`.
    pub fn enter(&self, phase: Phase) {
        self.attempt().phase = phase;
    }

    /// Records `error`, and gives what stands for it among errors of reading and writing.
    pub fn fail(&self, error: DeliveryError) -> io::Error {
        self.attempt().error = Some(error);
        io::ErrorKind::Other.into()
    }

    /// What was recorded.
    pub fn take_error(&self) -> Option<DeliveryError> {
        self.attempt().error.take()
    }

    /// The deadline of the phase under way.
    pub fn deadline_ms(&self) -> u64 {
        let attempt = self.attempt();
        if attempt.phase.is_connecting() {
            attempt.connect_deadline_ms
        } else {
            attempt.deadline_ms
        }
    }

    /// Waits until `socket` is ready, at most until `until_ms` or the deadline.
    pub fn ready(
        &self,
        socket: BorrowedFd<'_>,
        events: PollFlags,
        until_ms: u64,
    ) -> Result<(), DeliveryError> {
        self.wait(Interest::Socket(socket, events), until_ms)
    }

    /// Waits until something became of one of these connections, at most until `until_ms`.
    pub fn connecting(
        &self,
        sockets: &[BorrowedFd<'_>],
        until_ms: u64,
    ) -> Result<(), DeliveryError> {
        self.wait_at_most(Interest::Connecting(sockets), until_ms)
    }

    /// Waits until the look-up under way ended, at most until `until_ms`.
    pub fn looked_up(&self, until_ms: u64) -> Result<(), DeliveryError> {
        self.wait_at_most(Interest::Name, until_ms)
    }

    /// Fails if the deadline passed or the agent stops, without waiting.
    pub fn check(&self) -> Result<(), DeliveryError> {
        if self.reactor().stopping() {
            return Err(DeliveryError::Stopped);
        }
        if clock::boot_ms() >= self.deadline_ms() {
            return Err(DeliveryError::Deadline(self.attempt().phase));
        }
        Ok(())
    }

    /// That `until_ms` passed is no failure, as long as the deadline did not.
    fn wait_at_most(&self, interest: Interest<'_>, until_ms: u64) -> Result<(), DeliveryError> {
        match self.wait(interest, until_ms) {
            Err(DeliveryError::Deadline(_)) if clock::boot_ms() < self.deadline_ms() => Ok(()),
            other => other,
        }
    }

    fn wait(&self, interest: Interest<'_>, until_ms: u64) -> Result<(), DeliveryError> {
        let until_ms = self.deadline_ms().min(until_ms);
        // Bound first: a guard in the match's head would be held through its arms.
        let wake = self.reactor().wait(interest, until_ms);
        match wake {
            Wake::Ready => Ok(()),
            Wake::TimedOut => Err(DeliveryError::Deadline(self.attempt().phase)),
            Wake::Stop => Err(DeliveryError::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::start_reactor;
    use crate::config::Settings;

    #[test]
    fn what_left_before_the_connection_broke_has_left() {
        let link = Link::new(start_reactor(&Settings::default()).unwrap());
        link.begin(1_000, 2_000);
        link.enter(Phase::Connect);
        assert!(!link.has_left());
        link.enter(Phase::Http);
        assert!(link.has_left());
        link.begin_again(1_000, 2_000);
        link.enter(Phase::Connect);
        assert!(link.has_left(), "by the attempt before");
        link.begin(1_000, 2_000);
        assert!(!link.has_left(), "that was another request");
    }
}
