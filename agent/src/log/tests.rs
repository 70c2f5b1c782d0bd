//! What the tests of the log's parts share, and the size limit.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::size_limit;

/// A folder that goes with the test.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mote-log-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The files in a folder, in order.
pub(super) fn names(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(&folder.0).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What the system's own gzip makes of a file.
pub(super) fn gunzip(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn a_log_never_has_more_than_a_tenth_of_its_file_system() {
    const MB: u64 = 1_000_000;
    assert_eq!(size_limit(100 * MB, Some(1_000 * MB)), 100 * MB);
    assert_eq!(size_limit(100 * MB, Some(999 * MB)), MB);
    assert_eq!(size_limit(100 * MB, Some(8 * MB)), 8 * MB / 10);
    assert_eq!(size_limit(MB, Some(11 * MB)), MB);
    assert_eq!(size_limit(100 * MB, None), 100 * MB);
}
