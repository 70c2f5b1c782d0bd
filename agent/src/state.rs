//! What mote keeps on disk, in `{base}/data/state`.
//!
//! | file | what | written when |
//! | --- | --- | --- |
//! | `lock` | nothing: only one agent uses a folder | never |
//! | `start` | which start this is (`start.rs`) | once a start |
//! | `time` | when the clock was last known to be right (`good_time.rs`) | once a day, and at a clean stop |
//! | `backlog` | held samples (`backlog.rs`) | in a long outage, and at a clean stop |
//! | `journal` | events and results on their way (`journal.rs`) | as they come |
//! | `ledger` | what was executed (`ledger.rs`) | before and after each |
//! | `results` | what became of instructions (`results.rs`) | one file after each |
//!
//! Files of records are `store.rs`, files that are replaced as a whole `whole.rs`; the folder itself
//! is `folder.rs`. Whatever the disk does, the agent goes on from memory and says so; only the ledger
//! then stops what it guards. Writes come from the loop, between two requests: they can take as long
//! as the card does.

pub mod backlog;
pub mod flash;
pub mod folder;
mod good_time;
pub mod journal;
pub mod ledger;
mod pace;
pub mod results;
mod start;
mod store;
mod whole;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use mote_core::log_line::Value;
use nix::errno::Errno;
use nix::fcntl::Flock;

use crate::clock;
use crate::device::Device;
use crate::log;
use backlog::Backlog;
use good_time::GoodTime;
use journal::Journal;
use ledger::Ledger;
use pace::{Pace, QUICK_MS};
use results::Results;
pub use start::Start;
use store::say_unwritable;
use whole::write_whole;

/// Why the folder cannot be used, in words that say what to do.
#[derive(Debug)]
pub enum StateError {
    /// Another agent uses it.
    Locked(PathBuf),
    /// It is a link, or somebody else's.
    Untrusted(Box<str>),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked(path) => write!(
                f,
                "another agent uses {}: stop it, or give this one a folder of its own with --base-dir",
                path.display()
            ),
            Self::Untrusted(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for StateError {}

/// What is said once when the disk takes nothing.
const UNWRITABLE: &str = "State cannot be written, going on from memory";

/// One boot of the kernel: the 128 bits of `/proc/sys/kernel/random/boot_id`, random(4). All zero if
/// the kernel does not tell.
pub type BootId = [u8; 16];

/// The moment, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`, milliseconds.
    pub boot_ms: u64,
    /// Unix milliseconds, unless the clock tells a time that is known to be over.
    pub wall_ms: Option<u64>,
}

impl Now {
    /// Reads the clocks.
    pub fn read() -> Self {
        Self {
            boot_ms: clock::boot_ms(),
            wall_ms: clock::is_set().then(clock::wall_ms),
        }
    }
}

/// The folder, held for this process alone.
#[derive(Debug)]
pub struct State {
    /// This start.
    pub start: Start,
    /// This boot.
    pub boot_id: BootId,
    pace: Option<Pace>,
    good_time: GoodTime,
    /// Where the state is; none while it is in memory only.
    folder: Option<PathBuf>,
    /// Released when the process ends.
    _lock: Option<Flock<File>>,
}

impl State {
    /// Takes the folder at `base` and counts this start.
    pub fn open(base: &Path) -> Result<Self, StateError> {
        let home = base.join("data/state");
        let prepared = folder::check(base).and_then(|()| {
            folder::make(&home).map_err(|error| Ok(format!("{}: {error}", home.display())))?;
            folder::check(&base.join("data"))?;
            folder::check(&home)
        });
        match prepared {
            Ok(()) => {}
            Err(Err(error)) => return Err(error),
            Err(Ok(words)) => return Ok(Self::without(&words)),
        }
        let lock = match folder::lock(&home) {
            Ok(lock) => Some(lock),
            Err(Errno::EWOULDBLOCK) => return Err(StateError::Locked(base.to_owned())),
            Err(errno) => return Ok(Self::without(&format!("{}: {errno}", home.display()))),
        };
        let (start, previous) = match start::read(&home.join("start")) {
            Some((start, pace)) => {
                let number = start.number + 1;
                (Start { number, ..start }, pace)
            }
            None => (Start::alone(), None),
        };
        // Without its identity, moments of one boot cannot be told from those of another.
        let pace =
            boot_id_text().map(|id| Pace::after(previous.as_ref(), id.trim(), clock::boot_ms()));
        let (start, pace) = match start::write(&home, &start, pace.as_ref()) {
            Ok(()) => (start, pace),
            Err(error) => {
                say_unwritable(&home.join("start"), &error);
                // The next start would get this one's number too. What is there can still be read,
                // and the disk may take what comes later.
                (Start::alone(), None)
            }
        };
        Ok(Self {
            start,
            boot_id: boot_id(),
            pace,
            good_time: GoodTime::open(&home),
            folder: Some(home),
            _lock: lock,
        })
    }

    /// Goes on in memory.
    fn without(words: &str) -> Self {
        flash::trouble(true);
        log::warn(UNWRITABLE, &[("error", Value::Str(words))]);
        Self {
            start: Start::alone(),
            boot_id: boot_id(),
            pace: None,
            good_time: GoodTime::default(),
            folder: None,
            _lock: None,
        }
    }

    /// Puts the saved samples of this folder into the device's outbox. To be done once, and before
    /// its first sample.
    pub fn backlog(&self, device: &mut Device) -> Backlog {
        Backlog::restore(self.folder.as_deref(), self.boot_id, device)
    }

    /// The journal of this folder. To be opened once.
    pub fn journal(&self, now: Now) -> Journal {
        Journal::open(self.folder.as_deref(), now)
    }

    /// The ledger of this folder. To be opened once.
    pub fn ledger(&self, now: Now) -> Ledger {
        Ledger::open(self.folder.as_deref(), self.boot_id, now)
    }

    /// The results that this folder keeps.
    pub fn results(&self) -> Results {
        Results::open(self.folder.as_deref())
    }

    /// When the clock was last known to be right, Unix milliseconds; 0 if that was never kept.
    pub fn last_good_ms(&self) -> u64 {
        self.good_time.last_ms()
    }

    /// The clock is known to be right: it is synchronized, and a TLS server was verified at what it
    /// says. Written at most once a day.
    pub fn note_good_time(&mut self, wall_ms: u64) {
        self.good_time.note(wall_ms);
    }

    /// Writes `wall_ms` down as a time that was right, or the last one that was noted.
    pub fn save_good_time(&mut self, wall_ms: u64) {
        self.good_time.save(wall_ms);
    }

    /// When work may begin, if starts before this one ended too quickly.
    pub fn begin_ms(&self) -> Option<u64> {
        let pace = self.pace.as_ref().filter(|pace| pace.failures > 0)?;
        let wait_ms = pace.begin_ms.saturating_sub(clock::boot_ms());
        log::warn(
            "Started again right after an end that was not asked for, waiting",
            &[
                ("ends", Value::Uint(pace.failures.into())),
                ("wait_ms", Value::Uint(wait_ms)),
            ],
        );
        Some(pace.begin_ms)
    }

    /// The agent stopped because it was asked to: the next start is not to wait.
    pub fn stopped_well(&self) {
        let (Some(folder), Some(pace)) = (&self.folder, &self.pace) else {
            return;
        };
        if clock::boot_ms() >= pace.begin_ms + QUICK_MS {
            return;
        }
        if let Err(error) = start::write(folder, &self.start, None) {
            let error = error.to_string();
            log::warn("State not written", &[("error", Value::Str(&error))]);
        }
    }
}

fn boot_id_text() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}

fn boot_id() -> BootId {
    let text = boot_id_text().unwrap_or_default();
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.as_chunks().0) {
        let [high, low] = pair;
        *byte = high << 4 | low;
    }
    id
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mote-state-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn starts_are_counted_and_the_identity_stays() {
        let base = folder("count");
        let first = State::open(&base).unwrap().start;
        let second = State::open(&base).unwrap().start;
        assert_eq!(first.number, 1);
        assert_eq!(second, Start { number: 2, ..first });
        assert_eq!(std::fs::metadata(&base).unwrap().mode() & 0o777, 0o700);
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_start_right_after_another_waits_unless_that_one_stopped_well() {
        let base = folder("pace");
        let first = State::open(&base).unwrap();
        assert_eq!(first.begin_ms(), None);
        drop(first);
        let second = State::open(&base).unwrap();
        let wait_ms = second.begin_ms().unwrap().saturating_sub(clock::boot_ms());
        assert!((1..=1_000).contains(&wait_ms), "{wait_ms}");
        second.stopped_well();
        drop(second);
        let third = State::open(&base).unwrap();
        assert_eq!((third.begin_ms(), third.start.number), (None, 3));
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_second_agent_on_one_folder_is_refused() {
        let base = folder("lock");
        let _first = State::open(&base).unwrap();
        assert!(matches!(State::open(&base), Err(StateError::Locked(_))));
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_link_is_refused() {
        let (base, target) = (folder("link"), folder("target"));
        std::fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &base).unwrap();
        let error = State::open(&base).unwrap_err().to_string();
        assert!(error.contains("is a link"), "{error}");
        std::fs::remove_file(base).unwrap();
        std::fs::remove_dir(target).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let base = folder("pipe");
        drop(State::open(&base).unwrap());
        let path = base.join("data/state/start");
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(State::open(&base).unwrap().start.number, 1);
        // A file took its place.
        assert_eq!(State::open(&base).unwrap().start.number, 2);
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_damaged_file_begins_anew_under_another_identity() {
        let base = folder("damaged");
        let first = State::open(&base).unwrap().start;
        let path = base.join("data/state/start");
        for text in [
            "",
            "x",
            "0123456 1\n",
            "0123456789abcdef 0\n",
            "0123456789abcdef 9",
            "0123456789abcdef 9 boot\n",
            "0123456789abcdef 9 boot 1 2 3\n",
            "\u{fffd}",
            "\u{ff}",
        ] {
            std::fs::write(&path, text).unwrap();
            let start = State::open(&base).unwrap().start;
            assert_eq!(start.number, 1, "{text:?}");
            assert_ne!(start.identity, first.identity, "{text:?}");
        }
        std::fs::remove_dir_all(base).unwrap();
    }
}
