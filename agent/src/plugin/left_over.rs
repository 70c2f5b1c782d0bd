//! What is left of a plugin whose agent is gone, found by its group or its work folder and killed.
//!
//! A leader dies with its agent (`PR_SET_PDEATHSIG`), its descendants may not. They keep their
//! group, or at least their session, and a number in use as one of these is given to no new
//! process (setpgid(2)), so whoever is in it belonged to the leader, unless the leader's number was
//! free meanwhile and is somebody else's now.
//!
//! Of a plugin that stays, no number is on disk. Its work folder still lies there, and whoever it
//! started has that in its environment (proc(5), environ) unless it was told to have another one.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::tree::{Stat, everything};

/// Kills the processes of `group`, if its leader started at `start_ticks` or is gone; returns how
/// many there were.
pub(super) fn kill(group: i32, start_ticks: u64) -> u64 {
    // 0 and 1 mean others than one group to kill(2).
    if group <= 1 {
        return 0;
    }
    let all = everything();
    let is_another = |stat: &Stat| stat.pid == group && stat.start_ticks != start_ticks;
    if all.iter().any(is_another) {
        return 0;
    }
    let belongs = |stat: &&Stat| {
        let is_in = stat.group == group || stat.session == group;
        is_in && stat.start_ticks >= start_ticks && !stat.is_zombie
    };
    let mut killed = 0;
    for stat in all.iter().filter(belongs) {
        kill_one(stat.pid);
        killed += 1;
    }
    killed
}

/// An environment that is longer is read to here: a plugin's is a few hundred bytes.
const ENVIRONMENT_BYTES: u64 = 64 * 1024;

/// Kills the processes that have a folder in `parent` as their own whose name begins with `name`;
/// returns how many there were.
///
/// In another root the same path is another folder: of a container's agent nobody is killed.
pub(super) fn kill_by_folder(parent: &Path, name: &str) -> u64 {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let runs = entries.filter(|entry| entry.file_name().as_bytes().starts_with(name.as_bytes()));
    let runs: Vec<PathBuf> = runs.map(|entry| entry.path()).collect();
    if runs.is_empty() {
        return 0;
    }
    let mut killed = 0;
    for stat in everything() {
        let mut environment = Vec::new();
        let file = File::open(format!("/proc/{}/environ", stat.pid));
        let _ = file.and_then(|file| file.take(ENVIRONMENT_BYTES).read_to_end(&mut environment));
        let mut words = environment.split(|byte| *byte == 0);
        let home = words.find_map(|word| word.strip_prefix(b"HOME="));
        let is_it = |run: &&PathBuf| Some(run.as_os_str().as_bytes()) == home;
        let Some(run) = runs.iter().find(is_it) else {
            continue;
        };
        let from_there = format!("/proc/{}/root{}", stat.pid, run.display());
        let is_same = matches!(
            (identity(run), identity(Path::new(&from_there))),
            (Some(here), Some(there)) if here == there
        );
        // The number may be another's by now.
        let start_ticks = Stat::of(stat.pid).map(|now| now.start_ticks);
        if is_same && start_ticks == Some(stat.start_ticks) {
            kill_one(stat.pid);
            killed += 1;
        }
    }
    killed
}

/// What tells a folder from every other.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let found = std::fs::symlink_metadata(folder).ok()?;
    found.is_dir().then(|| (found.dev(), found.ino()))
}

/// Kills a process whose number cannot be another's yet.
pub(super) fn kill_one(pid: i32) {
    // Who is gone was to go.
    let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
}
