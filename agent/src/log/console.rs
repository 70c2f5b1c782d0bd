//! Standard output or standard error, without ever waiting for whoever reads it.
//!
//! A pipe or a terminal is opened once more to be written without waiting, which must not be asked
//! of the descriptor that whoever started us shares; a socket is asked so with each line; a file
//! never waits for a reader. Where none of that can be had, a line is written only if the
//! descriptor is ready now. A pipe takes a line whole or not at all (pipe(7)); so does a socket.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use super::sink::{Entry, Look, Tally, Written, write, written};
use crate::config::settings::{LogFormat, LogOutput};

#[derive(Debug)]
pub(super) struct Console {
    output: LogOutput,
    look: Look,
    way: Way,
    pub tally: Tally,
}

/// How a line goes out without waiting.
#[derive(Debug)]
enum Way {
    /// If it is ready.
    Asked,
    /// As it is.
    File,
    /// With a flag.
    Socket,
    /// Opened not to wait: a pipe or a terminal.
    Opened(File),
}

impl Way {
    /// Of the descriptor that is at `path` in /proc.
    fn to(fd: BorrowedFd<'_>, path: &str) -> Self {
        let kind = fstat(fd).map_or(SFlag::empty(), |stat| {
            SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
        });
        if kind == SFlag::S_IFREG {
            return Self::File;
        }
        if kind == SFlag::S_IFSOCK {
            return Self::Socket;
        }
        if kind != SFlag::S_IFIFO && !fd.is_terminal() {
            return Self::Asked;
        }
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(O_NONBLOCK | O_NOCTTY);
        // Without /proc, or if it belongs to somebody else, the descriptor as it is has to do.
        options.open(path).map_or(Self::Asked, Self::Opened)
    }

    fn put(&self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Written {
        match self {
            Self::Opened(file) => write(file.as_fd(), bytes),
            Self::File => write(fd, bytes),
            Self::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                written(bytes, |bytes| send(fd.as_raw_fd(), bytes, flags))
            }
            Self::Asked if is_ready(fd) => write(fd, bytes),
            Self::Asked => Written::Nothing,
        }
    }
}

impl Console {
    /// Standard output as it is before anything is configured.
    pub(super) const fn new() -> Self {
        Self {
            output: LogOutput::Stdout,
            look: Look::Json,
            way: Way::Asked,
            tally: Tally::NEW,
        }
    }

    /// Writes to `output` from now on, for people in colour if `may_colour` and it is a terminal.
    pub(super) fn configure(&mut self, output: LogOutput, format: LogFormat, may_colour: bool) {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let (is_terminal, way) = match output {
            LogOutput::Stdout => (
                stdout.is_terminal(),
                Way::to(stdout.as_fd(), "/proc/self/fd/1"),
            ),
            LogOutput::Stderr => (
                stderr.is_terminal(),
                Way::to(stderr.as_fd(), "/proc/self/fd/2"),
            ),
            LogOutput::File | LogOutput::None => (false, Way::Asked),
        };
        self.output = output;
        self.look = match format {
            LogFormat::Json => Look::Json,
            LogFormat::Text => Look::Text {
                colour: may_colour && is_terminal,
            },
        };
        self.way = way;
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
        let fd = match output {
            LogOutput::Stdout => stdout.as_fd(),
            _ => stderr.as_fd(),
        };
        let way = &self.way;
        let put = |bytes: &[u8]| way.put(fd, bytes);
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

    #[test]
    fn nothing_that_is_full_is_waited_for_whatever_it_is() {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

        let line = [b'x'; super::super::sink::LINE_BYTES];
        let to = |fd: BorrowedFd<'_>| Way::to(fd, &format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let (pipe_end, pipe) = nix::unistd::pipe().unwrap();
        let (stream, unix) = (SockType::Stream, AddressFamily::Unix);
        let (socket_end, socket) = socketpair(unix, stream, None, SockFlag::empty()).unwrap();
        for (end, fd, is_socket) in [(pipe_end, pipe, false), (socket_end, socket, true)] {
            let way = to(fd.as_fd());
            assert_eq!(matches!(way, Way::Socket), is_socket, "{way:?}");
            assert_eq!(matches!(way, Way::Opened(_)), !is_socket, "{way:?}");
            let mut lines = 0;
            while way.put(fd.as_fd(), &line) == Written::Whole {
                lines += 1;
            }
            assert!(lines > 1, "{way:?}: {lines}");
            assert_eq!(way.put(fd.as_fd(), &line), Written::Nothing, "{way:?}");
            let mut room = vec![0; 128 * line.len()];
            nix::unistd::read(&end, &mut room).unwrap();
            assert_eq!(way.put(fd.as_fd(), &line), Written::Whole, "{way:?}");
            drop(end);
            assert_eq!(way.put(fd.as_fd(), &line), Written::Nothing, "{way:?}");
        }
        assert!(matches!(
            to(File::open("/proc/self/exe").unwrap().as_fd()),
            Way::File
        ));
        let null = File::open("/dev/null").unwrap();
        assert!(matches!(to(null.as_fd()), Way::Asked));
    }
}
