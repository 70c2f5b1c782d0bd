//! Both ends of a plugin's pipes: bytes become lines, lines become bytes, and nothing waits.
//!
//! Sizes are bytes. What arrives is held up to a limit; a line that is longer is the plugin's
//! fault and is told by [`Lines::is_overlong`]. What cannot be written yet is held up to
//! [`MAX_UNSENT_BYTES`].

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::{read, write};

/// Held for a plugin that does not read.
pub(super) const MAX_UNSENT_BYTES: usize = 64 * 1024;
/// Longest line that is taken.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;
const BLOCK_BYTES: usize = 4096;

/// Lines as they arrive.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    /// Bytes at its front that were taken. They go with the next read: moving the rest up for each
    /// line would take a second for 64 KiB of empty ones.
    taken: usize,
}

impl Lines {
    /// Reads what is there, `budget` bytes or a little more. Gives the bytes that came, and whether
    /// the other end was closed.
    pub(super) fn fill(&mut self, pipe: &OwnedFd, budget: usize) -> (usize, bool) {
        self.held.drain(..std::mem::take(&mut self.taken));
        let mut came = 0;
        while came < budget && self.held.len() <= MAX_LINE_BYTES {
            let mut block = [0; BLOCK_BYTES];
            match read(pipe.as_fd(), &mut block) {
                Ok(0) => return (came, true),
                Ok(length) => {
                    came += length;
                    self.held.extend_from_slice(&block[..length]);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => return (came, true),
            }
        }
        (came, false)
    }

    /// The next whole line, without its end.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let rest = &self.held[self.taken..];
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.taken += end + 1;
        if self.taken == self.held.len() {
            // Its memory goes too: the next line comes in seconds.
            *self = Self::default();
        }
        Some(line)
    }

    /// What is there of a line that has no end.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.held.drain(..std::mem::take(&mut self.taken));
        std::mem::take(&mut self.held)
    }

    /// Whether a line has begun that is too long.
    pub(super) fn is_overlong(&self) -> bool {
        let rest = &self.held[self.taken..];
        rest.len() > MAX_LINE_BYTES && !rest.contains(&b'\n')
    }

    /// How much is held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len() - self.taken
    }
}

/// Bytes that are still to be written.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    held: Vec<u8>,
}

impl Unsent {
    /// Takes a line, unless too much is held already.
    pub(super) fn push(&mut self, line: &[u8]) -> bool {
        if self.held.len() + line.len() + 1 > MAX_UNSENT_BYTES {
            return false;
        }
        self.held.extend_from_slice(line);
        self.held.push(b'\n');
        true
    }

    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Writes what the pipe takes; false if nobody reads any more.
    pub(super) fn write(&mut self, pipe: &OwnedFd) -> bool {
        let mut written = 0;
        let is_open = loop {
            let rest = &self.held[written..];
            if rest.is_empty() {
                break true;
            }
            match write(pipe.as_fd(), rest) {
                Ok(length) => written += length,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break true,
                Err(_) => break false,
            }
        };
        self.held.drain(..written);
        if self.held.is_empty() {
            // Its memory goes too: the next line comes in seconds.
            self.held = Vec::new();
        }
        is_open
    }
}

/// The first and the last part of what was written, whatever was between them.
#[derive(Debug, Default)]
pub(super) struct Ends {
    head: Vec<u8>,
    /// A ring once it is full; its oldest byte is at `oldest`.
    tail: Vec<u8>,
    oldest: usize,
    total: u64,
}

impl Ends {
    /// Each end.
    pub(super) const HALF_BYTES: usize = 32 * 1024;

    /// Adds what came.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = Self::HALF_BYTES - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        // Of what is longer than the tail, only the end can stay.
        let rest = &rest[rest.len().saturating_sub(Self::HALF_BYTES)..];
        for byte in rest {
            if self.tail.len() < Self::HALF_BYTES {
                self.tail.push(*byte);
            } else {
                self.tail[self.oldest] = *byte;
                self.oldest = (self.oldest + 1) % Self::HALF_BYTES;
            }
        }
    }

    /// How much came.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether that is all there was.
    pub(super) fn is_whole(&self) -> bool {
        self.total == (self.head.len() + self.tail.len()) as u64
    }

    /// All of it; both ends with `between` where something is missing.
    pub(super) fn into_joined(mut self, between: &[u8]) -> Vec<u8> {
        let between = if self.is_whole() { b"" } else { between };
        let (end, begin) = self.tail.split_at(self.oldest);
        self.head.reserve_exact(between.len() + self.tail.len());
        for part in [between, begin, end] {
            self.head.extend_from_slice(part);
        }
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::pipe2;

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let (read, write) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut lines = Lines::default();
        for (piece, expected) in [
            (&b"ab"[..], &[][..]),
            (b"c\r\n\nd", &["abc", ""]),
            (b"\n", &["d"]),
        ] {
            nix::unistd::write(&write, piece).unwrap();
            let (came, is_closed) = lines.fill(&read, 100);
            assert!(came == piece.len() && !is_closed);
            for text in expected {
                assert_eq!(lines.take().unwrap(), text.as_bytes());
            }
            assert_eq!(lines.take(), None);
        }
        nix::unistd::write(&write, b"no end").unwrap();
        drop(write);
        assert_eq!(lines.fill(&read, 100), (6, true));
        assert_eq!(lines.take_rest(), b"no end");
    }

    #[test]
    fn a_flood_without_a_line_is_held_up_to_its_limit_and_told() {
        let (read, write) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut lines = Lines::default();
        let block = vec![b'x'; 32 * 1024];
        for _ in 0..8 {
            let _ = nix::unistd::write(&write, &block);
            lines.fill(&read, 1 << 20);
        }
        assert!(lines.is_overlong());
        assert!(lines.held_bytes() <= MAX_LINE_BYTES + BLOCK_BYTES);
    }

    #[test]
    fn of_too_much_both_ends_stay() {
        let mut ends = Ends::default();
        ends.add(b"begin ");
        ends.add(b"end");
        assert!(ends.is_whole());
        let mut all = b"begin end".to_vec();
        for number in 0..40_000_u32 {
            let word = number.to_string();
            all.extend_from_slice(word.as_bytes());
            ends.add(word.as_bytes());
        }
        assert_eq!(ends.total(), all.len() as u64);
        assert!(!ends.is_whole());
        let half = Ends::HALF_BYTES;
        let expected = [&all[..half], b"...", &all[all.len() - half..]].concat();
        assert!(ends.into_joined(b"...") == expected);
        let mut ends = Ends::default();
        ends.add(&all);
        assert!(ends.into_joined(b"...") == expected);
        let mut ends = Ends::default();
        ends.add(b"all");
        assert_eq!(ends.into_joined(b"..."), b"all");
    }

    #[test]
    fn what_nobody_reads_is_refused_before_it_is_too_much() {
        let (read, write) = pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut unsent = Unsent::default();
        let line = [b'x'; 10_000];
        let taken = (0..20).filter(|_| unsent.push(&line)).count();
        assert_eq!(taken, 6);
        assert!(unsent.write(&write));
        // A pipe takes 64 KiB (pipe(7)): all of it went.
        assert!(unsent.is_empty());
        drop(read);
        unsent.push(b"more");
        assert!(!unsent.write(&write));
    }
}
