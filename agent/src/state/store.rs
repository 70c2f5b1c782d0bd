//! One file of records (`mote_core::record`): read at start, appended to, replaced as a whole.
//!
//! A file is made when something is first written to it. What stands in it when it is opened is
//! read up to the first byte that nobody wrote:
//! - a piece of a record at the end is what a power cut leaves: it is cut off;
//! - anything else is damage: it is counted, and what was good of the file is written into a new
//!   one; the old one is kept aside (`NAME.damaged`). So is one that cannot be read, or not to its end.
//!
//! A write that fails is taken back. After a flush that failed the kernel may have dropped what it
//! could not write and call it clean, so the file is not flushed a second time: it is given up, and
//! a new one is written: NAME.new, flush, rename, flush of the folder. Until that works the owner
//! goes on from memory. The first failure of a row is logged, and so is its end.
//!
//! What the records mean, and when something is written, is the owner's.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mote_core::log_line::Value;
use mote_core::record::{self, HEAD_BYTES, Head, Read, Record};
use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::flash;
use crate::clock;
use crate::log;

/// Where ids are counted: nobody counts to a larger one, so what has it was not written by us.
pub(super) const LAST_ID: u64 = u64::MAX / 2;
/// How long a file that could not be written is left alone.
const TRY_AGAIN_MS: u64 = 10_000;

/// One file.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are apart: each may be so or not"
)]
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    seed: u32,
    file: Option<File>,
    /// Bytes of whole records. Behind them may be a piece that was not taken back.
    length: u64,
    /// It may be appended to.
    is_good: bool,
    /// Something was written since the last flush.
    is_dirty: bool,
    /// The folder does not have the file's name for sure.
    is_new: bool,
    /// It is to be kept aside when it is replaced.
    is_damaged: bool,
    /// So much of it could not be read when it was opened.
    unread_bytes: u64,
    trouble: Trouble,
    again_ms: u64,
    /// The record under way.
    scratch: Vec<u8>,
}

impl Store {
    /// Opens the file at `path` and passes each record on, with where it stands in the file; of one
    /// whose body was spoiled its head. What is behind `limit_bytes` was not written by us.
    pub(super) fn open(
        path: PathBuf,
        seed: u32,
        limit_bytes: u64,
        each: &mut dyn FnMut(Result<Record<'_>, Head>, u64),
    ) -> Self {
        let mut store = Self {
            path,
            seed,
            file: None,
            length: 0,
            is_good: true,
            is_dirty: false,
            is_new: true,
            is_damaged: false,
            unread_bytes: 0,
            trouble: Trouble::None,
            again_ms: 0,
            scratch: Vec::new(),
        };
        match open(&store.path) {
            Ok(Some((file, may_write))) => {
                (store.is_good, store.is_new) = (may_write, false);
                let read = store.walk(&file, limit_bytes, each);
                store.file = Some(file);
                match read {
                    Ok(end) => store.settle(end),
                    Err(error) => store.could_not_read(&error),
                }
            }
            Ok(None) => {}
            Err(error) => store.could_not_read(&error),
        }
        store
    }

    /// A record at the end of the file; returns where. It is safe after [`flush`](Self::flush).
    pub(super) fn append(&mut self, record: &Record<'_>) -> io::Result<u64> {
        if !self.is_good {
            return Err(io::Error::other("given up after an earlier failure"));
        }
        let appended = self.try_append(record);
        if let Err(error) = &appended {
            // What is there of the record must not stand before the next one.
            let taken_back = self.file.as_ref().map(|file| file.set_len(self.length));
            self.is_good = !matches!(taken_back, Some(Err(_)));
            self.failed(error);
        } else {
            self.took();
        }
        appended
    }

    /// Makes what was appended survive a power cut. A file that was given up is left as it is.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let is_due = self.is_dirty && self.is_good;
        let Some(file) = self.file.as_ref().filter(|_| is_due) else {
            return Ok(());
        };
        let mut flushed = flash::flush(|| file.sync_data());
        if flushed.is_ok() && self.is_new {
            flushed = flush_folder(&self.path);
        }
        match &flushed {
            Ok(()) => {
                (self.is_dirty, self.is_new) = (false, false);
                // What was written before a failure may be flushed well after it.
                if self.trouble == Trouble::Mended {
                    self.succeeded();
                }
            }
            Err(error) => {
                self.is_good = false;
                self.failed(error);
            }
        }
        flushed
    }

    /// Writes a new file with what `fill` appends to it, and puts it in the place of this one. If that
    /// fails, what can be read is still what it was.
    pub(super) fn replace(
        &mut self,
        fill: &mut dyn FnMut(&mut Self, &mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = with_ending(&self.path, ".new");
        let mut next = Self {
            path,
            seed: self.seed,
            file: None,
            length: 0,
            is_good: true,
            is_dirty: true,
            is_new: false,
            is_damaged: false,
            unread_bytes: 0,
            // Its failures are this one's, and are said once.
            trouble: Trouble::Lasting,
            again_ms: 0,
            scratch: Vec::new(),
        };
        let replaced = next.create().and_then(|()| {
            fill(self, &mut next)?;
            next.file
                .as_ref()
                .map_or(Ok(()), |file| flash::flush(|| file.sync_all()))?;
            next.is_dirty = false;
            if self.is_damaged {
                // For whoever wants to know what happened; nothing depends on it.
                let _ = keep_aside(&self.path, &with_ending(&self.path, ".damaged"));
            }
            std::fs::rename(&next.path, &self.path)
        });
        if let Err(error) = replaced {
            // What it takes there is somebody's room.
            let _ = std::fs::remove_file(&next.path);
            self.failed(&error);
            return Err(error);
        }
        if let Err(error) = flush_folder(&self.path) {
            // It may be there after a power cut or not. Who holds places in this one finds them in
            // it still, though it has no name any more, until another is written.
            (self.is_good, self.is_damaged) = (false, false);
            self.failed(&error);
            return Err(error);
        }
        next.path.clone_from(&self.path);
        (next.trouble, next.again_ms) = (self.trouble, self.again_ms);
        *self = next;
        self.succeeded();
        Ok(())
    }

    /// Leaves the file empty, for sure after the next [`flush`](Self::flush). A power cut before
    /// that may leave all that it said.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if !self.is_good {
            return self.replace(&mut |_, _| Ok(()));
        }
        let Some(file) = self.file.as_ref().filter(|_| self.length > 0) else {
            return Ok(());
        };
        if let Err(error) = file.set_len(0) {
            self.is_good = false;
            self.failed(&error);
            return Err(error);
        }
        (self.length, self.is_dirty) = (0, true);
        self.took();
        Ok(())
    }

    /// The record at `at`, if it is still what was written.
    pub(super) fn read<'b>(&self, at: u64, buffer: &'b mut Vec<u8>) -> Option<Record<'b>> {
        let file = self.file.as_ref()?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, at).ok()?;
        let head = Head::parse(self.seed, &head)?;
        buffer.clear();
        buffer.resize(head.record_bytes(), 0);
        file.read_exact_at(buffer, at).ok()?;
        match record::read(self.seed, buffer) {
            Read::Record(record) => Some(record),
            _ => None,
        }
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.length
    }

    /// Whether it can be appended to. If not, it is to be replaced when [`may_try`](Self::may_try).
    pub(super) fn is_good(&self) -> bool {
        self.is_good
    }

    /// Whether it holds what was not written by us, and is to be replaced for that.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// How much of it could not be read when it was opened.
    pub(super) fn unread_bytes(&self) -> u64 {
        self.unread_bytes
    }

    /// Whether the last write failed.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble == Trouble::Lasting
    }

    /// Whether the last failure is long enough ago, if there was one.
    pub(super) fn may_try(&self) -> bool {
        self.trouble == Trouble::None || clock::boot_ms() >= self.again_ms
    }

    /// Whether what was written last is not safe: it failed, or was not flushed.
    pub(super) fn is_unsafe(&self) -> bool {
        self.trouble != Trouble::None || self.is_dirty
    }

    /// Lets the next attempt come at once.
    #[cfg(test)]
    pub(super) fn forget_trouble(&mut self) {
        self.again_ms = 0;
    }

    fn create(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            .open(&self.path)?;
        self.file = Some(file);
        Ok(())
    }

    fn try_append(&mut self, record: &Record<'_>) -> io::Result<u64> {
        if self.file.is_none() {
            self.create()?;
        }
        let Some(file) = &self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        self.scratch.clear();
        self.scratch.resize(record.file_bytes(), 0);
        record
            .encode(self.seed, &mut self.scratch)
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        let (bytes, at) = (&self.scratch[..], self.length);
        self.is_dirty = true;
        flash::write(bytes.len(), || file.write_all_at(bytes, at))?;
        self.length += bytes.len() as u64;
        // A result of half a megabyte is rare, and its room is needed elsewhere.
        self.scratch.shrink_to(4096);
        Ok(at)
    }

    /// Passes on what was written, up to the first byte that was not.
    fn walk(
        &mut self,
        file: &File,
        limit_bytes: u64,
        each: &mut dyn FnMut(Result<Record<'_>, Head>, u64),
    ) -> io::Result<End> {
        let file_bytes = file.metadata()?.len();
        let mut window = Vec::new();
        let mut end = End::default();
        let mut want = HEAD_BYTES;
        while self.length < file_bytes {
            let left = usize::try_from(file_bytes - self.length).unwrap_or(usize::MAX);
            if left < want {
                end.torn_bytes = left as u64;
                return Ok(end);
            }
            if self.length >= limit_bytes {
                end.is_damaged = true;
                return Ok(end);
            }
            window.resize(want, 0);
            file.read_exact_at(&mut window, self.length)?;
            let bytes = match record::read(self.seed, &window) {
                Read::More { bytes } => {
                    want = bytes;
                    continue;
                }
                Read::Record(record) => {
                    each(Ok(record), self.length);
                    record.file_bytes()
                }
                // The last one may be a write that was torn.
                Read::Damaged(head) if left == head.record_bytes() => {
                    end.torn_bytes = left as u64;
                    return Ok(end);
                }
                Read::Damaged(head) => {
                    each(Err(head), self.length);
                    end.is_damaged = true;
                    head.record_bytes()
                }
                Read::Broken if is_zero(file, self.length, file_bytes)? => {
                    end.torn_bytes = left as u64;
                    return Ok(end);
                }
                Read::Broken => {
                    end.is_damaged = true;
                    return Ok(end);
                }
            };
            self.length += bytes as u64;
            want = HEAD_BYTES;
        }
        Ok(end)
    }

    /// Does what is to be done about what a file ended with.
    fn settle(&mut self, end: End) {
        let path = self.path.to_string_lossy();
        if end.is_damaged {
            flash::damaged();
            log::warn(
                "State file is damaged, going on with what is good of it",
                &[("path", Value::Str(&path))],
            );
            // Nothing is appended to it; the next write replaces it.
            (self.is_good, self.is_damaged) = (false, true);
        } else if end.torn_bytes > 0 {
            log::warn(
                "State file ends in a write that was torn, cut off",
                &[
                    ("path", Value::Str(&path)),
                    ("bytes", Value::Uint(end.torn_bytes)),
                ],
            );
            if let Some(file) = self.file.as_ref().filter(|_| self.is_good) {
                self.is_good = file.set_len(self.length).is_ok();
                self.is_dirty = true;
            }
        }
    }

    /// What is behind the first byte that cannot be read is lost to this start. The file is kept aside
    /// when the next write replaces it: it may be read another day.
    fn could_not_read(&mut self, error: &io::Error) {
        let about = std::fs::symlink_metadata(&self.path).ok();
        let bytes = about.map_or(0, |about| if about.is_file() { about.len() } else { 0 });
        self.unread_bytes = bytes.saturating_sub(self.length);
        flash::damaged();
        log::warn(
            "State file cannot be read, going on with what was read of it",
            &[
                ("path", Value::Str(&self.path.to_string_lossy())),
                ("error", Value::Str(&error.to_string())),
                ("unread_bytes", Value::Uint(self.unread_bytes)),
            ],
        );
        (self.is_good, self.is_damaged) = (false, true);
    }

    fn failed(&mut self, error: &io::Error) {
        self.again_ms = clock::boot_ms() + TRY_AGAIN_MS;
        if std::mem::replace(&mut self.trouble, Trouble::Lasting) == Trouble::None {
            say_unwritable(&self.path, error);
        }
    }

    /// The file took something again.
    fn took(&mut self) {
        if self.trouble == Trouble::Lasting {
            self.trouble = Trouble::Mended;
        }
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.trouble) != Trouble::None {
            say_written_again(&self.path);
        }
    }
}

/// Whether a file takes what it is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Trouble {
    /// As far as is known.
    #[default]
    None,
    /// A failure was logged, and nothing was taken since.
    Lasting,
    /// Something was taken since, and is not flushed.
    Mended,
}

/// What a file ended with.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// There is something in it that nobody wrote.
    is_damaged: bool,
    /// The last so many bytes are a piece of a record.
    torn_bytes: u64,
}

/// Opens what is there, for writing too if that may be. A link, and what is no regular file, is
/// refused: it could make the agent wait.
pub(super) fn open(path: &Path) -> io::Result<Option<(File, bool)>> {
    let opened = |write| {
        OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            .open(path)
    };
    let (file, may_write) = match opened(true) {
        Ok(file) => (file, true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // It can still be read where nothing can be written.
        Err(error) => (opened(false).map_err(|_| error)?, false),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file: remove it"));
    }
    Ok(Some((file, may_write)))
}

/// Leaves what is at `path` at `aside` too; at `aside` alone where the file system has no links, or
/// the file is one that may not be linked to.
fn keep_aside(path: &Path, aside: &Path) -> io::Result<()> {
    let _ = std::fs::remove_file(aside);
    std::fs::hard_link(path, aside).or_else(|_| std::fs::rename(path, aside))
}

/// Counts and logs that `path` cannot be written; to be said once.
pub(super) fn say_unwritable(path: &Path, error: &io::Error) {
    flash::trouble(true);
    log::warn(
        super::UNWRITABLE,
        &[
            ("path", Value::Str(&path.to_string_lossy())),
            ("error", Value::Str(&error.to_string())),
        ],
    );
}

/// And that it can be again.
pub(super) fn say_written_again(path: &Path) {
    flash::trouble(false);
    let path = path.to_string_lossy();
    log::info("State is written again", &[("path", Value::Str(&path))]);
}

/// Whether there are but zeros from `at` to `end`.
fn is_zero(file: &File, mut at: u64, end: u64) -> io::Result<bool> {
    let mut piece = [0; 4096];
    while at < end {
        let length = usize::try_from(end - at).map_or(piece.len(), |left| left.min(piece.len()));
        file.read_exact_at(&mut piece[..length], at)?;
        if piece[..length].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// Makes the names in the folder of `path` survive a power cut.
pub(super) fn flush_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    flash::flush(|| folder.sync_all())
}

pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
pub(super) mod tests;
