//! File systems: how large, how full, of every local one.
//!
//! The table of mounts is read when the kernel says that it changed, see `proc(5)`. Only one change
//! it keeps to itself: a file system that became read-only for its errors. That shows in what the
//! file system says of itself, and then the table is read again.
//!
//! Nothing that may block is touched: a file system that a server, a user's process or an
//! automounter answers for is not asked, nor one that hides below or under such. What is mounted
//! comes from the first process, who sees the device and not only our container.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::mounts::{self, FsKind, Mount};
use mote_core::proc::sys;
use mote_core::wire::prometheus::Number;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::choice::Choice;
use super::page::{Family, Page, Row};
use super::scratch::{FIELD_END, Record, Scratch, Source, field};

/// In the order of a record's fields behind device, mount point and type.
pub(super) const FAMILIES: &[Family] = &[
    Family::gauge("filesystem_device_error", "Whether it could not be asked."),
    Family::gauge("filesystem_readonly", "Whether it is mounted read-only."),
    Family::gauge("filesystem_size_bytes", "Its size."),
    Family::gauge("filesystem_free_bytes", "What is free, for root."),
    Family::gauge("filesystem_avail_bytes", "What is free, for everybody."),
    Family::gauge("filesystem_files", "Inodes."),
    Family::gauge("filesystem_files_free", "Inodes that are free."),
];
/// Fields before the numbers.
const LABELS: usize = 3;
/// Of the table of mounts, without those that are not shown.
const LINES_BYTES: usize = 24 * 1024;
/// No path that is mounted at is longer, see `PATH_MAX` in `limits.h`.
const PATH_BYTES: usize = 4096;

/// What is read, and what of it is shown.
#[derive(Debug)]
pub(super) struct Filesystems {
    first: Source,
    own: Source,
    choice: Choice,
    rootfs: PathBuf,
    known: Known,
}

/// What the table said.
#[derive(Debug, Default)]
struct Known {
    /// A line each of those that are shown: device, mount point, type, 1 if read-only.
    mounts: Vec<u8>,
    /// Room for the path of the one that is asked.
    path: PathBuf,
    /// Whether all of the table could be read.
    is_whole: bool,
    /// Whether they say of themselves that they are read-only where the table does, so that it
    /// will be seen when one changes.
    is_sure: bool,
}

impl Filesystems {
    /// Reads below `proc_root`, looks at mount points below `rootfs`.
    pub(super) fn new(proc_root: &Path, rootfs: &Path, choice: Choice) -> Self {
        Self {
            first: Source::new(proc_root, "1/mounts"),
            own: Source::new(proc_root, "self/mounts"),
            choice,
            rootfs: rootfs.to_owned(),
            known: Known::default(),
        }
    }

    /// Asks the local ones, and reads the table of mounts before if need be.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        // Asked in any case: a change is told once.
        let is_unchanged = !(self.first.has_changed() && self.own.has_changed());
        if self.known.is_sure && is_unchanged {
            self.known.ask(scratch, &self.rootfs);
            if self.known.is_sure {
                return self.known.is_whole;
            }
            scratch.clear();
        }
        self.read(scratch);
        scratch.clear();
        self.known.ask(scratch, &self.rootfs);
        self.known.is_whole
    }

    /// Reads the table of mounts.
    fn read(&mut self, scratch: &mut Scratch) {
        let choice = &self.choice;
        let mut is_whole = true;
        let mut keep = |line: &mut [u8]| match Mount::parse(line) {
            // Those that may block are remembered for what hides behind them.
            Ok(mount) if FsKind::of(mount.fs_type) == FsKind::Foreign => line.len(),
            Ok(mount) if is_shown(choice, &mount) => line.len(),
            Ok(_) => 0,
            Err(_) => {
                is_whole = false;
                0
            }
        };
        scratch.hold_lines_to(LINES_BYTES);
        let read = scratch.add(&mut self.first, &mut keep);
        // Not everybody may look at the first process.
        let read = read.or_else(|_| scratch.add(&mut self.own, &mut keep));
        self.known.is_whole = is_whole && read.is_ok() && !scratch.is_cut();
        self.known.mounts.clear();
        let text = scratch.text();
        let mut before = 0;
        for line in scratch.records() {
            let begin = before;
            before += line.len() + 1;
            let Ok(mount) = Mount::parse(line) else {
                continue;
            };
            if FsKind::of(mount.fs_type) == FsKind::Foreign || is_again(text, begin, &mount) {
                continue;
            }
            let mut path = mounts::Path::to(mount.point);
            let others = text.split(|byte| *byte == b'\n');
            others
                .filter_map(|other| Mount::parse(other).ok())
                .for_each(|other| path.see(&other));
            if !path.may_block() {
                self.known.add(&mount);
            }
        }
    }
}

impl Known {
    fn add(&mut self, mount: &Mount<'_>) {
        let mut point = heapless::Vec::<u8, PATH_BYTES>::new();
        if point.extend_from_slice(mount.point).is_err() {
            return;
        }
        let is_read_only: &[u8] = if mount.is_read_only() { b"1" } else { b"0" };
        let point = mounts::unescape(&mut point);
        for (part, end) in [
            (mount.device, FIELD_END),
            (point, FIELD_END),
            (mount.fs_type, FIELD_END),
            (is_read_only, b'\n'),
        ] {
            let letters = part.iter().map(|byte| match *byte {
                b'\n' | FIELD_END => b' ',
                other => other,
            });
            self.mounts.extend(letters);
            self.mounts.push(end);
        }
    }

    /// Asks each, and makes a record of what it said.
    fn ask(&mut self, scratch: &mut Scratch, rootfs: &Path) {
        let path = &mut self.path;
        self.is_sure = true;
        let mounts = self.mounts.split(|byte| *byte == b'\n');
        for mount in mounts.filter(|mount| !mount.is_empty()) {
            scratch.push(&mut |record| self.is_sure &= make(record, mount, rootfs, path));
        }
    }
}

/// Whether it is shown at all, if nothing foreign is in the way.
fn is_shown(choice: &Choice, mount: &Mount<'_>) -> bool {
    let mut point = heapless::Vec::<u8, PATH_BYTES>::new();
    if point.extend_from_slice(mount.point).is_err() {
        return false;
    }
    let point = mounts::unescape(&mut point);
    choice.takes(point, || {
        FsKind::of(mount.fs_type) == FsKind::Local && !mounts::is_minor(point)
    })
}

/// Whether an earlier line has the same labels: one number cannot be shown twice.
fn is_again(text: &[u8], before: usize, mount: &Mount<'_>) -> bool {
    let earlier = text[..before].split(|byte| *byte == b'\n');
    earlier
        .filter_map(|line| Mount::parse(line).ok())
        .any(|other| {
            (other.device, other.point, other.fs_type) == (mount.device, mount.point, mount.fs_type)
        })
}

/// Asks one, and makes a record of what it said. Says whether it is read-only if the table says so,
/// and only then.
fn make(record: &mut Record<'_>, mount: &[u8], rootfs: &Path, path: &mut PathBuf) -> bool {
    for at in 0..LABELS {
        record.field(field(mount, at));
    }
    let is_read_only = field(mount, LABELS) == b"1";
    let inside = Path::new(std::ffi::OsStr::from_bytes(field(mount, 1)));
    path.as_mut_os_string().clear();
    path.push(rootfs);
    path.push(inside.strip_prefix("/").unwrap_or(inside));
    let asked = statvfs(path);
    record.number(asked.is_err().into());
    let Ok(said) = asked else {
        return false;
    };
    let unit = said.block_size();
    record.number(is_read_only.into());
    record.number(said.blocks().saturating_mul(unit));
    record.number(said.blocks_free().saturating_mul(unit));
    record.number(said.blocks_available().saturating_mul(unit));
    record.number(said.files());
    record.number(said.files_free());
    is_read_only == said.flags().contains(FsFlags::ST_RDONLY)
}

/// Writes them.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        FAMILIES,
        scratch,
        &|record| {
            let fields = record.split(|byte| *byte == FIELD_END).skip(LABELS);
            let numbers = fields.map(|field| sys::number(field).map(Number::Int));
            Some(Row::new(record, field(record, 0), numbers))
        },
        &|page, family, row, number| {
            let labels = [
                ("device", row.name),
                ("fstype", field(row.record, 2)),
                ("mountpoint", field(row.record, 1)),
            ];
            page.sample(family, &labels, number)
        },
    )
}
