//! What became of instructions, kept for an orchestrator that asks again.
//!
//! One file an instruction in `results` of the state folder, named by the SHA-256 of its id: the
//! bytes that were sent, so that a repeat is the same. The newest 64 are kept, by the order in
//! which they came, whatever the clock said. The journal holds those on their way; these are for the
//! time after, and for a start that finds a result which did not get into the journal.
//!
//! Where nothing can be written a result is not kept, which is said once: it is reported all the
//! same.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};

use super::store::{self, say_unwritable, say_written_again};
use super::{folder, write_whole};

const KEPT: usize = 64;
/// A result and its output fit well.
const FILE_BYTES: u64 = 256 * 1024;
/// From one file's time to the next, at least: file systems tell apart what is so far apart.
const STEP: Duration = Duration::from_millis(10);

/// The results that are kept; none where there is no folder.
#[derive(Debug)]
pub struct Results {
    folder: Option<PathBuf>,
    /// A failure was logged and nothing succeeded since.
    in_trouble: bool,
}

impl Results {
    /// Those in `results` of the state folder.
    pub(super) fn open(state: Option<&Path>) -> Self {
        Self {
            folder: state.map(|state| state.join("results")),
            in_trouble: false,
        }
    }

    /// Keeps the result of `id`, on disk when this returns. A failure is logged: the journal has it
    /// too.
    pub fn keep(&mut self, id: &str, body: &[u8]) {
        let Some(folder) = &self.folder else { return };
        let kept = keep(folder, &folder.join(name(id)), body);
        let was_in_trouble = std::mem::replace(&mut self.in_trouble, kept.is_err());
        match kept {
            Ok(()) if was_in_trouble => say_written_again(folder),
            Err(error) if !was_in_trouble => say_unwritable(folder, &error),
            _ => {}
        }
    }

    /// The result of `id`, if it is kept.
    pub fn find(&self, id: &str) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(name(id));
        let (file, _) = store::open(&path).ok()??;
        let mut body = Vec::new();
        file.take(FILE_BYTES + 1).read_to_end(&mut body).ok()?;
        // What is longer was not written here, and a piece of it would be no result.
        let is_whole = !body.is_empty() && body.len() as u64 <= FILE_BYTES;
        is_whole.then_some(body)
    }
}

/// Writes the file at `path`, and lets the oldest of the others go.
fn keep(folder: &Path, path: &Path, body: &[u8]) -> io::Result<()> {
    folder::make(folder)?;
    let mut others = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path() != path {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort_unstable();
    // A clock that was not set, or was set back, makes nothing older than what was there before.
    let after = others.last().map(|(newest, _)| *newest + STEP);
    let now = SystemTime::now();
    write_whole(path, body, Some(after.map_or(now, |after| after.max(now))))?;
    let surplus = (others.len() + 1).saturating_sub(KEPT);
    others
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

    fn state(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mote-results-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    fn count(state: &Path) -> usize {
        fs::read_dir(state.join("results")).unwrap().count()
    }

    #[test]
    fn the_newest_are_kept_as_they_were() {
        let state = state("newest");
        let mut results = Results::open(Some(&state));
        assert_eq!(results.find("i-0"), None);
        for number in 0..KEPT + 5 {
            results.keep(&format!("i-{number}"), format!("body {number}").as_bytes());
        }
        let newest = format!("i-{}", KEPT + 4);
        let expected = format!("body {}", KEPT + 4);
        assert_eq!(results.find(&newest), Some(expected.into_bytes()));
        assert_eq!(results.find("i-4"), None);
        assert!(results.find("i-5").is_some());
        assert_eq!(count(&state), KEPT);
        fs::remove_dir_all(&state).unwrap();
        assert_eq!(results.find(&newest), None);
        let mut nowhere = Results::open(None);
        nowhere.keep("i", b"x");
        assert_eq!(nowhere.find("i"), None);
    }

    #[test]
    fn the_newest_are_kept_also_after_the_clock_went_back() {
        let state = state("clock");
        let mut results = Results::open(Some(&state));
        let later = SystemTime::now() + Duration::from_hours(24 * 365);
        for number in 0..KEPT {
            results.keep(&format!("before-{number}"), b"x");
        }
        for entry in fs::read_dir(state.join("results")).unwrap() {
            let file = fs::File::open(entry.unwrap().path()).unwrap();
            file.set_modified(later).unwrap();
        }
        for number in 0..10 {
            results.keep(&format!("after-{number}"), b"y");
        }
        for number in 0..10 {
            assert!(
                results.find(&format!("after-{number}")).is_some(),
                "{number}"
            );
        }
        assert_eq!(count(&state), KEPT);
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn a_folder_that_takes_nothing_is_survived_and_tried_again() {
        let state = state("trouble");
        let mut results = Results::open(Some(&state));
        fs::write(state.join("results"), "").unwrap();
        results.keep("i", b"x");
        assert!(results.in_trouble && results.find("i").is_none());
        fs::remove_file(state.join("results")).unwrap();
        results.keep("i", b"x");
        assert!(!results.in_trouble && results.find("i").is_some());
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn what_is_no_result_is_not_sent_as_one() {
        let state = state("foreign");
        let mut results = Results::open(Some(&state));
        results.keep("i", b"x");
        let path = state.join("results").join(name("i"));
        fs::write(&path, vec![b' '; FILE_BYTES as usize + 1]).unwrap();
        assert_eq!(results.find("i"), None);
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(results.find("i"), None);
        fs::remove_dir_all(&state).unwrap();
    }
}
