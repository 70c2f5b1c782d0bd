//! Standard output or standard error, without ever waiting for whoever reads it.
//!
//! A line is written only if the descriptor is ready now. A pipe that is ready takes a line whole
//! (pipe(7)); so does a socket. A terminal may be ready for less, so it is opened once more to be
//! written without waiting, which must not be asked of the descriptor that the shell shares.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::sink::{Entry, Look, Tally, Written, write};
use crate::config::settings::{LogFormat, LogOutput};

#[derive(Debug)]
pub(super) struct Console {
    output: LogOutput,
    look: Look,
    /// The terminal, if it is one, opened not to wait.
    terminal: Option<File>,
    pub tally: Tally,
}

impl Console {
    /// Standard output as it is before anything is configured.
    pub(super) const fn new() -> Self {
        Self {
            output: LogOutput::Stdout,
            look: Look::Json,
            terminal: None,
            tally: Tally::NEW,
        }
    }

    /// Writes to `output` from now on, for people in colour if `may_colour` and it is a terminal.
    pub(super) fn configure(&mut self, output: LogOutput, format: LogFormat, may_colour: bool) {
        let (is_terminal, path) = match output {
            LogOutput::Stdout => (std::io::stdout().is_terminal(), "/proc/self/fd/1"),
            LogOutput::Stderr => (std::io::stderr().is_terminal(), "/proc/self/fd/2"),
            LogOutput::File | LogOutput::None => (false, ""),
        };
        self.output = output;
        self.look = match format {
            LogFormat::Json => Look::Json,
            LogFormat::Text => Look::Text {
                colour: may_colour && is_terminal,
            },
        };
        // Without /proc the descriptor as it is has to do.
        self.terminal = OpenOptions::new()
            .write(true)
            .custom_flags(O_NONBLOCK | O_NOCTTY)
            .open(path)
            .ok()
            .filter(|_| is_terminal);
    }

    pub(super) fn send(&mut self, entry: &Entry<'_>) {
        let output = self.output;
        if !matches!(output, LogOutput::File | LogOutput::None) {
            self.send_to(output, entry);
        }
    }

    /// The same, but to standard error rather than nowhere.
    pub(super) fn send_somewhere(&mut self, entry: &Entry<'_>) {
        let output = match self.output {
            LogOutput::File | LogOutput::None => LogOutput::Stderr,
            output => output,
        };
        self.send_to(output, entry);
    }

    fn send_to(&mut self, output: LogOutput, entry: &Entry<'_>) {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let fd = match (&self.terminal, output) {
            (Some(terminal), _) => terminal.as_fd(),
            (None, LogOutput::Stdout) => stdout.as_fd(),
            (None, _) => stderr.as_fd(),
        };
        let put = |bytes: &[u8]| {
            if is_ready(fd) {
                write(fd, bytes)
            } else {
                Written::Nothing
            }
        };
        self.tally.send(entry, self.look, put);
    }
}

/// A pipe that nobody reads any more is ready too: the write then fails instead of waiting.
fn is_ready(fd: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(fd, PollFlags::POLLOUT)];
    matches!(poll(&mut watched, PollTimeout::ZERO), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_is_not_ready_and_takes_a_whole_line_when_it_is() {
        let (read, write_end) = nix::unistd::pipe().unwrap();
        let line = [b'x'; super::super::sink::LINE_BYTES];
        let mut lines = 0;
        while is_ready(write_end.as_fd()) {
            assert_eq!(write(write_end.as_fd(), &line), Written::Whole);
            lines += 1;
        }
        assert!(lines > 1, "{lines}");
        let mut room = [0; 4096];
        nix::unistd::read(&read, &mut room).unwrap();
        assert!(is_ready(write_end.as_fd()));
        drop(read);
        assert!(is_ready(write_end.as_fd()));
        assert_eq!(write(write_end.as_fd(), &line), Written::Nothing);
    }
}
