//! Small files of what comes and goes: interfaces, sensors.
//!
//! A file that was opened costs a tenth of one that is to be found first, so some are held open.
//! Their device may go meanwhile, then they say so; or its name may pass to another, which they do
//! not notice: who holds them looks for all of them anew after [`HELD_MS`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mote_core::proc::sys;
use nix::libc;

/// How long files are held.
pub(super) const HELD_MS: u64 = 60_000;
/// sysfs gives a page at most; what is longer than this is no figure and no name.
const BYTES: usize = 512;

/// Hands `folder/part/part` to `ask`. The folder is as before when it is done; no memory is asked
/// for once it has had its longest path.
pub(super) fn below<T>(folder: &mut PathBuf, parts: &[&[u8]], ask: impl FnOnce(&Path) -> T) -> T {
    let before = folder.as_os_str().len();
    for part in parts {
        folder.push(OsStr::from_bytes(part));
    }
    let answer = ask(folder);
    let mut bytes = std::mem::take(folder).into_os_string().into_encoded_bytes();
    bytes.truncate(before);
    *folder = PathBuf::from(OsString::from_vec(bytes));
    answer
}

/// Hands what the file says to `take`, without the blanks around it; `None` if it cannot be read.
pub(super) fn read<T>(
    folder: &mut PathBuf,
    parts: &[&[u8]],
    take: impl FnOnce(Option<&[u8]>) -> T,
) -> T {
    let mut buffer = [0; BYTES];
    let read = below(folder, parts, |path| {
        File::open(path).and_then(|file| file.read_at(&mut buffer, 0))
    });
    take(read.ok().map(|bytes| sys::value(&buffer[..bytes])))
}

/// The same of a file that is held in `held` from then on. It is opened again when its device went.
pub(super) fn read_held<T>(
    held: &mut Option<File>,
    folder: &mut PathBuf,
    parts: &[&[u8]],
    take: impl FnOnce(Option<&[u8]>) -> T,
) -> T {
    let mut buffer = [0; BYTES];
    let mut read = held.as_ref().map(|file| file.read_at(&mut buffer, 0));
    if is_gone(read.as_ref()) {
        *held = below(folder, parts, |path| File::open(path).ok());
        read = held.as_ref().map(|file| file.read_at(&mut buffer, 0));
    }
    let bytes = read.and_then(Result::ok);
    take(bytes.map(|bytes| sys::value(&buffer[..bytes])))
}

/// Whether nothing is held, or the file of a device that went. Other errors are answers: a link
/// that is down has no speed.
fn is_gone(read: Option<&io::Result<usize>>) -> bool {
    match read {
        None => true,
        Some(Ok(_)) => false,
        Some(Err(error)) => error.raw_os_error() == Some(libc::ENODEV),
    }
}
