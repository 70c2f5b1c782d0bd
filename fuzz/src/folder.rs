//! A folder of this process alone, in memory where there is such a place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// Gone with everything in it when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Empty.
    pub(crate) fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() {
            shared.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = parent.join(format!("mote-fuzz-{}", process::id()));
        // What an input before this one left, if it was found to do harm.
        let _ = fs::remove_dir_all(&path);
        if let Err(error) = fs::create_dir(&path) {
            panic!("cannot make {}: {error}", path.display());
        }
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and the folders on its way.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            panic!("cannot write {}: {error}", path.display());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
