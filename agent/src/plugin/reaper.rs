//! Hears which children ended, and makes their group end with them.
//!
//! The agent is a child subreaper (prctl(2)): a plugin's descendants whose parent ended become the
//! agent's children, so it has to wait for any child, and std's `Child::wait` is used nowhere. An
//! ended leader is looked at before it is reaped, so that its number still is its own when its
//! group is killed.

use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
}

/// Descendants without a parent come to the agent from now on. An old kernel, before 3.4, refuses.
pub fn adopt() -> bool {
    set_child_subreaper(true).is_ok()
}

/// A child that ended and is not reaped yet.
pub fn ended() -> Option<i32> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, flags).ok()?.pid().map(Pid::as_raw)
}

/// Reaps it.
pub fn reap(pid: i32) -> Option<End> {
    match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)).ok()? {
        WaitStatus::Exited(_, code) => Some(End::Code(code)),
        WaitStatus::Signaled(_, signal, _) => Some(End::Signal(signal as i32)),
        _ => None,
    }
}

impl End {
    /// What a shell would call it: the code, or 128 and the signal.
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(number) => 128 + number,
        }
    }

    /// For people.
    pub fn words(self) -> String {
        match self {
            Self::Code(code) => format!("ended with code {code}"),
            Self::Signal(number) => format!("was ended by signal {number}"),
        }
    }
}
