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
use std::path::Path;

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

/// Kills the processes that have a folder in `parent` as their own; returns how many there were.
/// `name` is what such folders' names begin with.
pub(super) fn kill_by_folder(parent: &Path, name: &str) -> u64 {
    let home = [
        b"HOME=",
        parent.as_os_str().as_bytes(),
        b"/",
        name.as_bytes(),
    ]
    .concat();
    let mut killed = 0;
    for stat in everything() {
        let mut environment = Vec::new();
        let file = File::open(format!("/proc/{}/environ", stat.pid));
        let read = file.and_then(|file| file.take(ENVIRONMENT_BYTES).read_to_end(&mut environment));
        let mut words = environment.split(|byte| *byte == 0);
        // The number may be another's by now.
        if read.is_ok()
            && words.any(|word| word.starts_with(&home))
            && Stat::of(stat.pid).is_some_and(|now| now.start_ticks == stat.start_ticks)
        {
            kill_one(stat.pid);
            killed += 1;
        }
    }
    killed
}

/// Kills a process whose number cannot be another's yet.
pub(super) fn kill_one(pid: i32) {
    // Who is gone was to go.
    let _ = signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
}
