//! Small files that are opened, read and closed again: what they hang from comes and goes.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mote_core::proc::sys;

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
