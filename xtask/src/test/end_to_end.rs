//! The end-to-end test programs, several at once.
//!
//! cargo builds them and would run one after the other. Most of what they do is wait, so several
//! run side by side, each with few threads; the output of each is shown when it has ended. All of
//! them run, also after one failed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::{io, thread};

use super::steps::{headline, log_file};
use crate::cross::Cross;
use crate::failure::Failure;
use crate::shell;

/// Begun first, because they take longest.
const LONG: [&str; 6] = ["page", "state", "orchestrator", "link", "face", "delivery"];

/// Programs at once, and threads of each: these tests mostly wait. An emulated agent computes, and
/// would make others miss their ticks.
const AT_ONCE: usize = 4;
const EMULATED_AT_ONCE: usize = 2;
const THREADS: usize = 2;

/// A test program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Program {
    path: PathBuf,
    /// It is a suite of its own, and no unit test of the harness.
    is_suite: bool,
}

/// How a test program ended.
type Ended = (Program, io::Result<(ExitStatus, Vec<u8>)>);

/// Runs the end-to-end tests, or those that match one of the filters, with this binary. Under a
/// runner without the unit tests of the harness: they start no agent.
pub(super) fn run(cross: &Cross, mote: &Path, filters: &[String]) -> Result<(), Failure> {
    let script = match cross.runner() {
        Some(runner) => Some(emulated(runner, mote)?),
        None => None,
    };
    let binary = script.as_deref().unwrap_or(mote);
    let mut programs = built()?;
    programs.retain(|program| program.is_suite || cross.runner().is_none());
    let command = |program: &Program| {
        let mut command = test(program, binary, cross.runner());
        command.args(filters);
        command
    };
    if !filters.is_empty() {
        let mut matching = Vec::new();
        for program in programs {
            let listed = shell::output_of(command(&program).arg("--list"))?;
            if listed.lines().any(|line| line.ends_with(": test")) {
                matching.push(program);
            }
        }
        programs = matching;
    }
    if programs.is_empty() {
        let filters = filters.join(" ");
        return Err(Failure::Usage(format!(
            "no end-to-end test matches: {filters}"
        )));
    }
    programs.sort_by_key(|program| rank(&program.name()));
    let at_once = if cross.runner().is_some() {
        EMULATED_AT_ONCE
    } else {
        AT_ONCE
    };
    let failed = run_all(programs, at_once, |program| {
        let mut command = command(program);
        command.arg(format!("--test-threads={THREADS}"));
        command
    });
    if failed.is_empty() {
        return Ok(());
    }
    let lines = failed.join("\n  ");
    Err(Failure::Failed(format!(
        "to repeat what failed:\n  {lines}"
    )))
}

/// Runs them, in this order, and shows each when it has ended; gives the lines to repeat those that
/// failed.
fn run_all(
    programs: Vec<Program>,
    at_once: usize,
    command: impl Fn(&Program) -> Command + Sync,
) -> Vec<String> {
    let queue = Mutex::new(programs.into_iter());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    // The lock is not held while the program runs.
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(program) = next else {
                        return;
                    };
                    let mut command = command(&program);
                    let typed = shell::spoken(&command);
                    let log = program.path.file_name().unwrap_or_default();
                    let said = outcome(&mut command, &log.to_string_lossy());
                    let ended = (program, said);
                    if let Ok(mut failed) = failed.lock()
                        && !show(&typed, &ended)
                    {
                        failed.push(typed);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_default()
}

/// Runs a command; gives all that it said on both streams, in their order. It is read from a file:
/// a pipe would be waited for as long as anything that the tests left behind holds it.
fn outcome(command: &mut Command, name: &str) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (path, file) = log_file(name)?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()?;
    Ok((status, fs::read(path)?))
}

/// Prints what a program said; whether it was well.
fn show(typed: &str, (program, ended): &Ended) -> bool {
    headline(&format!("-- {}", program.name()));
    println!("$ {typed}");
    match ended {
        Ok((status, text)) => {
            println!("{}", String::from_utf8_lossy(text).trim());
            status.success()
        }
        Err(error) => {
            println!("cannot run it: {error}");
            false
        }
    }
}

/// Where a program stands in the order of their beginning.
fn rank(name: &str) -> usize {
    let known = LONG.iter().position(|long| *long == name);
    known.unwrap_or(LONG.len())
}

impl Program {
    /// Its name without cargo's mark.
    fn name(&self) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.rsplit_once('-').map(|(name, _)| name.to_owned());
        name.unwrap_or_else(|| file.into_owned())
    }
}

/// Builds the test programs.
fn built() -> Result<Vec<Program>, Failure> {
    let mut build = shell::cargo(&["test", "--package", "mote-tests", "--no-run"]);
    let lines = shell::build_messages(&mut build)?;
    let programs: Vec<Program> = lines.iter().filter_map(|line| program(line)).collect();
    if programs.is_empty() {
        let typed = shell::spoken(&build);
        return Err(Failure::Failed(format!("`{typed}` built no test program")));
    }
    Ok(programs)
}

/// The test program in one line of cargo's build messages. The programs that tests start are built
/// too, beside that folder.
fn program(message: &str) -> Option<Program> {
    let path = shell::executable(message)?;
    let is_test = path.parent()?.file_name() == Some(OsStr::new("deps"));
    let is_suite = message.contains(r#""kind":["test"]"#);
    is_test.then_some(Program { path, is_suite })
}

/// The command that runs a test program as cargo would.
fn test(program: &Program, binary: &Path, runner: Option<&str>) -> Command {
    let folder = shell::project_root().join("tests");
    let mut command = Command::new(&program.path);
    command.current_dir(folder).env("MOTE_BIN", binary);
    match runner {
        Some(runner) => command.env("MOTE_RUNNER", runner),
        None => command.env_remove("MOTE_RUNNER"),
    };
    command
}

/// Writes a script beside the binary that starts it under the runner, as whatever name the script
/// itself is started. The tests then need not know how: they link it, trace it and start it from
/// shells like a binary of this machine.
fn emulated(runner: &str, mote: &Path) -> Result<PathBuf, Failure> {
    let script = mote.with_file_name("mote-emulated");
    let binary = shell::quoted(mote.as_os_str());
    let text = format!("#!/bin/sh\nexec {runner} -0 \"$0\" {binary} \"$@\"\n");
    fs::write(&script, text)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", script.display())))?;
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulated_program_gets_its_name_and_its_words() {
        let folder = std::env::temp_dir().join(format!("xtask-emulated-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A runner that shows its own words, for a binary whose path has a space.
        let script = emulated("printf '%s|'", &folder.join("the mote"));
        let output = Command::new(script.unwrap()).arg("a b").arg("").output();
        fs::remove_dir_all(&folder).unwrap();
        let folder = folder.display();
        assert_eq!(
            String::from_utf8(output.unwrap().stdout).unwrap(),
            format!("-0|{folder}/mote-emulated|{folder}/the mote|a b||")
        );
    }

    #[test]
    fn test_programs_are_told_from_those_that_they_start() {
        let message = |kind: &str, path: &str| {
            format!(r#"{{"target":{{"kind":["{kind}"]}},"executable":"{path}"}}"#)
        };
        let suite = program(&message("test", "/t/debug/deps/dns-1a2b")).unwrap();
        assert!(suite.is_suite);
        assert_eq!(suite.name(), "dns");
        let unit = program(&message("lib", "/t/debug/deps/mote_tests-1a2b")).unwrap();
        assert!(!unit.is_suite);
        assert_eq!(program(&message("bin", "/t/debug/hub")), None);
        assert_eq!(program(r#"{"executable":null}"#), None);
    }

    #[test]
    fn long_ones_begin_first() {
        let mut names = ["dns", "state", "tls", "page"];
        names.sort_by_key(|name| rank(name));
        assert_eq!(names, ["page", "state", "dns", "tls"]);
    }

    fn programs(names: &[&str]) -> Vec<Program> {
        let program = |name: &&str| Program {
            path: PathBuf::from(format!("/{name}-1")),
            is_suite: true,
        };
        names.iter().map(program).collect()
    }

    #[test]
    fn each_is_run_and_those_that_fail_are_told_with_the_line_to_repeat_them() {
        let script = |program: &Program| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo said; test $0 != b", &program.name()]);
            command
        };
        let all = programs(&["a", "b", "c", "d", "e", "f"]);
        let failed = run_all(all, 2, script);
        assert_eq!(failed, ["sh -c 'echo said; test $0 != b' b"]);
    }

    #[test]
    fn both_streams_of_a_program_are_read() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 4"]);
        let (status, text) = outcome(&mut command, "both streams").unwrap();
        assert_eq!(status.code(), Some(4));
        assert_eq!(text, b"one\ntwo\n");
    }

    #[test]
    fn the_binary_and_its_runner_reach_the_test_programs() {
        let program = &programs(&["dns"])[0];
        let said = |runner| shell::spoken(&test(program, Path::new("/x/mote"), runner));
        assert_eq!(said(None), "MOTE_BIN=/x/mote /dns-1");
        assert_eq!(
            said(Some("qemu")),
            "MOTE_BIN=/x/mote MOTE_RUNNER=qemu /dns-1"
        );
    }
}
