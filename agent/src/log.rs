//! One JSON object a line, to standard output, without ever waiting for whoever reads it.
//!
//! A line is formatted in a fixed buffer of at most [`LINE_BYTES`], which is what a pipe takes
//! whole or not at all (`PIPE_BUF`, pipe(7)), and written only if the descriptor is ready now.
//! Otherwise the line is counted as dropped, and the next one that gets through says how many.
//! Text from outside is escaped and cut by `mote_core::log_line`.

use std::io::Write;
use std::sync::Mutex;

use mote_core::log_line::{Level, Value, write_line_bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

use crate::clock;

/// Longest line, its line feed included.
pub const LINE_BYTES: usize = 4096;

static LOG: Mutex<Log> = Mutex::new(Log {
    level: Level::Info,
    key_hash: [0; 8],
    dropped: 0,
});

struct Log {
    level: Level,
    /// First hex digits of the key's hash; zero bytes while there is no key.
    key_hash: [u8; 8],
    dropped: u64,
}

/// Writes as `settings` say from now on.
pub fn configure(settings: &crate::config::Settings) {
    set_level(settings.log_level);
}

/// Sets the lowest level that is written.
pub fn set_level(level: Level) {
    with(|log| log.level = level);
}

/// Sets the fingerprint of the key that every line carries. The key itself never gets here.
pub fn set_key_hash(hash: [u8; 8]) {
    with(|log| log.key_hash = hash);
}

/// Lines that could not be written so far.
pub fn dropped() -> u64 {
    with(|log| log.dropped)
}

/// Writes a line at level debug.
pub fn debug(msg: &str, fields: &[(&str, Value<'_>)]) {
    with(|log| log.line(Level::Debug, msg, fields));
}

/// Writes a line at level info.
pub fn info(msg: &str, fields: &[(&str, Value<'_>)]) {
    with(|log| log.line(Level::Info, msg, fields));
}

/// Writes a line at level warn.
pub fn warn(msg: &str, fields: &[(&str, Value<'_>)]) {
    with(|log| log.line(Level::Warn, msg, fields));
}

/// Writes a line at level error.
pub fn error(msg: &str, fields: &[(&str, Value<'_>)]) {
    with(|log| log.line(Level::Error, msg, fields));
}

fn with<T>(use_it: impl FnOnce(&mut Log) -> T) -> T {
    use_it(
        &mut LOG
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    )
}

impl Log {
    fn line(&mut self, level: Level, msg: &str, fields: &[(&str, Value<'_>)]) {
        if level < self.level {
            return;
        }
        if self.dropped > 0
            && self.write(
                Level::Warn,
                "Log lines dropped",
                &[("dropped", Value::Uint(self.dropped))],
            )
        {
            self.dropped = 0;
        }
        if !self.write(level, msg, fields) {
            self.dropped += 1;
        }
    }

    fn write(&self, level: Level, msg: &str, fields: &[(&str, Value<'_>)]) -> bool {
        let mut buffer = [0; LINE_BYTES];
        let hash = if self.key_hash[0] == 0 {
            ""
        } else {
            str::from_utf8(&self.key_hash).unwrap_or("")
        };
        let len = write_line_bounded(&mut buffer, clock::wall_ms(), level, msg, hash, fields);
        let output = std::io::stdout();
        let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut ready, PollTimeout::ZERO) {
            // A closed pipe is ready with POLLERR; the write then fails instead of waiting.
            Ok(1..) => {
                let mut raw = RawOutput(output.as_fd());
                raw.write_all(&buffer[..len]).is_ok()
            }
            _ => false,
        }
    }
}

/// Standard output without std's line buffer, which would keep half a line after an error.
struct RawOutput<'a>(std::os::fd::BorrowedFd<'a>);

impl Write for RawOutput<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(nix::unistd::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
