//! One plugin process and the group it leads: how it starts, how it is made to end.
//!
//! Moments are `CLOCK_BOOTTIME` milliseconds. All pipes are non-blocking. The ladder: SIGTERM to
//! the whole group, [`GRACE_MS`] later SIGKILL, and the ends of its pipes are closed then, so that
//! whoever still holds the other ends holds nothing.
//!
//! Never waits for the process: `reaper.rs` hears that it ended. Starting it waits for fork and
//! exec, as any parent does.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::reaper::{self, End};
use super::sandbox::{self, Walls};
use super::tree::{Stat, Usage};

/// From SIGTERM to SIGKILL.
pub(super) const GRACE_MS: u64 = 5_000;
/// From SIGKILL until the process counts as gone: the kernel itself holds it.
const GONE_MS: u64 = 2_000;
/// Where programs are looked for, and what plugins get as their PATH.
pub(super) const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A plugin rather than the agent is ended by a kernel that runs out of memory (proc(5)).
const OOM_SCORE: &str = "500";
/// For node. It has no WebAssembly then, and would say so each time if it were not told.
const WITHOUT_COMPILER: [&str; 2] = ["--jitless", "--no-expose-wasm"];

/// What is to be started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// The program by its absolute path, and its arguments.
    pub command: &'a [OsString],
    /// Where it runs.
    pub folder: &'a Path,
    /// The folder that it may fill, and that is removed afterwards.
    pub work: &'a Path,
    /// The whole environment besides what every plugin gets.
    pub environment: &'a [(String, String)],
    /// Its standard input; a pipe if it is none.
    pub input: Option<File>,
}

/// How far the ladder was climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ladder {
    Ground,
    /// Told to end; killed at that moment.
    Told(u64),
    /// Killed; gone at that moment, whatever the kernel says.
    Killed(u64),
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Process {
    /// Its number, that of its group and that of its session.
    pub group: i32,
    /// When it started, in ticks since boot; 0 if /proc does not tell.
    pub start_ticks: u64,
    /// Where it reads.
    pub input: Option<OwnedFd>,
    /// What it writes.
    pub output: Option<OwnedFd>,
    /// What it says.
    pub errors: Option<OwnedFd>,
    /// How it ended, once it did.
    pub end: Option<End>,
    /// What it and its descendants used when last looked at.
    pub usage: Usage,
    ladder: Ladder,
    child: Child,
}

impl Process {
    /// Starts it.
    pub(super) fn start(launch: Launch<'_>, walls: &Walls) -> io::Result<Self> {
        let Some((program, arguments)) = launch.command.split_first() else {
            return Err(io::Error::other("nothing to start"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(launch.folder)
            .env_clear()
            .env("PATH", PROGRAMS)
            .env("LANG", "C.UTF-8")
            .env("HOME", launch.work)
            .env("TMPDIR", launch.work)
            // Python writes to a pipe in blocks, and beside its sources.
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(launch.input.map_or_else(Stdio::piped, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // So that its local times are the agent's.
        if let Some(zone) = std::env::var_os("TZ") {
            command.env("TZ", zone);
        }
        command.envs(launch.environment.iter().map(|(name, text)| (name, text)));
        walls.surround(&mut command);
        let mut child = command.spawn()?;
        let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
        sandbox::step_back(group);
        sandbox::hold_back(group);
        // Where it cannot be set the process is none the worse.
        let _ = std::fs::write(format!("/proc/{group}/oom_score_adj"), OOM_SCORE);
        let process = Self {
            group,
            start_ticks: Stat::of(group).map_or(0, |stat| stat.start_ticks),
            input: child.stdin.take().map(OwnedFd::from),
            output: child.stdout.take().map(OwnedFd::from),
            errors: child.stderr.take().map(OwnedFd::from),
            end: None,
            usage: Usage::default(),
            ladder: Ladder::Ground,
            child,
        };
        for pipe in [&process.input, &process.output, &process.errors] {
            if let Some(pipe) = pipe
                && let Err(errno) = make_nonblocking(pipe)
            {
                process.signal(Signal::SIGKILL);
                return Err(errno.into());
            }
        }
        Ok(process)
    }

    /// Begins to end it, if that has not begun.
    pub(super) fn end(&mut self, now_ms: u64) {
        if self.ladder == Ladder::Ground && self.end.is_none() {
            self.signal(Signal::SIGTERM);
            self.ladder = Ladder::Told(now_ms.saturating_add(GRACE_MS));
        }
    }

    /// Ends it without asking.
    pub(super) fn kill(&mut self, now_ms: u64) {
        if matches!(self.ladder, Ladder::Killed(_)) || self.end.is_some() {
            return;
        }
        self.signal(Signal::SIGKILL);
        (self.input, self.output, self.errors) = (None, None, None);
        self.ladder = Ladder::Killed(now_ms.saturating_add(GONE_MS));
    }

    /// Whether it was told to end, or killed.
    pub(super) fn is_ending(&self) -> bool {
        self.ladder != Ladder::Ground
    }

    /// Whether nothing more is to be heard of it.
    pub(super) fn is_gone(&self, now_ms: u64) -> bool {
        match self.ladder {
            Ladder::Killed(gone_ms) => self.end.is_some() || now_ms >= gone_ms,
            _ => self.end.is_some(),
        }
    }

    /// Climbs the ladder; returns when the next rung is due.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        if let Ladder::Told(kill_ms) = self.ladder
            && now_ms >= kill_ms
        {
            self.kill(now_ms);
        }
        match self.ladder {
            _ if self.end.is_some() => u64::MAX,
            Ladder::Ground => u64::MAX,
            Ladder::Told(at_ms) | Ladder::Killed(at_ms) => at_ms,
        }
    }

    /// Whether it ended just now. The rest of its group is killed before it is reaped: until then
    /// nobody else can have its number.
    pub(super) fn hear_end(&mut self) -> bool {
        if self.end.is_some() || !reaper::has_ended(self.group) {
            return false;
        }
        self.signal(Signal::SIGKILL);
        let (end, cpu_ms) = reaper::reap(&mut self.child);
        self.end = Some(end);
        // What was over before it was looked at counts too.
        self.usage.cpu_ms = self.usage.cpu_ms.max(cpu_ms);
        true
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone was to go anyway.
        let _ = killpg(Pid::from_raw(self.group), signal);
    }
}

fn make_nonblocking(pipe: &OwnedFd) -> Result<(), Errno> {
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

/// The program and first arguments that run `entry`, a file below `folder`.
///
/// That is `interpreter`; without one its ending decides: `.py` python3, `.js` and `.mjs` node,
/// `.sh` sh, else itself. Node does without its compiler where that would be its end. A link that
/// leads out of the folder is refused.
pub(super) fn command(
    folder: &Path,
    entry: &str,
    interpreter: Option<&'static str>,
) -> Result<Vec<OsString>, String> {
    let file = inside(folder, entry)?;
    let by_ending = match file.extension().and_then(|ending| ending.to_str()) {
        Some("py") => Some("python3"),
        Some("js" | "mjs") => Some("node"),
        Some("sh") => Some("sh"),
        _ => None,
    };
    let Some(interpreter) = interpreter.or(by_ending) else {
        return Ok(vec![file.into()]);
    };
    let mut places = PROGRAMS
        .split(':')
        .map(|place| Path::new(place).join(interpreter));
    let program = places.find(|place| place.is_file()).ok_or_else(|| {
        format!("{entry} needs {interpreter}, which is not on this device: install it")
    })?;
    let mut words = vec![program.into()];
    if interpreter == "node" && sandbox::forbids_compiling() {
        words.extend(WITHOUT_COMPILER.map(Into::into));
    }
    words.push(file.into());
    Ok(words)
}

/// The file that `entry` names, if it is in `folder`.
fn inside(folder: &Path, entry: &str) -> Result<PathBuf, String> {
    if entry.is_empty() || entry.contains('\0') {
        return Err("the entry point is empty: name a file of the plugin's folder".to_owned());
    }
    let missing = |error: io::Error| format!("entry point {entry}: {error}");
    let folder = folder.canonicalize().map_err(missing)?;
    let file = folder.join(entry).canonicalize().map_err(missing)?;
    if !file.starts_with(&folder) {
        return Err(format!(
            "entry point {entry} leads out of the plugin's folder"
        ));
    }
    if !file.is_file() {
        return Err(format!("entry point {entry} is no file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_point_stays_in_its_folder() {
        let folder = std::env::temp_dir().join(format!("mote-entry-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::fs::write(folder.join("bin/run.sh"), "").unwrap();
        std::fs::write(folder.join("run"), "").unwrap();
        std::os::unix::fs::symlink("/bin/sh", folder.join("out")).unwrap();
        std::os::unix::fs::symlink("run", folder.join("in")).unwrap();
        let words = |entry: &str| command(&folder, entry, None).unwrap_err();
        for entry in ["../x", "/bin/sh", "out", "", "missing", "bin", "a\0b"] {
            words(entry);
        }
        assert!(words("out").contains("leads out"));
        let file = |name: &str| folder.join(name).canonicalize().unwrap().into_os_string();
        assert_eq!(command(&folder, "in", None).unwrap(), [file("run")]);
        let shell = command(&folder, "bin/run.sh", None).unwrap();
        assert_eq!(shell[1], file("bin/run.sh"));
        assert!(shell[0].to_str().unwrap().ends_with("/sh"), "{shell:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
