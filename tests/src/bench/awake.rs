//! Keeps the processors from going to sleep, so that CPU time is that of the work.
//!
//! A processor that slept is slow to start with: its caches are cold, and in a virtual machine the
//! host has to hand it back first. All that is charged to who woke it, and it is many times what a
//! short piece of work costs. One process a core at the idle priority, which yields to everything
//! at once, keeps them awake; it is a shell that counts to itself and touches next to no memory.

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

impl Drop for Awake {
    fn drop(&mut self) {
        for idler in &mut self.idlers {
            // It may have ended by itself; then there is only its status to take.
            let _ = idler.kill();
            let _ = idler.wait();
        }
    }
}
