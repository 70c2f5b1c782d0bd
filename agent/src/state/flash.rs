//! What is written to the device's storage, and how long it took.
//!
//! Flash wears out by what is written to it, and a card can take a second for what looks like
//! nothing. So every byte of state and log is counted here, each flush, and the longest wait. Bytes
//! are those handed to the kernel; times are milliseconds of `CLOCK_BOOTTIME`.
//!
//! Counts only. What is written when is the business of who writes.

use std::sync::{Mutex, PoisonError};

use crate::clock;

/// Everything since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes written to files of the state.
    pub state_bytes: u64,
    /// Bytes written to log files.
    pub log_bytes: u64,
    /// Times that a file or a folder was flushed (fsync, fdatasync).
    pub flushes: u64,
    /// The longest that the agent waited for a write or a flush of its state.
    pub disk_stall_ms_max: u64,
    /// Writes and flushes of the state that failed.
    pub failures: u64,
    /// State files that held something else than what was written to them.
    pub damaged_files: u64,
    /// State files that cannot be written now: the only figure that can fall.
    pub files_in_trouble: u64,
}

static COUNTERS: Mutex<Counters> = Mutex::new(Counters {
    state_bytes: 0,
    log_bytes: 0,
    flushes: 0,
    disk_stall_ms_max: 0,
    failures: 0,
    damaged_files: 0,
    files_in_trouble: 0,
});

/// What was counted so far.
pub fn counters() -> Counters {
    let mut now = Counters::default();
    count(|counters| now = *counters);
    now
}

/// Counts bytes of a log file.
pub fn log_written(bytes: u64) {
    count(|counters| counters.log_bytes += bytes);
}

/// Counts a file of the state that was spoiled.
pub(super) fn damaged() {
    count(|counters| counters.damaged_files += 1);
}

/// Counts a file of the state that cannot be written, or can be again.
pub(super) fn trouble(begins: bool) {
    count(|counters| {
        counters.files_in_trouble = if begins {
            counters.files_in_trouble + 1
        } else {
            counters.files_in_trouble.saturating_sub(1)
        };
    });
}

/// Writes `bytes` bytes of state and takes the time.
pub(super) fn write(
    bytes: usize,
    write: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<()> {
    timed(bytes as u64, 0, write)
}

/// Flushes something of the state, or of an old log, and takes the time.
pub fn flush(flush: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    timed(0, 1, flush)
}

fn timed(
    bytes: u64,
    flushes: u64,
    work: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<()> {
    let began_ms = clock::boot_ms();
    let done = work();
    let stall_ms = clock::boot_ms().saturating_sub(began_ms);
    count(|counters| {
        counters.state_bytes += bytes;
        counters.flushes += flushes;
        counters.disk_stall_ms_max = counters.disk_stall_ms_max.max(stall_ms);
        counters.failures += u64::from(done.is_err());
    });
    done
}

fn count(with: impl FnOnce(&mut Counters)) {
    with(&mut COUNTERS.lock().unwrap_or_else(PoisonError::into_inner));
}
