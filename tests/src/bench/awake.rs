//! Keeps the processors from going to sleep, and who is measured apart from who helps to measure, so
//! that CPU time is that of the work.
//!
//! A processor that slept is slow to start with: its caches are cold, and in a virtual machine the
//! host has to hand it back first. All that is charged to who woke it, and it is many times what a
//! short piece of work costs. One process a core at the idle priority, which yields to everything
//! at once, keeps them awake; it is a shell that counts to itself and touches next to no memory.

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Processors that stay awake until this is dropped.
pub(super) struct Awake {
    idlers: Vec<Child>,
}

impl Awake {
    /// Each idler is bound to its processor: it would have to stay with this program otherwise,
    /// which may be kept [`Apart`], and two could share one.
    pub(super) fn keep(processors: &[usize]) -> io::Result<Self> {
        let mut awake = Self { idlers: Vec::new() };
        for &processor in processors {
            // `chrt` becomes the shell, so killing the child ends it.
            let idler = Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()?;
            let process = Pid::from_raw(idler.id().cast_signed());
            awake.idlers.push(idler);
            sched_setaffinity(process, &set_of(&[processor])?)?;
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for idler in &mut self.idlers {
            // It may have ended by itself; then there is only its status to take.
            let _ = idler.kill();
            let _ = idler.wait();
        }
    }
}

/// Keeps a program and those that it talks to here on processors of their own, until this is
/// dropped: the server stands for another machine. On the same one, where the kernel likes to wake
/// it, the program would be charged with making way for it.
#[derive(Debug)]
pub(super) struct Apart {
    processors: Vec<usize>,
}

impl Apart {
    /// With one processor there is nothing to keep apart.
    pub(super) fn keep(program: u32) -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let processors: Vec<usize> = (0..CpuSet::count())
            .filter(|&number| allowed.is_set(number).unwrap_or(false))
            .collect();
        if let [first, others @ ..] = &processors[..]
            && !others.is_empty()
        {
            bind(program, &[*first])?;
            bind(std::process::id(), others)?;
        }
        Ok(Self { processors })
    }

    /// All that there are for both: the first is the program's.
    pub(super) fn processors(&self) -> &[usize] {
        &self.processors
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Should it fail, others are measured on fewer processors, and nothing is wrong.
        let _ = bind(std::process::id(), &self.processors);
    }
}

/// Lets all threads of a process run on these processors only. Threads come and go meanwhile: one
/// that went is none, and a second round finds who was begun by one that was not yet bound.
fn bind(process: u32, processors: &[usize]) -> io::Result<()> {
    let set = set_of(processors)?;
    for _ in 0..2 {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = task?.file_name();
            let task = name.to_str().and_then(|name| name.parse().ok());
            let task =
                task.ok_or_else(|| io::Error::other(format!("{} is no thread", name.display())))?;
            match sched_setaffinity(Pid::from_raw(task), &set) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn set_of(processors: &[usize]) -> io::Result<CpuSet> {
    let mut set = CpuSet::new();
    for &processor in processors {
        set.set(processor)?;
    }
    Ok(set)
}
