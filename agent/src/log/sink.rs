//! What standard output and a log file have in common: lines go in whole, or are counted.
//!
//! The first line that gets through after a loss is preceded by one that says how many were lost.
//! Half a line, which a disk leaves that fills up just then, is ended by a line feed before the
//! next one, so that no good line is ever glued to it.

use std::os::fd::BorrowedFd;

use mote_core::log_line::{Level, Value, write_line_bounded, write_text_line_bounded};
use nix::errno::Errno;

/// Longest line, its line feed included: what a pipe takes whole or not at all (pipe(7)).
pub(super) const LINE_BYTES: usize = 4096;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Json,
    Text { colour: bool },
}

/// A line to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub wall_ms: u64,
    pub level: Level,
    pub msg: &'a str,
    pub key_hash: &'a str,
    pub fields: &'a [(&'a str, Value<'a>)],
}

impl Entry<'_> {
    fn write(&self, look: Look, buf: &mut [u8]) -> usize {
        let Self {
            wall_ms,
            level,
            msg,
            key_hash,
            fields,
        } = *self;
        match look {
            Look::Json => write_line_bounded(buf, wall_ms, level, msg, key_hash, fields),
            Look::Text { colour } => {
                write_text_line_bounded(buf, wall_ms, level, msg, key_hash, fields, colour)
            }
        }
    }
}

/// What became of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Whole,
    /// This many of them, and no more.
    Part(usize),
    Nothing,
}

/// What one sink lost.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines, ever.
    pub dropped: u64,
    /// Those of them that no line told of yet.
    pub unsaid: u64,
    /// The last line is half there.
    pub torn: bool,
    /// A line is made here: one that is of a few hundred bytes does not cost [`LINE_BYTES`] of zeros.
    line: Vec<u8>,
}

impl Tally {
    pub(super) const NEW: Self = Self {
        dropped: 0,
        unsaid: 0,
        torn: false,
        line: Vec::new(),
    };

    /// Sends a line through `put`, or counts it.
    pub(super) fn send(
        &mut self,
        entry: &Entry<'_>,
        look: Look,
        mut put: impl FnMut(&[u8]) -> Written,
    ) {
        if self.unsaid > 0 {
            let loss = Entry {
                level: Level::Warn,
                msg: "Log lines dropped",
                fields: &[("dropped", Value::Uint(self.unsaid))],
                ..*entry
            };
            if self.send_one(&loss, look, &mut put) {
                self.unsaid = 0;
            }
        }
        // Where the loss could not be told, no line is to come before it.
        if self.unsaid > 0 || !self.send_one(entry, look, &mut put) {
            self.dropped += 1;
            self.unsaid += 1;
        }
    }

    fn send_one(
        &mut self,
        entry: &Entry<'_>,
        look: Look,
        put: &mut impl FnMut(&[u8]) -> Written,
    ) -> bool {
        if self.line.is_empty() {
            self.line = vec![0; LINE_BYTES];
            self.line[0] = b'\n';
        }
        let length = entry.write(look, &mut self.line[1..]);
        let from = usize::from(!self.torn);
        match put(&self.line[from..=length]) {
            Written::Whole => {
                self.torn = false;
                true
            }
            Written::Part(_) => {
                self.torn = true;
                false
            }
            Written::Nothing => false,
        }
    }
}

/// One write(2).
pub(super) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Written {
    written(bytes, |bytes| nix::unistd::write(fd, bytes))
}

/// What becomes of `bytes` in one system call, tried again only if a signal came before it began.
pub(super) fn written(bytes: &[u8], call: impl Fn(&[u8]) -> Result<usize, Errno>) -> Written {
    loop {
        match call(bytes) {
            Ok(length) if length == bytes.len() => return Written::Whole,
            Ok(0) => return Written::Nothing,
            Ok(length) => return Written::Part(length),
            Err(Errno::EINTR) => {}
            Err(_) => return Written::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'_> = Entry {
        wall_ms: 0,
        level: Level::Info,
        msg: "m",
        key_hash: "",
        fields: &[],
    };
    const LINE: &str = "1970-01-01T00:00:00Z INFO  m\n";
    const TEXT: Look = Look::Text { colour: false };

    /// What comes out when each attempt to write is met as `met` says.
    fn send(tally: &mut Tally, met: &[Written]) -> String {
        let (mut out, mut met) = (Vec::new(), met.iter());
        while !met.as_slice().is_empty() {
            tally.send(&ENTRY, TEXT, |bytes| {
                let became = *met.next().unwrap();
                out.extend_from_slice(match became {
                    Written::Whole => bytes,
                    Written::Part(length) => &bytes[..length],
                    Written::Nothing => &[],
                });
                became
            });
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_lost_is_said_before_the_next_line() {
        use Written::{Nothing, Whole};
        let mut tally = Tally::NEW;
        let out = send(
            &mut tally,
            &[Whole, Nothing, Nothing, Nothing, Whole, Whole, Whole],
        );
        let loss = "1970-01-01T00:00:00Z WARN  Log lines dropped dropped=3\n";
        assert_eq!(out, format!("{LINE}{loss}{LINE}{LINE}"));
        assert_eq!((tally.dropped, tally.unsaid), (3, 0));
    }

    #[test]
    fn half_a_line_is_ended_before_the_next_and_counts_as_lost() {
        use Written::{Nothing, Part, Whole};
        let mut tally = Tally::NEW;
        let out = send(&mut tally, &[Part(10), Nothing, Whole, Whole, Whole]);
        let loss = "1970-01-01T00:00:00Z WARN  Log lines dropped dropped=2\n";
        assert_eq!(out, format!("{}\n{loss}{LINE}{LINE}", &LINE[..10]));
        assert_eq!(tally.dropped, 2);
    }

    #[test]
    fn a_line_with_the_end_of_a_torn_one_is_what_a_pipe_takes_whole() {
        let long = "x".repeat(2 * LINE_BYTES);
        let entry = Entry {
            msg: &long,
            ..ENTRY
        };
        let mut tally = Tally {
            torn: true,
            ..Tally::NEW
        };
        for look in [TEXT, Look::Json] {
            tally.torn = true;
            tally.send(&entry, look, |bytes| {
                assert!(bytes.len() <= LINE_BYTES && bytes.len() > LINE_BYTES - 8);
                Written::Whole
            });
        }
    }
}
