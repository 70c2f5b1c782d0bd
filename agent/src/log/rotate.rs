//! The names of old log files, `agent.log.1` (the newest) to `agent.log.N`, and their end.
//!
//! A compressed one has `.gz` behind its number. A number that has both names is one that a crash
//! left half done: the plain file is the one that is known to be whole. Only names that this file
//! would give are touched; numbers start at 1 and have no leading zero.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Times before 2020 come from a clock that was not set yet.
const CLOCK_SET_S: u64 = 1_577_836_800;

/// An old log file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Old {
    /// From 1, the newest.
    pub number: u32,
    /// Whether it is compressed.
    pub is_gzip: bool,
}

impl Old {
    fn parse(suffix: &str) -> Option<Self> {
        let digits = suffix.strip_suffix(".gz");
        let (digits, is_gzip) = (digits.unwrap_or(suffix), digits.is_some());
        let number = digits.parse().ok()?;
        let is_ours = number > 0 && digits.bytes().all(|b| b.is_ascii_digit());
        (is_ours && !digits.starts_with('0')).then_some(Self { number, is_gzip })
    }

    /// Where it is, for the log at `log`.
    pub(super) fn path(&self, log: &Path) -> PathBuf {
        with_suffix(
            log,
            &format!(".{}{}", self.number, if self.is_gzip { ".gz" } else { "" }),
        )
    }
}

/// The log's path with something behind it.
pub(super) fn with_suffix(log: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(suffix);
    name.into()
}

/// The old files of the log at `log`, the oldest first. What only has such a name, say a pipe, is
/// none.
pub(super) fn list(log: &Path) -> io::Result<Vec<Old>> {
    let mut found = Vec::new();
    let name = log.file_name().unwrap_or_default().as_encoded_bytes();
    for entry in std::fs::read_dir(folder(log))? {
        let entry = entry?;
        let found_name = entry.file_name();
        let suffix = found_name.as_encoded_bytes().strip_prefix(name);
        let suffix = suffix.and_then(|suffix| suffix.strip_prefix(b"."));
        let suffix = suffix.and_then(|suffix| str::from_utf8(suffix).ok());
        let old = suffix.and_then(Old::parse);
        found.extend(old.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file())));
    }
    found.sort_unstable_by_key(|old| (std::cmp::Reverse(old.number), old.is_gzip));
    Ok(found)
}

/// Where the log is.
pub(super) fn folder(log: &Path) -> &Path {
    match log.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the log file number 1, and each old one up to the first gap one older; at most `backups`
/// stay. Every number below the one returned was moved up.
///
/// If it fails half way, each file still has one number, and the next call goes on from there.
pub(super) fn shift(log: &Path, backups: u32) -> io::Result<u32> {
    let old = list(log)?;
    let is_there = |number: u32| old.iter().any(|old| old.number == number);
    let gap = (1..backups).find(|&n| !is_there(n)).unwrap_or(backups);
    // The oldest first, each onto a number that is free by then.
    for old in old.iter().filter(|old| old.number <= gap) {
        let from = old.path(log);
        if old.number == gap {
            remove(&from)?;
        } else {
            let number = old.number + 1;
            std::fs::rename(&from, Old { number, ..*old }.path(log))?;
        }
    }
    let number = 1;
    let first = Old {
        number,
        is_gzip: false,
    };
    std::fs::rename(log, first.path(log))?;
    Ok(gap)
}

/// Removes old files beyond `backups` and those that nobody wrote to for `max_age_days`; 0 is for
/// ever.
pub(super) fn prune(
    log: &Path,
    backups: u32,
    max_age_days: u32,
    now: SystemTime,
) -> io::Result<()> {
    let max_age = Duration::from_secs(u64::from(max_age_days) * 86_400);
    let clock_set = UNIX_EPOCH + Duration::from_secs(CLOCK_SET_S);
    for old in list(log)? {
        let path = old.path(log);
        let is_too_old = || {
            let written = std::fs::symlink_metadata(&path).and_then(|found| found.modified());
            written.is_ok_and(|written| {
                let age = now.duration_since(written).unwrap_or_default();
                max_age_days > 0 && written >= clock_set && age > max_age
            })
        };
        if old.number > backups || is_too_old() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{Folder, names};
    use std::fs;

    fn put(folder: &Folder, name: &str) {
        fs::write(folder.0.join(name), name).unwrap();
    }

    #[test]
    fn files_move_up_to_the_first_gap_and_the_oldest_goes() {
        let folder = Folder::new("shift");
        let log = folder.0.join("a.log");
        for name in [
            "a.log",
            "a.log.1",
            "a.log.2.gz",
            "a.log.4.gz",
            "a.log.x",
            "a.log.01",
        ] {
            put(&folder, name);
        }
        assert_eq!(shift(&log, 5).unwrap(), 3);
        let stay = [
            "a.log.01",
            "a.log.1",
            "a.log.2",
            "a.log.3.gz",
            "a.log.4.gz",
            "a.log.x",
        ];
        assert_eq!(names(&folder), stay);
        put(&folder, "a.log");
        assert_eq!(shift(&log, 4).unwrap(), 4);
        assert_eq!(
            fs::read_to_string(folder.0.join("a.log.3")).unwrap(),
            "a.log.1"
        );
        let oldest = fs::read_to_string(folder.0.join("a.log.4.gz")).unwrap();
        assert_eq!(oldest, "a.log.2.gz");
        put(&folder, "a.log");
        assert_eq!(shift(&log, 1).unwrap(), 1);
        assert_eq!(
            fs::read_to_string(folder.0.join("a.log.1")).unwrap(),
            "a.log"
        );
    }

    #[test]
    fn without_the_log_nothing_is_called_number_one() {
        let folder = Folder::new("shift-none");
        put(&folder, "a.log.1");
        assert!(shift(&folder.0.join("a.log"), 5).is_err());
        assert_eq!(names(&folder), ["a.log.2"]);
    }

    #[test]
    fn what_only_has_such_a_name_is_no_old_file() {
        let folder = Folder::new("list-others");
        for name in ["a.log.2", "a.log.5.gz"] {
            put(&folder, name);
        }
        let pipe = folder.0.join("a.log.1");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::create_dir(folder.0.join("a.log.3")).unwrap();
        std::os::unix::fs::symlink("a.log.2", folder.0.join("a.log.4")).unwrap();
        let found = list(&folder.0.join("a.log")).unwrap();
        assert_eq!(
            found.iter().map(|old| old.number).collect::<Vec<_>>(),
            [5, 2]
        );
    }

    #[test]
    fn too_many_and_too_old_go_and_an_unset_clock_says_nothing() {
        let folder = Folder::new("prune");
        let log = folder.0.join("a.log");
        let now = SystemTime::now();
        let day = Duration::from_hours(24);
        let aged = [
            ("a.log", 90),
            ("a.log.1", 2),
            ("a.log.2.gz", 4),
            ("a.log.3", 1),
        ];
        for (name, days) in aged {
            put(&folder, name);
            let file = fs::File::options()
                .write(true)
                .open(folder.0.join(name))
                .unwrap();
            file.set_modified(now - day * days).unwrap();
        }
        put(&folder, "a.log.4");
        put(&folder, "a.log.7.gz");
        let unset = fs::File::options()
            .write(true)
            .open(folder.0.join("a.log.4"))
            .unwrap();
        unset.set_modified(UNIX_EPOCH + day).unwrap();
        prune(&log, 9, 0, now).unwrap();
        assert_eq!(names(&folder).len(), 6);
        prune(&log, 6, 3, now).unwrap();
        assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.3", "a.log.4"]);
    }
}
