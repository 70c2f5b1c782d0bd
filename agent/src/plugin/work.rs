//! The folder that one run may fill, below `{base_dir}/tmp`, and its removal.
//!
//! It is made new, with mode 0700, under a name that no other run has. Removal never takes long:
//! a folder is given another name first, and [`Leftovers::turn`] takes away some entries at a time.
//! Folders in it are moved up beside it rather than walked down into, so that no depth that a
//! plugin can build makes a path too long. What an earlier agent left behind goes the same way.
//!
//! What is in such a folder is the plugin's, and it may be somebody else's who is at work there while
//! the agent, as root, removes it: no link is followed, whenever it came to be there.

use std::fs::{DirBuilder, File, FileType, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// What the names of folders in use begin with.
pub(super) const RUN: &str = "run-";
/// Name of what is to go.
const GONE: &str = "gone-";
/// Entries that are removed at a time.
const ENTRIES: usize = 64;
/// From one time to the next.
const EVERY_MS: u64 = 50;
/// How long it is left alone after a failure.
const AGAIN_MS: u64 = 60_000;

/// Makes such folders and removes them.
#[derive(Debug)]
pub struct Leftovers {
    parent: PathBuf,
    /// Tells this agent's folders from those of one before it.
    stamp: u64,
    count: u64,
    /// When the next piece is removed; `u64::MAX` when there is none.
    next_ms: u64,
}

impl Leftovers {
    /// For folders in `parent`; whatever is there is to go. `stamp` differs from start to start.
    pub fn new(parent: PathBuf, stamp: u64) -> Self {
        let mut leftovers = Self {
            parent,
            stamp,
            count: 0,
            next_ms: u64::MAX,
        };
        let Ok(entries) = std::fs::read_dir(&leftovers.parent) else {
            return leftovers;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(RUN) {
                leftovers.discard(&entry.path());
            } else {
                leftovers.next_ms = 0;
            }
        }
        leftovers
    }

    /// Makes a new folder.
    pub fn make(&mut self) -> io::Result<PathBuf> {
        self.count += 1;
        let path = self
            .parent
            .join(format!("{RUN}{:x}-{}", self.stamp, self.count));
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&self.parent)?;
                make(&path)?;
            }
            result => result?,
        }
        Ok(path)
    }

    /// Nobody needs this folder any more.
    pub fn discard(&mut self, path: &Path) {
        // What stays under its name is found at the next start.
        if self.set_aside(path).is_ok() {
            self.next_ms = 0;
        }
    }

    fn set_aside(&mut self, path: &Path) -> io::Result<()> {
        self.count += 1;
        let name = format!("{GONE}{:x}-{}", self.stamp, self.count);
        std::fs::rename(path, self.parent.join(name))
    }

    /// Removes a few entries; returns when the next are due.
    pub fn turn(&mut self, now_ms: u64) -> u64 {
        if now_ms >= self.next_ms {
            self.next_ms = match self.remove_some() {
                Ok(true) => u64::MAX,
                Ok(false) => now_ms + EVERY_MS,
                Err(_) => now_ms + AGAIN_MS,
            };
        }
        self.next_ms
    }

    /// Whether nothing is left.
    fn remove_some(&mut self) -> io::Result<bool> {
        let mut left = ENTRIES;
        let before = self.count;
        for folder in std::fs::read_dir(&self.parent)? {
            let folder = folder?;
            if !folder.file_name().to_string_lossy().starts_with(GONE) {
                continue;
            }
            let path = folder.path();
            if !folder.file_type()?.is_dir() {
                std::fs::remove_file(&path)?;
                continue;
            }
            for entry in std::fs::read_dir(&path)? {
                if left == 0 {
                    return Ok(false);
                }
                left -= 1;
                let entry = entry?;
                self.remove(&entry.path(), entry.file_type()?)?;
            }
            std::fs::remove_dir(&path)?;
        }
        // What was set aside meanwhile may not have been among the entries.
        Ok(self.count == before)
    }

    fn remove(&mut self, path: &Path, kind: FileType) -> io::Result<()> {
        if !kind.is_dir() {
            return std::fs::remove_file(path);
        }
        if std::fs::remove_dir(path).is_ok() {
            return Ok(());
        }
        // A folder without permissions can be neither moved nor read by its owner.
        open_up(&folder(path)?)?;
        self.set_aside(path)
    }
}

/// The folder at `path`, and not what a link there leads to.
fn folder(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

/// Lets its owner into it. A folder that cannot be read is opened as a place only, which fchmod(2)
/// refuses: its name in /proc is that of this very folder.
fn open_up(folder: &File) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
    std::fs::set_permissions(path, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_is_followed_on_the_way() {
        let parent = std::env::temp_dir().join(format!("mote-work-link-{}", std::process::id()));
        let outside = parent.join("outside");
        let mut leftovers = Leftovers::new(parent.clone(), 7);
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("kept"), "").unwrap();
        std::fs::set_permissions(&outside, Permissions::from_mode(0o755)).unwrap();
        // Where a folder was a moment ago.
        let run = leftovers.make().unwrap();
        std::os::unix::fs::symlink(&outside, run.join("link")).unwrap();
        let a_folder = std::fs::symlink_metadata(&run).unwrap().file_type();
        assert!(leftovers.remove(&run.join("link"), a_folder).is_err());
        let mode = std::fs::metadata(&outside).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        // Beside them.
        std::os::unix::fs::symlink(&outside, parent.join("gone-link")).unwrap();
        leftovers.discard(&run);
        let mut now_ms = 0;
        while now_ms < u64::MAX {
            now_ms = leftovers.turn(now_ms);
        }
        assert!(outside.join("kept").exists());
        assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 1);
        std::fs::remove_dir_all(parent).unwrap();
    }

    #[test]
    fn a_deep_tree_goes_piece_by_piece_and_nothing_outside_it() {
        let parent = std::env::temp_dir().join(format!("mote-work-{}", std::process::id()));
        let mut leftovers = Leftovers::new(parent.clone(), 7);
        let outside = parent.join("keep");
        let run = leftovers.make().unwrap();
        let mode = std::fs::metadata(&run).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::write(&outside, "").unwrap();
        std::os::unix::fs::symlink(&outside, run.join("link")).unwrap();
        let mut deep = run.clone();
        for _ in 0..300 {
            deep = deep.join("deep");
            std::fs::create_dir(&deep).unwrap();
        }
        for number in 0..200 {
            std::fs::write(run.join(number.to_string()), "").unwrap();
        }
        let locked = Permissions::from_mode(0o0);
        std::fs::set_permissions(run.join("deep/deep"), locked).unwrap();
        leftovers.discard(&run);
        let mut turns = 0;
        let mut now_ms = 0;
        while now_ms < u64::MAX {
            now_ms = leftovers.turn(now_ms);
            turns += 1;
            assert!(turns < 10_000, "it never ends");
        }
        assert!(turns > 4, "{turns}");
        assert!(outside.exists());
        assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 1);
        // A start after a crash.
        let run = leftovers.make().unwrap();
        let mut after = Leftovers::new(parent.clone(), 8);
        assert!(!run.exists());
        while after.turn(now_ms - 1_000) < u64::MAX {}
        assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 1);
        std::fs::remove_dir_all(parent).unwrap();
    }
}
