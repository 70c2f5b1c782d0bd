//! The log file: opened with care, kept below its size, found again when somebody moved it.
//!
//! Sizes are bytes, moments `CLOCK_BOOTTIME` milliseconds. A link is refused, and so is anything
//! that is no regular file: it could make a write wait. A file that cannot be opened is tried
//! again every ten seconds; what is lost meanwhile is counted. Where the old file cannot be given
//! another name, the log grows to twice its size and no further.
//!
//! Names are `rotate.rs`, compression is `compress.rs`. Troubles are left in [`LogFile::trouble`]
//! for the other output, once each time one begins.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::compress::{self, Job};
use super::rotate;
use super::sink::{Entry, Look, Tally, Written, write};
use crate::state::flash;

/// How often is looked whether the file is still the one at its path.
const LOOK_EVERY_MS: u64 = 1_000;
/// How long a file that could not be opened is left alone.
const OPEN_AGAIN_MS: u64 = 10_000;
/// How long a rotation that failed is left alone.
const ROTATE_AGAIN_MS: u64 = 60_000;
/// How often files that are too old are looked for.
const PRUNE_EVERY_MS: u64 = 3_600_000;
/// From one block to the next: a hundred megabytes then take a minute and a half.
const BLOCK_EVERY_MS: u64 = 50;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub max_bytes: u64,
    pub backups: u32,
    pub max_age_days: u32,
    pub compress: bool,
}

/// What failed, for people.
#[derive(Debug)]
pub(super) struct Trouble {
    pub msg: &'static str,
    pub error: io::Error,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    size_bytes: u64,
}

#[derive(Debug)]
pub(super) struct LogFile {
    pub path: PathBuf,
    pub limits: Limits,
    pub look: Look,
    pub tally: Tally,
    pub trouble: Option<Trouble>,
    opened: Option<Opened>,
    /// Opening failed, and that was said.
    is_missing: bool,
    /// Rotating failed, and that was said.
    is_stuck: bool,
    look_ms: u64,
    rotate_ms: u64,
    prune_ms: u64,
    block_ms: u64,
    /// There may be an old file to compress.
    may_compress: bool,
    job: Option<Job>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, limits: Limits, look: Look, now_ms: u64) -> Self {
        // What cannot be removed now is in the way of the first job, which then says so.
        let _ = compress::clean(&path);
        let mut file = Self {
            path,
            limits,
            look,
            tally: Tally::NEW,
            trouble: None,
            opened: None,
            is_missing: false,
            is_stuck: false,
            look_ms: 0,
            rotate_ms: 0,
            prune_ms: now_ms,
            block_ms: now_ms,
            may_compress: true,
            job: None,
        };
        file.open(now_ms);
        file
    }

    /// Writes a line, or counts it.
    pub(super) fn send(&mut self, entry: &Entry<'_>, now_ms: u64) {
        // First, since a file that is opened says how its last line ended.
        if now_ms >= self.look_ms {
            self.look_for_it(now_ms);
        }
        let mut tally = std::mem::take(&mut self.tally);
        tally.send(entry, self.look, |bytes| self.put(bytes, now_ms));
        self.tally = tally;
    }

    fn put(&mut self, bytes: &[u8], now_ms: u64) -> Written {
        let more_bytes = bytes.len() as u64;
        if self.size_after(more_bytes) > self.limits.max_bytes && now_ms >= self.rotate_ms {
            self.rotate(now_ms);
        }
        let room_bytes = self.limits.max_bytes * if self.is_stuck { 2 } else { 1 };
        if self.size_after(more_bytes) > room_bytes {
            return Written::Nothing;
        }
        let Some(opened) = &mut self.opened else {
            return Written::Nothing;
        };
        let written = write(opened.file.as_fd(), bytes);
        let written_bytes = match written {
            Written::Whole => more_bytes,
            Written::Part(length) => length as u64,
            Written::Nothing => 0,
        };
        opened.size_bytes += written_bytes;
        flash::log_written(written_bytes);
        written
    }

    /// How large the file gets; 0 for an empty one, which takes any line.
    fn size_after(&self, more_bytes: u64) -> u64 {
        let opened = self.opened.as_ref();
        opened
            .filter(|opened| opened.size_bytes > 0)
            .map_or(0, |opened| opened.size_bytes + more_bytes)
    }

    /// Opens the file unless the one at its path is open.
    fn look_for_it(&mut self, now_ms: u64) {
        let found = std::fs::symlink_metadata(&self.path);
        match (&mut self.opened, found) {
            (Some(opened), Ok(found)) if opened.identity == identity(&found) => {
                // Whoever copies a log away may have emptied it.
                opened.size_bytes = found.len();
                self.look_ms = now_ms + LOOK_EVERY_MS;
            }
            _ => self.open(now_ms),
        }
    }

    fn open(&mut self, now_ms: u64) {
        match open(&self.path) {
            Ok((opened, is_torn)) => {
                self.opened = Some(opened);
                self.tally.torn = is_torn;
                self.is_missing = false;
                self.look_ms = now_ms + LOOK_EVERY_MS;
            }
            Err(error) => {
                self.opened = None;
                self.look_ms = now_ms + OPEN_AGAIN_MS;
                if !std::mem::replace(&mut self.is_missing, true) {
                    let msg = "Log file cannot be opened, trying again every 10 s";
                    self.trouble = Some(Trouble { msg, error });
                }
            }
        }
    }

    fn rotate(&mut self, now_ms: u64) {
        match self.make_room() {
            Ok(()) => {
                self.is_stuck = false;
                if self.limits.backups > 0 {
                    self.open(now_ms);
                    (self.prune_ms, self.may_compress) = (now_ms, true);
                }
            }
            Err(error) => {
                self.rotate_ms = now_ms + ROTATE_AGAIN_MS;
                if !std::mem::replace(&mut self.is_stuck, true) {
                    let msg = "Log file cannot be renamed, it may grow to twice its size";
                    self.trouble = Some(Trouble { msg, error });
                }
            }
        }
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.limits.backups == 0 {
            let Some(opened) = &mut self.opened else {
                return Ok(());
            };
            opened.file.set_len(0)?;
            opened.size_bytes = 0;
            return Ok(());
        }
        // Until all files have moved, the job's has no number.
        let job = self.job.take();
        let gap = rotate::shift(&self.path, self.limits.backups)?;
        self.job = job.filter(|job| job.number != gap).map(|mut job| {
            job.number += u32::from(job.number < gap);
            job
        });
        Ok(())
    }

    /// Does a small part of what is due with old files; returns when the next is. What may take long
    /// is done if it `may_wait` for the disk.
    pub(super) fn turn(&mut self, now_ms: u64, may_wait: bool) -> u64 {
        if now_ms >= self.prune_ms {
            self.prune_ms = now_ms + PRUNE_EVERY_MS;
            let Limits {
                backups,
                max_age_days,
                ..
            } = self.limits;
            let pruned = rotate::prune(&self.path, backups, max_age_days, SystemTime::now());
            if let Err(error) = pruned
                && !self.is_missing
            {
                let msg = "Old log file cannot be removed";
                self.trouble = Some(Trouble { msg, error });
            }
        }
        if !self.limits.compress {
            self.job = None;
            return self.prune_ms;
        }
        if self.may_compress && (now_ms >= self.block_ms || may_wait) {
            self.block_ms = now_ms + BLOCK_EVERY_MS;
            if let Err(error) = self.compress(may_wait) {
                (self.job, self.may_compress) = (None, false);
                if !self.is_missing {
                    let msg = "Old log file cannot be compressed";
                    self.trouble = Some(Trouble { msg, error });
                }
            }
        }
        let is_waiting = self.job.as_ref().is_some_and(Job::is_read);
        if self.may_compress && !is_waiting {
            self.prune_ms.min(self.block_ms)
        } else {
            self.prune_ms
        }
    }

    /// One block of the file under way, or of the oldest that is to be compressed.
    fn compress(&mut self, may_wait: bool) -> io::Result<()> {
        let mut job = if let Some(job) = self.job.take() {
            job
        } else {
            let old = rotate::list(&self.path)?;
            let Some(old) = old.iter().find(|old| !old.is_gzip) else {
                self.may_compress = false;
                return Ok(());
            };
            Job::start(&self.path, old.number)?
        };
        if !job.step(may_wait)? {
            self.job = Some(job);
        }
        Ok(())
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens the file, and says whether its last line has no end.
fn open(path: &Path) -> io::Result<(Opened, bool)> {
    // No folder above it: a path that somebody mistyped would be made as a whole.
    let made = DirBuilder::new().mode(0o700).create(rotate::folder(path));
    match made.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::AlreadyExists) | Ok(()) => {}
        Err(io::ErrorKind::NotFound) => {
            let words = "the folder above its own is not there: make that, or change logging.file";
            return Err(io::Error::other(words));
        }
        Err(_) => made?,
    }
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file: name another"));
    }
    let size_bytes = metadata.len();
    let mut last = *b"\n";
    if size_bytes > 0 {
        file.read_exact_at(&mut last, size_bytes - 1)?;
    }
    let identity = identity(&metadata);
    Ok((
        Opened {
            file,
            identity,
            size_bytes,
        },
        last != *b"\n",
    ))
}

#[cfg(test)]
mod tests;
