//! File systems: how large, how full, of every local one.
//!
//! Nothing that may block is touched: a file system that a server, a user's process or an
//! automounter answers for is not asked, nor one that hides below or under such. What is mounted
//! comes from the first process, who sees the device and not only our container.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::mounts::{self, FsKind, Mount};
use mote_core::proc::sys;
use mote_core::wire::prometheus::Number;
use nix::sys::statvfs::statvfs;

use super::choice::Choice;
use super::page::{Family, Page};
use super::scratch::{Record, Scratch, Source, field};

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
/// Of the table of mounts, without those that are not shown. The rest of the buffer is for what
/// they said.
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
}

impl Filesystems {
    /// Reads below `proc_root`, looks at mount points below `rootfs`.
    pub(super) fn new(proc_root: &Path, rootfs: &Path, choice: Choice) -> Self {
        Self {
            first: Source::new(proc_root, "1/mounts"),
            own: Source::new(proc_root, "self/mounts"),
            choice,
            rootfs: rootfs.to_owned(),
        }
    }

    /// Reads the table of mounts and asks the local ones.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
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
        let rootfs = &self.rootfs;
        let mut previous_ask = PathBuf::new();
        scratch.make_records(&mut |record, line| {
            let text = record.text();
            let Ok(mount) = Mount::parse(&text[line.clone()]) else {
                return;
            };
            if FsKind::of(mount.fs_type) == FsKind::Foreign || is_again(text, line.start, &mount) {
                return;
            }
            let mut path = mounts::Path::to(mount.point);
            let others = text.split(|byte| *byte == b'\n');
            others
                .filter_map(|other| Mount::parse(other).ok())
                .for_each(|other| path.see(&other));
            if !path.may_block() {
                make(record, line.start, rootfs, &mut previous_ask);
            }
        });
        is_whole && read.is_ok()
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

/// Asks one, and makes a record of what it said.
fn make(record: &mut Record<'_>, line: usize, rootfs: &Path, path: &mut PathBuf) {
    let text = record.text();
    let Ok(mount) = Mount::parse(&text[line..]) else {
        return;
    };
    // Where the parts stand in the text, for they are copied from there.
    let place = |part: &[u8]| {
        let begin = part.as_ptr() as usize - text.as_ptr() as usize;
        begin..begin + part.len()
    };
    let is_read_only = mount.is_read_only();
    let (device, point, fs_type) = (
        place(mount.device),
        place(mount.point),
        place(mount.fs_type),
    );
    record.field_of(device, |text| text);
    record.field_of(point, mounts::unescape);
    record.field_of(fs_type, |text| text);
    let inside = Path::new(std::ffi::OsStr::from_bytes(record.get(1)));
    path.as_mut_os_string().clear();
    path.push(rootfs);
    path.push(inside.strip_prefix("/").unwrap_or(inside));
    let asked = statvfs(path).map_err(io::Error::from);
    record.number(asked.is_err().into());
    let Ok(said) = asked else {
        return;
    };
    let unit = said.block_size();
    record.number(is_read_only.into());
    record.number(said.blocks().saturating_mul(unit));
    record.number(said.blocks_free().saturating_mul(unit));
    record.number(said.blocks_available().saturating_mul(unit));
    record.number(said.files());
    record.number(said.files_free());
}

/// Writes them.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        FAMILIES,
        || scratch.records(),
        &|at, record| {
            let number = sys::number(field(record, LABELS + at))?;
            Some(Number::Int(number))
        },
        &|page, family, record, number| {
            let labels = [
                ("device", field(record, 0)),
                ("fstype", field(record, 2)),
                ("mountpoint", field(record, 1)),
            ];
            page.sample(family, &labels, number)
        },
    )
}
