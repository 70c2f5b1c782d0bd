//! The folder that mote writes to: who may use it.
//!
//! It is made with mode 0700. A link, or a folder of somebody else, is refused: whoever owns it
//! could replace what mote reads back. One that others can write to is warned of. Only one agent
//! uses a folder; a second is refused by the lock, which ends with the process.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use mote_core::log_line::Value;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::poll::poll;
use nix::unistd::Uid;

use super::StateError;
use super::store::flush_folder;
use crate::log;

/// Refuses a folder that somebody else could change under us.
///
/// The inner error is one to refuse with, the inner `Ok` one to go on without the folder.
pub(super) fn check(base: &Path) -> Result<(), Result<String, StateError>> {
    let place = base.display();
    // With a slash or a dot at its end, the name of a link is that of the folder behind it.
    let found = match std::fs::symlink_metadata(base.components().as_path()) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return make(base).map_err(|error| Ok(format!("{place}: {error}")));
        }
        Err(error) => return Err(Ok(format!("{place}: {error}"))),
    };
    let refuse = |words: String| Err(Err(StateError::Untrusted(words.into())));
    if found.is_symlink() {
        return refuse(format!(
            "{place} is a link: give the folder itself with --base-dir"
        ));
    }
    if !found.is_dir() {
        return refuse(format!(
            "{place} is no folder: give another with --base-dir"
        ));
    }
    if found.uid() != 0 && found.uid() != Uid::effective().as_raw() {
        return refuse(format!(
            "{place} belongs to user {}: it must belong to root or to the user of the agent",
            found.uid()
        ));
    }
    if found.mode() & 0o022 != 0 {
        log::warn(
            "Others can write to the state folder: chmod 700 it",
            &[("path", Value::Str(&place.to_string()))],
        );
    }
    Ok(())
}

/// Makes `folder`, and what is missing on the way to it, unless it is there.
pub fn make(folder: &Path) -> std::io::Result<()> {
    // A parent that has to be made is not ours alone: others look for their folders in it.
    let parents = folder.ancestors().skip(1);
    let missing: Vec<&Path> = parents.take_while(|parent| !is_there(parent)).collect();
    for parent in missing.into_iter().rev() {
        make_one(parent, 0o755)?;
    }
    make_one(folder, 0o700)
}

/// The folder of a name without any is the one that we are in.
fn is_there(folder: &Path) -> bool {
    folder == Path::new("") || folder.exists()
}

/// Makes a folder whose name survives a power cut.
fn make_one(folder: &Path, mode: u32) -> std::io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            // A parent that may be written but not read cannot be flushed; what is written into the
            // folder says itself if the disk fails.
            let _ = flush_folder(folder);
            Ok(())
        }
    }
}

/// How often the lock is tried, and how long each time it is waited for.
const LOCK_TRIES: u32 = 25;
const LOCK_WAIT_MS: u16 = 20;

/// Takes the lock, or says why not: `EWOULDBLOCK` if another agent has it.
///
/// It is tried for half a second: a plugin that was just being started when its agent was killed
/// holds a copy of the lock until it dies too.
pub(super) fn lock(folder: &Path) -> Result<Flock<File>, Errno> {
    let path = folder.join("lock");
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK)
        .open(&path);
    let mut file = opened
        .or_else(|error| {
            // Of a folder that takes nothing any more, what is there can still be read and sent.
            let mut to_read = OpenOptions::new();
            to_read.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
            to_read.open(&path).map_err(|_| error)
        })
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    for _ in 1..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((kept, Errno::EWOULDBLOCK)) => file = kept,
            taken => return taken.map_err(|(_, errno)| errno),
        }
        // Nothing runs yet that could be late. A signal only makes the next try come sooner.
        let _ = poll(&mut [], LOCK_WAIT_MS);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}
