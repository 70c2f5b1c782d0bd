//! Child processes and the terminal's signals, as one stream of events.
//!
//! Each child is the leader of a process group of its own, so that Ctrl-C at the terminal reaches
//! this program alone and it decides who stops first. A child that is dropped while it runs is
//! killed with its whole group. Threads do the blocking reads and waits; whoever owns the
//! `Events` waits in one place.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::shell;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A line that a child wrote to a piped standard output. All of them come before its `Ended`.
    Line(String),
    Ended {
        name: &'static str,
        status: ExitStatus,
    },
    /// This program was asked to stop.
    Interrupted,
}

pub(crate) struct Events {
    receiver: Receiver<Event>,
    sender: Sender<Event>,
}

impl Events {
    /// From here on, requests to stop arrive as events and no longer end this program.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Failure::Failed(format!("cannot catch signals: {error}")))?;
        let to_owner = sender.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                if to_owner.send(Event::Interrupted).is_err() {
                    break;
                }
            }
        });
        Ok(Self { receiver, sender })
    }

    /// The next event, or `None` once `deadline` has passed; without a deadline it waits on.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Option<Event> {
        match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.receiver.recv_timeout(left).ok()
            }
            None => self.receiver.recv().ok(),
        }
    }

    pub(crate) fn start(
        &self,
        name: &'static str,
        command: &mut Command,
    ) -> Result<Child, Failure> {
        shell::announce(command);
        let mut process = command
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::Failed(format!("cannot start the {name}: {error}")))?;
        let pid = Pid::from_raw(process.id().cast_signed());
        let to_owner = self.sender.clone();
        thread::spawn(move || {
            if let Some(stdout) = process.stdout.take() {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // Nobody listens any more, but the child must not block on a full pipe.
                    let _ = to_owner.send(Event::Line(line));
                }
            }
            if let Ok(status) = process.wait() {
                let _ = to_owner.send(Event::Ended { name, status });
            }
        });
        Ok(Child {
            name,
            pid,
            status: None,
        })
    }
}

pub(crate) struct Child {
    pub(crate) name: &'static str,
    pub(crate) pid: Pid,
    status: Option<ExitStatus>,
}

impl Child {
    /// Takes note of an event that may be this child's end.
    pub(crate) fn notice(&mut self, event: &Event) {
        if let Event::Ended { name, status } = event
            && *name == self.name
        {
            self.status = Some(*status);
        }
    }

    /// How the child ended, if it did.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Sends a signal to the child's group, unless the child is known to be gone.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            // The only failure left is that it ended a moment ago; its `Ended` is on the way.
            let _ = killpg(self.pid, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::time::Duration;

    use super::*;

    fn events() -> Events {
        let (sender, receiver) = mpsc::channel();
        Events { receiver, sender }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        command
    }

    fn next(events: &Events) -> Event {
        events
            .next(Some(Instant::now() + Duration::from_secs(20)))
            .unwrap()
    }

    #[test]
    fn lines_come_before_the_end() {
        let events = events();
        let mut child = events
            .start("talker", &mut shell("echo one; echo two; exit 7"))
            .unwrap();
        assert_eq!(next(&events), Event::Line("one".into()));
        assert_eq!(next(&events), Event::Line("two".into()));
        assert_eq!(child.ended(), None);
        child.notice(&next(&events));
        assert_eq!(child.ended().and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn a_dropped_child_is_killed_with_its_children() {
        let events = events();
        let child = events
            .start("sleeper", &mut shell("sleep 1000 & echo up; wait"))
            .unwrap();
        assert_eq!(next(&events), Event::Line("up".into()));
        drop(child);
        // The end of its output comes only once the grandchild has let go of the pipe, too.
        let Event::Ended { status, .. } = next(&events) else {
            panic!("no end")
        };
        assert_eq!(status.signal(), Some(9));
    }

    #[test]
    fn a_deadline_that_has_passed_is_no_wait() {
        assert_eq!(events().next(Some(Instant::now())), None);
    }
}
