//! One step after the other, some beside them, and how long each took.
//!
//! What runs beside is a command of this program itself, at the lowest priority, so that it takes
//! the time that others leave: while tests wait, and while a linker has one core. Its output goes
//! into a file and is shown when it is waited for, so that what people read is one step after the
//! other. If this program fails or is told to stop, what runs beside is killed with all its
//! children.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::shell;

/// What a shell says of a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// The process groups of what runs beside.
type Groups = Arc<Mutex<Vec<Pid>>>;

/// What was done, and how long it took.
pub(super) struct Steps {
    done: Vec<(String, Duration, bool)>,
    groups: Groups,
    began: Instant,
}

/// A step that runs beside the others. Dropping it kills it.
pub(super) struct Beside {
    name: String,
    typed: String,
    log: PathBuf,
    group: Pid,
    groups: Groups,
    /// How it ended, and after what time.
    ended: Receiver<(io::Result<ExitStatus>, Duration)>,
}

impl Steps {
    /// From here on a request to stop first ends what runs beside.
    pub(super) fn begin() -> Result<Self, Failure> {
        let steps = Self::new();
        let groups = Arc::clone(&steps.groups);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
            .map_err(|error| Failure::Failed(format!("cannot catch signals: {error}")))?;
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                kill_all(&groups);
                process::exit(INTERRUPTED);
            }
        });
        Ok(steps)
    }

    fn new() -> Self {
        Self {
            done: Vec::new(),
            groups: Groups::default(),
            began: Instant::now(),
        }
    }

    pub(super) fn take<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        headline(&format!("== {name}"));
        let start = Instant::now();
        let outcome = work();
        self.note(name, start.elapsed(), outcome)
    }

    pub(super) fn cargo(&mut self, name: &str, args: &[&str]) -> Result<(), Failure> {
        self.take(name, || shell::run(&mut shell::cargo(args)))
    }

    /// Starts a command of this program, with its arguments, beside what follows.
    pub(super) fn beside(&self, name: &str, args: &[&str]) -> Result<Beside, Failure> {
        // Not by its name: the unit tests may have built another in its place.
        let this = format!("/proc/{}/exe", process::id());
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(this).args(args);
        let mut beside = Beside::start(name, &mut command, &self.groups)?;
        beside.typed = format!("cargo xtask {}", args.join(" "));
        Ok(beside)
    }

    /// Waits for what runs beside, and shows what it said.
    pub(super) fn join(&mut self, beside: Beside) -> Result<(), Failure> {
        headline(&format!("== {}, beside the others", beside.name));
        let name = beside.name.clone();
        let (took, outcome) = beside.wait();
        self.note(&name, took, outcome)
    }

    fn note<T>(
        &mut self,
        name: &str,
        took: Duration,
        outcome: Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.done.push((name.to_owned(), took, outcome.is_ok()));
        let how = if outcome.is_ok() { "done" } else { "failed" };
        let seconds = took.as_secs_f64();
        headline(&format!("== {name}: {how} after {seconds:.1} s"));
        outcome.map_err(|failure| failure.at(&format!("step `{name}`")))
    }

    pub(super) fn print_table(&self) {
        println!("\n{:<28} {:>8}", "step", "seconds");
        for line in self.table(self.began.elapsed()) {
            println!("{line}");
        }
    }

    /// The sum would count twice what ran beside.
    fn table(&self, whole: Duration) -> Vec<String> {
        let line = |name: &str, took: Duration| format!("{name:<28} {:>8.1}", took.as_secs_f64());
        let each = self.done.iter().map(|(name, took, is_ok)| {
            let mark = if *is_ok { "" } else { "  failed" };
            format!("{}{mark}", line(name, *took))
        });
        each.chain([line("from begin to end", whole)]).collect()
    }
}

impl Beside {
    fn start(name: &str, command: &mut Command, groups: &Groups) -> Result<Self, Failure> {
        let typed = shell::spoken(command);
        let cannot = |error: io::Error| Failure::Failed(format!("cannot run `{typed}`: {error}"));
        let (log, file) = log_file(name).map_err(cannot)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(cannot)?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let group = Pid::from_raw(child.id().cast_signed());
        lock(groups).push(group);
        let start = Instant::now();
        let (sender, ended) = mpsc::channel();
        let of_thread = Arc::clone(groups);
        thread::spawn(move || {
            let status = child.wait();
            lock(&of_thread).retain(|other| *other != group);
            // Nobody waits for one that was dropped.
            let _ = sender.send((status, start.elapsed()));
        });
        let groups = Arc::clone(groups);
        Ok(Self {
            name: name.to_owned(),
            typed,
            log,
            group,
            groups,
            ended,
        })
    }

    /// Waits for its end and prints what it said; gives how long it took, and whether it was well.
    fn wait(self) -> (Duration, Result<(), Failure>) {
        let ended = self.ended.recv();
        let said = fs::read(&self.log).unwrap_or_default();
        // Whoever closed standard output does not want to know.
        let _ = io::stdout().write_all(&said);
        let (status, took) = match ended {
            Ok((Ok(status), took)) => (status, took),
            Ok((Err(error), took)) => {
                let words = format!("cannot wait for `{}`: {error}", self.typed);
                return (took, Err(Failure::Failed(words)));
            }
            // The thread always sends.
            Err(error) => return (Duration::ZERO, Err(Failure::Failed(error.to_string()))),
        };
        let outcome = if status.success() {
            Ok(())
        } else {
            Err(shell::ended_badly(&self.typed, status))
        };
        (took, outcome)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if lock(&self.groups).contains(&self.group) {
            // It may fail only because the group ended a moment ago.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }
}

fn kill_all(groups: &Groups) {
    for group in lock(groups).iter() {
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

fn lock(groups: &Groups) -> MutexGuard<'_, Vec<Pid>> {
    groups.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty file for what something of this name says; gives its path too.
pub(super) fn log_file(name: &str) -> io::Result<(PathBuf, File)> {
    let folder = shell::target_dir().join("test");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.log", name.replace(' ', "-")));
    let file = File::create(&path)?;
    Ok((path, file))
}

pub(super) fn headline(text: &str) {
    if io::stdout().is_terminal() {
        println!("\x1b[1m{text}\x1b[0m");
    } else {
        println!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_marked_and_the_others_count() {
        let mut steps = Steps::new();
        assert_eq!(steps.take("one", || Ok(5)), Ok(5));
        let failed = steps.take("two", || Err::<(), _>(Failure::Failed("broken".to_owned())));
        assert_eq!(
            failed,
            Err(Failure::Failed("step `two`: broken".to_owned()))
        );
        let table = steps.table(Duration::from_millis(12_340));
        assert!(
            table[0].starts_with("one ") && !table[0].contains("failed"),
            "{table:?}"
        );
        assert!(
            table[1].starts_with("two ") && table[1].ends_with("failed"),
            "{table:?}"
        );
        assert!(table[2].ends_with("    12.3"), "{table:?}");
    }

    fn shell_beside(name: &str, script: &str, groups: &Groups) -> Beside {
        let mut command = Command::new("sh");
        Beside::start(name, command.args(["-c", script]), groups).unwrap()
    }

    #[test]
    fn what_ran_beside_and_failed_fails_its_step() {
        let mut steps = Steps::new();
        let good = shell_beside("good beside", "exit 0", &steps.groups);
        let bad = shell_beside("bad beside", "exit 3", &steps.groups);
        assert_eq!(steps.join(good), Ok(()));
        let Err(Failure::Failed(words)) = steps.join(bad) else {
            panic!("it failed")
        };
        assert!(
            words.starts_with("step `bad beside`: ended with "),
            "{words}"
        );
        assert!(words.contains("to repeat it: sh -c 'exit 3'"), "{words}");
    }

    #[test]
    fn what_runs_beside_is_killed_with_its_children_when_it_is_dropped() {
        let groups = Groups::default();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        let handed = format!(
            "exec 9>/proc/{}/fd/{}; sleep 1000 & echo up >&9; wait",
            process::id(),
            std::os::fd::AsRawFd::as_raw_fd(&writer)
        );
        let beside =
            Beside::start("dropped beside", command.args(["-c", &handed]), &groups).unwrap();
        let mut up = [0; 3];
        io::Read::read_exact(&mut reader, &mut up).unwrap();
        drop(writer);
        drop(beside);
        // The pipe has its end only once the grandchild has let go of it, too.
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut reader, &mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}
