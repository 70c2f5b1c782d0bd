//! What became of instructions, kept for an orchestrator that asks again.
//!
//! One file an instruction in `results` of the state folder, named by the SHA-256 of its id: the
//! bytes that were sent, so that a repeat is the same. The newest 64 are kept. The journal holds
//! those on their way; these are for the time after, and for a start that finds a result which did
//! not get into the journal.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mote_core::log_line::Value;
use ring::digest::{SHA256, digest};

use crate::log;

const KEPT: usize = 64;
/// A result and its output fit well.
const FILE_BYTES: u64 = 256 * 1024;

/// The results that are kept; none where there is no folder.
#[derive(Debug)]
pub(super) struct Results(Option<PathBuf>);

impl Results {
    /// Those in `results` of the state folder.
    pub(super) fn open(state: Option<&Path>) -> Self {
        Self(state.map(|state| state.join("results")))
    }

    /// Keeps the result of `id`. A failure is logged: the journal has it too.
    pub(super) fn keep(&self, id: &str, body: &[u8]) {
        let Some(folder) = &self.0 else { return };
        if let Err(error) = write(folder, &name(id), body).and_then(|()| forget_oldest(folder)) {
            let error = format!("{}: {error}", folder.display());
            let fields = [("error", Value::Str(&error))];
            log::warn("Result not kept for a repeat", &fields);
        }
    }

    /// The result of `id`, if it is kept.
    pub(super) fn find(&self, id: &str) -> Option<Vec<u8>> {
        let file = fs::File::open(self.0.as_ref()?.join(name(id))).ok()?;
        let mut body = Vec::new();
        file.take(FILE_BYTES).read_to_end(&mut body).ok()?;
        (!body.is_empty()).then_some(body)
    }
}

/// A file is there whole or not at all.
fn write(folder: &Path, name: &str, body: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(&new, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}

fn forget_oldest(folder: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort_unstable();
    let surplus = files.len().saturating_sub(KEPT);
    files
        .iter()
        .take(surplus)
        .try_for_each(|(_, path)| fs::remove_file(path))
}

fn name(id: &str) -> String {
    let digest = digest(&SHA256, id.as_bytes());
    let mut name = String::with_capacity(32);
    for byte in &digest.as_ref()[..16] {
        for digit in [byte >> 4, byte & 15] {
            name.extend(char::from_digit(digit.into(), 16));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_as_they_were() {
        let state = std::env::temp_dir().join(format!("mote-results-{}", std::process::id()));
        let results = Results::open(Some(&state));
        assert_eq!(results.find("i-0"), None);
        for number in 0..KEPT + 5 {
            results.keep(&format!("i-{number}"), format!("body {number}").as_bytes());
        }
        let newest = format!("i-{}", KEPT + 4);
        let expected = format!("body {}", KEPT + 4);
        assert_eq!(results.find(&newest), Some(expected.into_bytes()));
        let count = fs::read_dir(state.join("results")).unwrap().count();
        fs::remove_dir_all(&state).unwrap();
        assert_eq!(count, KEPT);
        assert_eq!(results.find(&newest), None);
        let nowhere = Results::open(None);
        nowhere.keep("i", b"x");
        assert_eq!(nowhere.find("i"), None);
    }
}
