//! A small file that is replaced as a whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::flash;
use super::store::{flush_folder, with_ending};

/// Replaces the file at `path`, so that a power cut leaves the old one or the new one and never half
/// of either. It is on disk when this returns, dated `modified` if that is given.
pub(super) fn write_whole(
    path: &Path,
    bytes: &[u8],
    modified: Option<SystemTime>,
) -> io::Result<()> {
    let next = with_ending(path, ".new");
    let write = || {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            .open(&next)?;
        flash::write(bytes.len(), || file.write_all(bytes))?;
        modified.map_or(Ok(()), |time| file.set_modified(time))?;
        flash::flush(|| file.sync_all())?;
        fs::rename(&next, path)
    };
    if let Err(error) = write() {
        // What it takes there is somebody's room.
        let _ = fs::remove_file(&next);
        return Err(error);
    }
    flush_folder(path)
}
