//! What the agent says: to standard output or error, and to a file, as JSON or for people.
//!
//! Nothing here ever waits: a line that cannot be written now is counted as dropped by the output
//! that lost it, and the next one that gets through there says how many (`sink.rs`). Text from
//! outside is escaped and cut by `mote_core::log_line`, in both forms. Moments are
//! `CLOCK_BOOTTIME` milliseconds; the time in a line is the wall clock's.
//!
//! Before [`configure`], lines go to standard output as JSON.

mod compress;
mod console;
mod file;
mod gzip;
mod panic;
mod rotate;
mod side;
mod sink;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mote_core::log_line::{Level, Value};
use nix::sys::statvfs::statvfs;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use crate::clock;
use crate::config::settings::{LogFormat, Settings};
use crate::state::folder;
use console::Console;
use file::{Limits, LogFile, Trouble};
use sink::{Entry, Look};

pub use side::SideLog;

/// What a log file may have on a small file system.
const SMALL_BYTES: u64 = 1_000_000;

static LOG: Mutex<Log> = Mutex::new(Log::new());

#[derive(Debug)]
struct Log {
    level: Level,
    /// First hex digits of the key's hash; zero bytes while there is no key.
    key_hash: [u8; 8],
    console: Console,
    file: Option<LogFile>,
    /// Dropped by files that are no longer written to.
    dropped_before: u64,
}

/// What is needed before the first line: a panic leaves a line, and a limit on file sizes does not
/// end the process.
pub fn prepare() {
    panic::catch_panics();
    // Caught, the signal lets the write fail with EFBIG. If it cannot be, a limit ends the agent.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// Writes where and what `settings` say from now on. May be called again.
pub fn configure(settings: &Settings) {
    with(|log| log.configure(settings));
}

/// Sets the lowest level that is written.
pub fn set_level(level: Level) {
    with(|log| log.level = level);
}

/// Sets the fingerprint of the key that every line carries. The key itself never gets here.
pub fn set_key_hash(hash: [u8; 8]) {
    with(|log| log.key_hash = hash);
}

/// Lines that could not be written so far, on all outputs.
pub fn dropped() -> u64 {
    with(|log| {
        let file = log.file.as_ref().map_or(0, |file| file.tally.dropped);
        log.dropped_before + log.console.tally.dropped + file
    })
}

/// Does a small part of what is due with old log files; returns when the next is. Right after a sample
/// it `may_wait` for the disk.
pub fn turn(now_ms: u64, may_wait: bool) -> u64 {
    with(|log| {
        let Some(file) = &mut log.file else {
            return u64::MAX;
        };
        let next_ms = file.turn(now_ms, may_wait);
        log.say_trouble();
        next_ms
    })
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
    let mut log: MutexGuard<'_, Log> = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    use_it(&mut log)
}

impl Log {
    const fn new() -> Self {
        Self {
            level: Level::Info,
            key_hash: [0; 8],
            console: Console::new(),
            file: None,
            dropped_before: 0,
        }
    }

    fn configure(&mut self, settings: &Settings) {
        self.level = settings.log_level;
        // <https://no-color.org>: set to anything means no.
        let may_colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let format = settings.log_format;
        self.console
            .configure(settings.log_output, format, may_colour);
        let Some(path) = &settings.log_file else {
            self.forget_file();
            return;
        };
        let look = match format {
            LogFormat::Json => Look::Json,
            LogFormat::Text => Look::Text { colour: false },
        };
        let mut limits = Limits {
            max_bytes: settings.log_max_bytes,
            backups: settings.log_max_backups,
            max_age_days: settings.log_max_age_days,
            compress: settings.log_compress,
        };
        if self.file.as_ref().is_none_or(|file| file.path != *path) {
            self.forget_file();
            let base = settings.base_dir();
            if path.starts_with(&base) {
                // Ours, and made soon anyway, which then says what is wrong.
                let _ = folder::make(&base);
            }
            self.file = Some(LogFile::new(path.clone(), limits, look, clock::boot_ms()));
            self.say_trouble();
        }
        let Some(file) = &mut self.file else { return };
        limits.max_bytes = size_limit(settings.log_max_bytes, file_system_bytes(path));
        file.look = look;
        let before = std::mem::replace(&mut file.limits, limits);
        if limits.max_bytes < settings.log_max_bytes && limits.max_bytes != before.max_bytes {
            let fields = [
                ("path", Value::Str(&path.to_string_lossy())),
                ("max_bytes", Value::Uint(limits.max_bytes)),
            ];
            self.line(
                Level::Info,
                "Log file kept small, as its file system is",
                &fields,
            );
        }
    }

    fn forget_file(&mut self) {
        if let Some(file) = self.file.take() {
            self.dropped_before += file.tally.dropped;
        }
    }

    fn line(&mut self, level: Level, msg: &str, fields: &[(&str, Value<'_>)]) {
        if level < self.level {
            return;
        }
        let hash = self.key_hash;
        let entry = entry(&hash, level, msg, fields);
        self.console.send(&entry);
        if let Some(file) = &mut self.file {
            file.send(&entry, clock::boot_ms());
            self.say_trouble();
        }
    }

    /// Says on the other output what the file met.
    fn say_trouble(&mut self) {
        let Some(file) = &mut self.file else { return };
        let Some(Trouble { msg, error }) = file.trouble.take() else {
            return;
        };
        let (path, error) = (file.path.to_string_lossy(), error.to_string());
        let fields = [("path", Value::Str(&path)), ("error", Value::Str(&error))];
        let hash = self.key_hash;
        self.console
            .send_somewhere(&entry(&hash, Level::Warn, msg, &fields));
    }
}

fn entry<'a>(
    key_hash: &'a [u8; 8],
    level: Level,
    msg: &'a str,
    fields: &'a [(&'a str, Value<'a>)],
) -> Entry<'a> {
    let hash = if key_hash[0] == 0 {
        ""
    } else {
        str::from_utf8(key_hash).unwrap_or("")
    };
    Entry {
        wall_ms: clock::wall_ms(),
        level,
        msg,
        key_hash: hash,
        fields,
    }
}

/// Never more than a tenth of the file system: the rest is the owner's.
fn size_limit(asked_bytes: u64, file_system_bytes: Option<u64>) -> u64 {
    match file_system_bytes.map(|bytes| bytes / 10) {
        Some(tenth) if tenth < asked_bytes => SMALL_BYTES.min(tenth),
        _ => asked_bytes,
    }
}

/// The size of the file system of the folder that the log is in.
fn file_system_bytes(log: &Path) -> Option<u64> {
    let found = statvfs(rotate::folder(log)).ok()?;
    // Both are as wide as the machine's words. Some file systems say nothing, which is 0.
    let bytes = (found.fragment_size() as u64).saturating_mul(found.blocks() as u64);
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests;
