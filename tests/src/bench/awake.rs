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
use std::thread;

/// Processors that stay awake until this is dropped.
pub(super) struct Awake {
    idlers: Vec<Child>,
}

impl Awake {
    pub(super) fn keep() -> io::Result<Self> {
        let mut awake = Self { idlers: Vec::new() };
        for _ in 0..thread::available_parallelism()?.get() {
            // `chrt` becomes the shell, so killing the child ends it.
            let idler = Command::new("chrt")
                .args(["--idle", "0", "sh", "-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()?;
            awake.idlers.push(idler);
        }
        Ok(awake)
    }
}

/// Keeps a program and those that it talks to here on processors of their own, until this is
/// dropped: the server stands for another machine. On the same one, where the kernel likes to wake
/// it, the program would be charged with making way for it.
#[derive(Debug)]
pub(super) struct Apart {
    processors: usize,
}

impl Apart {
    /// With one processor there is nothing to keep apart.
    pub(super) fn keep(program: u32) -> io::Result<Self> {
        let processors = thread::available_parallelism()?.get();
        if processors > 1 {
            bind(program, "0")?;
            bind(std::process::id(), &format!("1-{}", processors - 1))?;
        }
        Ok(Self { processors })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Should it fail, others are measured on fewer processors, and nothing is wrong.
        let _ = bind(std::process::id(), &format!("0-{}", self.processors - 1));
    }
}

/// Lets all threads of a process run on these processors only. Threads come and go meanwhile: one
/// that went is none, and a second round finds who was begun by one that was not yet bound.
fn bind(process: u32, processors: &str) -> io::Result<()> {
    for _ in 0..2 {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let task = task?;
            let output = Command::new("taskset")
                .args(["--cpu-list", "--pid", processors])
                .arg(task.file_name())
                .output()?;
            if !output.status.success() && task.path().exists() {
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(io::Error::other(words));
            }
        }
    }
    Ok(())
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
