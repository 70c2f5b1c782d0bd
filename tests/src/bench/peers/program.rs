//! A program that is measured: found, started, watched, and killed when dropped.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::super::Failure;
use crate::wait::poll_until;

/// Where daemons are, also for users whose `PATH` does not say so.
const ALSO: &str = "/usr/sbin";

/// The program of one of these names.
pub(in crate::bench) fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain([ALSO.into()]).collect();
    let mut files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file())
}

/// A running program.
#[derive(Debug)]
pub(in crate::bench) struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    /// Starts it in its folder. What it says is kept there, in case it ends.
    pub(in crate::bench) fn start(mut command: Command, folder: TempDir) -> Result<Self, Failure> {
        let words = File::create(words(folder.path()))?;
        command.stdin(Stdio::null()).current_dir(folder.path());
        command.stdout(words.try_clone()?).stderr(words);
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            format!("cannot start {program}: {error}")
        })?;
        Ok(Self { child, folder })
    }

    pub(in crate::bench) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets time pass. An error if it ended meanwhile.
    pub(in crate::bench) fn let_run(&mut self, time: Duration) -> Result<(), Failure> {
        // What is waited for is its end, which is not to come.
        let ended = || self.check().err();
        match poll_until("the end of a program that is to run", time, ended) {
            Ok(failure) => Err(failure),
            Err(_) => Ok(()),
        }
    }

    /// An error if it ended.
    pub(in crate::bench) fn check(&mut self) -> Result<(), Failure> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = fs::read_to_string(words(self.folder.path())).unwrap_or_default();
        let last = said.lines().next_back().unwrap_or("nothing");
        Err(format!("it ended with {status}; it said last: {last}").into())
    }
}

fn words(folder: &Path) -> PathBuf {
    folder.join("words")
}

impl Drop for Program {
    fn drop(&mut self) {
        // Either may fail only because it has just ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_program_comes_with_its_last_words() {
        let mut command = Command::new(find(&["no-such-shell", "sh"]).unwrap());
        command.args(["-c", "echo first; echo last >&2; read forever; exit 3"]);
        let mut program = Program::start(command, TempDir::new().unwrap()).unwrap();
        program.child.wait().unwrap();
        let error = program.check().unwrap_err().to_string();
        assert_eq!(error, "it ended with exit status: 3; it said last: last");
    }

    #[test]
    fn what_is_not_installed_is_not_found() {
        assert_eq!(find(&["no-such-program"]), None);
    }
}
