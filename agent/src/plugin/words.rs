//! What a plugin says on its standard error: into a log of its own, without what is secret in its
//! configuration, and the end of it into results, as it is.
//!
//! Nobody waits for it. At most [`READ_BYTES_PER_S`] are read, so that a plugin that floods is
//! slowed down and costs no CPU; of these, what exceeds [`BURST_BYTES`] and then [`LOG_BYTES_PER_S`]
//! is dropped and counted, so that it does not wear out the flash.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use mote_core::text;

use super::hidden::Hidden;
use super::pipe::Lines;
use crate::log::SideLog;

/// Read each second.
const READ_BYTES_PER_S: usize = 64 * 1024;
/// Written at once.
const BURST_BYTES: u64 = 256 * 1024;
/// Written in the long run.
const LOG_BYTES_PER_S: u64 = 1024;
/// Longest line; what is longer becomes several.
const LINE_BYTES: usize = 2048;
/// Time and level before a line, at most.
const HEAD_BYTES: u64 = 64;
/// Kept for a result.
const RECENT_BYTES: usize = 8 * 1024;

/// What one process says.
#[derive(Debug)]
pub(super) struct Words {
    lines: Lines,
    log: SideLog,
    hidden: Hidden,
    /// What is left to read in this second.
    left_bytes: usize,
    second_ms: u64,
    /// What may be written.
    allowed_bytes: u64,
    /// Lines that were not.
    dropped: u64,
    recent: VecDeque<Box<str>>,
    recent_bytes: usize,
    /// The last line that says something, whole.
    last: Box<str>,
}

impl Words {
    /// Nothing said so far. What is `hidden` does not come into the log.
    pub(super) fn new(log: SideLog, hidden: Hidden, now_ms: u64) -> Self {
        Self {
            lines: Lines::default(),
            log,
            hidden,
            left_bytes: READ_BYTES_PER_S,
            second_ms: now_ms,
            allowed_bytes: BURST_BYTES,
            dropped: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            last: Box::default(),
        }
    }

    /// Whether there is any use in looking at the pipe.
    pub(super) fn may_read(&self) -> bool {
        self.left_bytes > 0
    }

    /// A new second may have begun; returns when the next does, if somebody waits for it.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        let seconds = now_ms.saturating_sub(self.second_ms) / 1000;
        if seconds > 0 {
            self.second_ms += seconds * 1000;
            self.left_bytes = READ_BYTES_PER_S;
            let more_bytes = seconds.saturating_mul(LOG_BYTES_PER_S);
            self.allowed_bytes = self
                .allowed_bytes
                .saturating_add(more_bytes)
                .min(BURST_BYTES);
        }
        if self.may_read() {
            u64::MAX
        } else {
            self.second_ms + 1000
        }
    }

    /// Takes what is there; false once the other end was closed.
    pub(super) fn read(&mut self, pipe: &OwnedFd, now_ms: u64) -> bool {
        let (came, is_closed) = self.lines.fill(pipe, self.left_bytes);
        self.left_bytes = self.left_bytes.saturating_sub(came);
        while let Some(line) = self.lines.take() {
            self.say(&line, now_ms);
        }
        if is_closed || self.lines.held_bytes() > LINE_BYTES {
            let rest = self.lines.take_rest();
            self.say(&rest, now_ms);
        }
        !is_closed
    }

    fn say(&mut self, line: &[u8], now_ms: u64) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if !line.is_empty() {
            self.last = line.into();
        }
        for piece in pieces(line) {
            self.keep(piece);
        }
        // Cut after that: of what is secret, no half is written either.
        for piece in pieces(&self.hidden.mask(line)) {
            self.write(piece, now_ms);
        }
    }

    fn keep(&mut self, line: &str) {
        self.recent_bytes += line.len();
        self.recent.push_back(line.into());
        while self.recent_bytes > RECENT_BYTES
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= oldest.len();
        }
    }

    fn write(&mut self, line: &str, now_ms: u64) {
        let length = line.len() as u64 + HEAD_BYTES;
        if length > self.allowed_bytes {
            self.dropped += 1;
            return;
        }
        self.allowed_bytes -= length;
        if self.dropped > 0 {
            let words = format!("{} lines dropped: too many", self.dropped);
            self.log.line(&words, now_ms);
            self.dropped = 0;
        }
        self.log.line(line, now_ms);
    }

    /// The last lines since this was last asked, the oldest first.
    pub(super) fn take_recent(&mut self) -> Vec<String> {
        self.recent_bytes = 0;
        let recent = std::mem::take(&mut self.recent);
        recent.into_iter().map(String::from).collect()
    }

    /// The last line of all, which tells why most programs fail. It is as it was said.
    pub(super) fn last(&self) -> Option<&str> {
        (!self.last.is_empty()).then_some(&*self.last)
    }

    /// The log, for the next process of the same plugin.
    pub(super) fn into_log(self) -> SideLog {
        self.log
    }
}

/// A line in pieces that are not too long; none of an empty one.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let piece = text::cut(rest, LINE_BYTES);
        rest = &rest[piece.len()..];
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    #[test]
    fn a_line_that_was_taken_is_still_the_last_and_is_not_taken_twice() {
        let path = std::env::temp_dir().join(format!("mote-last-words-{}", std::process::id()));
        let mut words = Words::new(SideLog::new(path.clone()), Hidden::default(), 0);
        assert_eq!(words.last(), None);
        words.say(b"one", 0);
        words.say(b"two", 0);
        assert_eq!(words.take_recent(), ["one", "two"]);
        assert_eq!(words.last(), Some("two"));
        assert!(words.take_recent().is_empty());
        words.say(b"three", 0);
        words.say(b"", 0);
        assert_eq!(words.last(), Some("three"));
        assert_eq!(words.take_recent(), ["three"]);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn what_is_secret_is_not_written_in_whole_nor_in_halves_and_is_told_in_results() {
        let path = std::env::temp_dir().join(format!("mote-mute-words-{}", std::process::id()));
        let mut hidden = Hidden::default();
        hidden.add_text("canary-in-the-mine");
        let mut words = Words::new(SideLog::new(path.clone()), hidden, 0);
        let long = "x".repeat(LINE_BYTES - 6);
        for line in [
            "user canary-in-the-mine came",
            &[&long, "canary-in-the-mine"].concat(),
        ] {
            words.say(line.as_bytes(), 0);
        }
        let logged = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        assert!(logged.contains("user (secret) came\n"), "{logged}");
        assert!(
            !logged.contains("canary") && !logged.contains("mine"),
            "{logged}"
        );
        assert_eq!(words.take_recent()[0], "user canary-in-the-mine came");
    }

    #[test]
    fn a_flood_is_read_slowly_logged_less_and_counted() {
        let folder = std::env::temp_dir().join(format!("mote-words-{}", std::process::id()));
        let path = folder.join("flood.log");
        let mut words = Words::new(SideLog::new(path.clone()), Hidden::default(), 0);
        let (read, pipe) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        let mut read_bytes = 0;
        for second in 0..60 {
            words.turn(second * 1000);
            while words.may_read() {
                while write(&pipe, &line).is_ok() {}
                let before = words.left_bytes;
                assert!(words.read(&read, second * 1000));
                read_bytes += before - words.left_bytes;
            }
            assert_eq!(words.turn(second * 1000), (second + 1) * 1000);
        }
        assert!(read_bytes <= 60 * READ_BYTES_PER_S, "{read_bytes}");
        // Most of a second's lines, since the last one that was written.
        assert!(words.dropped > 50, "{}", words.dropped);
        let logged = std::fs::metadata(&path).unwrap().len();
        assert!(logged < BURST_BYTES + 60 * LOG_BYTES_PER_S, "{logged}");
        assert!(words.take_recent().len() <= RECENT_BYTES / 1000);
        assert!(words.last().unwrap().len() <= LINE_BYTES);
        // A minute later there is room again, and the loss is told.
        words.turn(200_000);
        words.say(b"after", 200_000);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("lines dropped: too many"), "{}", text.len());
        assert!(text.ends_with("after\n"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
