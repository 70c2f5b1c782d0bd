//! Hears which children ended, and reaps those that nobody started.
//!
//! The agent is a child subreaper (prctl(2)): a plugin's descendants whose parent ended become the
//! agent's children. So it hears of leaders one by one, by their number, and of any child that is
//! left then. An ended leader is looked at before it is reaped, so that its number still is its
//! own when its group is killed.
//!
//! Real-time signals have no name here: `waitid` answers EINVAL for who ended by one.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Code(i32),
    /// By a signal of this number.
    Signal(i32),
    /// Somebody else heard how.
    Unheard,
}

/// Descendants without a parent come to the agent from now on. An old kernel, before 3.4, refuses.
pub(super) fn adopt() -> bool {
    set_child_subreaper(true).is_ok()
}

/// Whether the child of this number ended; it is not reaped.
pub(super) fn has_ended(pid: i32) -> bool {
    match waitid(Id::Pid(Pid::from_raw(pid)), looking()) {
        Ok(status) => status != WaitStatus::StillAlive,
        Err(errno) => errno == Errno::EINVAL || errno == Errno::ECHILD,
    }
}

/// Reaps a child that [`has_ended`]; how it ended, and the CPU time that it and those had used that
/// it had waited for, milliseconds.
pub(super) fn reap(child: &mut Child) -> (End, u64) {
    let before_us = reaped_cpu_us();
    let end = match child.try_wait() {
        Ok(Some(status)) => End::of(status),
        Ok(None) | Err(_) => End::Unheard,
    };
    // Nobody else was waited for in between.
    (end, reaped_cpu_us().saturating_sub(before_us) / 1_000)
}

/// What all that were waited for had used (getrusage(2)).
fn reaped_cpu_us() -> u64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return 0;
    };
    let times = [usage.user_time(), usage.system_time()];
    let micros = |time: TimeVal| time.num_microseconds().unsigned_abs();
    times.into_iter().map(micros).sum()
}

/// Reaps one child that nobody started; false when there is no more to reap, or the next one is a
/// leader.
pub(super) fn reap_stranger(is_leader: impl Fn(i32) -> bool) -> bool {
    let reaped = match waitid(Id::All, looking()) {
        Ok(WaitStatus::StillAlive) => return false,
        Ok(status) => match status.pid() {
            Some(pid) if !is_leader(pid.as_raw()) => waitpid(pid, Some(WaitPidFlag::WNOHANG)),
            _ => return false,
        },
        // Leaders were looked for just before: it is none.
        Err(Errno::EINVAL) => waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Err(_) => return false,
    };
    // Who ended by a real-time signal is reaped, and still an error.
    reaped.is_ok() || reaped == Err(Errno::EINVAL)
}

fn looking() -> WaitPidFlag {
    WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(number)) => Self::Signal(number),
            (None, None) => Self::Unheard,
        }
    }

    /// What a shell would call it: the code, or 128 and the signal.
    pub(super) const fn exit_code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(number) => Some(128 + number),
            Self::Unheard => None,
        }
    }

    /// For people.
    pub(super) fn words(self) -> String {
        match self {
            Self::Code(code) => format!("ended with code {code}"),
            Self::Signal(number) => format!("was ended by signal {number}"),
            Self::Unheard => "ended".to_owned(),
        }
    }
}
