//! The folder that mote writes to: who may use it, and the number of this start.
//!
//! The folder is made with mode 0700. A link, or a folder of somebody else, is refused: whoever
//! owns it could replace what mote reads back. Only one agent uses a folder; a second is refused
//! by the lock.
//!
//! `data/state/start` holds an identity, drawn when the folder is new, and how often the agent
//! started. Both go into every `Idempotency-Key`, so that no key is ever used for two samples:
//! neither after a restart, nor after the folder was lost. Behind them stands when this start
//! begins to work (`pace.rs`). The file is written once a start, and once more by a good stop that
//! comes right after it. If it cannot be written, the agent goes on with an identity of this start
//! alone.

mod pace;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mote_core::log_line::Value;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::log;
use pace::{Pace, QUICK_MS};

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

/// Hex digits of an identity.
const IDENTITY_DIGITS: usize = 16;

/// This start of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// 64 random bits, drawn when the folder was new.
    pub identity: String,
    /// Counted from 1.
    pub number: u64,
}

impl Start {
    /// A start that no folder remembers.
    pub fn alone() -> Self {
        Self {
            identity: draw_identity(),
            number: 1,
        }
    }
}

/// The folder, held for this process alone.
#[derive(Debug)]
pub struct State {
    /// This start.
    pub start: Start,
    pace: Option<Pace>,
    /// Where the state is; none while it is in memory only.
    folder: Option<PathBuf>,
    /// Released when the process ends.
    _lock: Option<Flock<File>>,
}

impl State {
    /// Takes the folder at `base` and counts this start.
    pub fn open(base: &Path) -> Result<Self, StateError> {
        let folder = base.join("data/state");
        let prepared = check(base).and_then(|()| {
            make(&folder).map_err(|error| Ok(format!("{}: {error}", folder.display())))
        });
        match prepared {
            Ok(()) => {}
            Err(Err(error)) => return Err(error),
            Err(Ok(words)) => return Ok(Self::without(&words)),
        }
        let lock = match lock(&folder) {
            Ok(lock) => Some(lock),
            Err(Errno::EWOULDBLOCK) => return Err(StateError::Locked(base.to_owned())),
            Err(errno) => return Ok(Self::without(&format!("{}: {errno}", folder.display()))),
        };
        let (start, previous) = match read(&folder.join("start")) {
            Some((start, pace)) => {
                let number = start.number + 1;
                (Start { number, ..start }, pace)
            }
            None => (Start::alone(), None),
        };
        // Without its identity, moments of one boot cannot be told from those of another.
        let pace = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .map(|id| Pace::after(previous.as_ref(), id.trim(), clock::boot_ms()));
        match write(&folder, &start, pace.as_ref()) {
            Ok(()) => Ok(Self {
                start,
                pace,
                folder: Some(folder),
                _lock: lock,
            }),
            Err(error) => {
                let words = format!("{}: {error}", folder.display());
                Ok(Self {
                    _lock: lock,
                    ..Self::without(&words)
                })
            }
        }
    }

    /// Goes on in memory.
    fn without(words: &str) -> Self {
        log::warn(
            "State cannot be written, going on from memory",
            &[("error", Value::Str(words))],
        );
        Self {
            start: Start::alone(),
            pace: None,
            folder: None,
            _lock: None,
        }
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
        if let Err(error) = write(folder, &self.start, None) {
            let error = error.to_string();
            log::warn("State not written", &[("error", Value::Str(&error))]);
        }
    }
}

/// Refuses a folder that somebody else could change under us.
///
/// The inner error is one to refuse with, the inner `Ok` one to go on without the folder.
fn check(base: &Path) -> Result<(), Result<String, StateError>> {
    let place = base.display();
    let found = match std::fs::symlink_metadata(base) {
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

fn make(folder: &Path) -> std::io::Result<()> {
    // A parent that has to be made is not ours alone: others look for their folders in it.
    if let Some(parent) = folder.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn lock(folder: &Path) -> Result<Flock<File>, Errno> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(folder.join("lock"))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

/// What the file says; `None` if there is none, or it says nothing that we wrote.
fn read(path: &Path) -> Option<(Start, Option<Pace>)> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(256)
        .read_to_string(&mut text)
        .ok()?;
    let start = parse(&text);
    if start.is_none() {
        log::warn(
            "State file is damaged, beginning anew",
            &[("path", Value::Str(&path.to_string_lossy()))],
        );
    }
    start
}

fn parse(text: &str) -> Option<(Start, Option<Pace>)> {
    let (identity, rest) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_identity = identity.len() == IDENTITY_DIGITS
        && identity
            .bytes()
            .all(|byte| b"0123456789abcdef".contains(&byte));
    let (number, pace) = match rest.split_once(' ') {
        Some((number, pace)) => (number, Some(Pace::parse(pace)?)),
        None => (rest, None),
    };
    let number: u64 = number.parse().ok()?;
    let start = Start {
        identity: identity.to_owned(),
        number,
    };
    (is_identity && number > 0 && number < u64::MAX).then_some((start, pace))
}

/// Replaces the file so that a power cut leaves the old one or the new one, never half of either.
fn write(folder: &Path, start: &Start, pace: Option<&Pace>) -> std::io::Result<()> {
    let (path, next) = (folder.join("start"), folder.join("start.new"));
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&next)?;
    let pace = pace.map(|pace| format!(" {pace}")).unwrap_or_default();
    file.write_all(format!("{} {}{pace}\n", start.identity, start.number).as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&next, &path)?;
    File::open(folder)?.sync_all()
}

fn draw_identity() -> String {
    let mut random = [0; 8];
    // Without a random source there is no TLS either; the number of the process then has to do.
    if SystemRandom::new().fill(&mut random).is_err() {
        random = u64::from(std::process::id()).to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
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
        ] {
            std::fs::write(&path, text).unwrap();
            let start = State::open(&base).unwrap().start;
            assert_eq!(start.number, 1, "{text:?}");
            assert_ne!(start.identity, first.identity, "{text:?}");
        }
        std::fs::remove_dir_all(base).unwrap();
    }
}
