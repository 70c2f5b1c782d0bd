//! Running other programs so that a person can follow and repeat it.
//!
//! Each command is printed to standard error before it runs, dimmed on a terminal, in a form that
//! a shell takes. Sizes are bytes; a megabyte is 10^6 of them.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn project_root() -> PathBuf {
    // At run time first: a binary in a shared target folder may have been built in another checkout.
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask
        .parent()
        .map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// Where logs and other by-products go; cargo itself says where it put a binary.
pub(crate) fn target_dir() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    project_root().join(named)
}

/// A cargo command that sees the environment of a cargo typed by hand.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` describes this package to us. Build scripts of dependencies watch these
    // variables, and would run again at every change between `cargo` and `cargo xtask`.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.args(args);
    command
}

/// One of the programs of `tests/` that do the work of a command, built for speed.
pub(crate) fn test_program(name: &str) -> Command {
    let mut command = cargo(&["run", "--profile", "tools", "--package", "mote-tests"]);
    command.args(["--bin", name, "--"]);
    command
}

/// The same, built as the tests are: those that were run before have built it.
pub(crate) fn patient_test_program(name: &str) -> Command {
    let mut command = cargo(&["run", "--package", "mote-tests"]);
    command.args(["--bin", name, "--"]);
    command
}

/// The arguments that go on to another program: a first `--` only keeps those behind it from this
/// one.
pub(crate) fn behind_dashes(args: &[String]) -> &[String] {
    args.strip_prefix(&["--".to_owned()]).unwrap_or(args)
}

/// The command as a line for a shell, with the variables that were set for it.
pub(crate) fn spoken(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}={}", name.to_string_lossy(), quoted(value)));
        }
    }
    if program.file_name() == Some(OsStr::new("cargo")) {
        words.push("cargo".to_owned());
    } else {
        words.push(quoted(program.as_os_str()));
    }
    words.extend(command.get_args().map(quoted));
    words.join(" ")
}

/// The word as a shell takes it.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Prints a command that is about to run.
pub(crate) fn announce(command: &Command) {
    let line = spoken(command);
    if io::stderr().is_terminal() {
        eprintln!("\x1b[2m$ {line}\x1b[0m");
    } else {
        eprintln!("$ {line}");
    }
}

/// Runs a command whose output is for the person at the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let typed = spoken(command);
    run_as(command, &typed)
}

/// The same for a command that is repeated by typing something else.
pub(crate) fn run_as(command: &mut Command, typed: &str) -> Result<(), Failure> {
    announce(command);
    let status = command
        .status()
        .map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(ended_badly(typed, status))
    }
}

/// Runs a command and returns what it wrote to standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| cannot_start(command, &error))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(ended_badly(&spoken(command), output.status))
    }
}

/// Runs a `cargo build` of one binary and returns the path that cargo gave it.
pub(crate) fn build_binary(command: &mut Command) -> Result<PathBuf, Failure> {
    let typed = spoken(command);
    let messages = build_messages(command)?;
    let binary = messages.iter().rev().find_map(|line| executable(line));
    binary.ok_or_else(|| Failure::Failed(format!("`{typed}` built no binary")))
}

/// Runs a command of cargo that builds, and returns what it says to programs, line by line.
pub(crate) fn build_messages(command: &mut Command) -> Result<Vec<String>, Failure> {
    announce(command);
    let typed = spoken(command);
    command
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| cannot_start(command, &error))?;
    let mut messages = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        messages.extend(BufReader::new(stdout).lines().map_while(Result::ok));
    }
    let status = child
        .wait()
        .map_err(|error| cannot_start(command, &error))?;
    if !status.success() {
        return Err(ended_badly(&typed, status));
    }
    Ok(messages)
}

/// The path in one line of cargo's build messages, if the line is about a binary.
pub(crate) fn executable(message: &str) -> Option<PathBuf> {
    let (_, rest) = message.split_once(r#""executable":""#)?;
    let mut path = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(PathBuf::from(path)),
            '\\' => path.push(chars.next()?),
            other => path.push(other),
        }
    }
}

/// The full path of a program. Administrators' folders are looked into too: they are on no
/// ordinary user's `PATH`, but hold programs that anybody may start.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// `1234567` as `1.23 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    let hundredths = bytes.saturating_add(5_000) / 10_000;
    format!("{}.{:02} MB", hundredths / 100, hundredths % 100)
}

fn cannot_start(command: &Command, error: &io::Error) -> Failure {
    Failure::Failed(format!("cannot run `{}`: {error}", spoken(command)))
}

/// Why a command that ended so is a failure.
pub(crate) fn ended_badly(typed: &str, status: ExitStatus) -> Failure {
    Failure::Failed(format!("ended with {status}; to repeat it: {typed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spoken_command_can_be_typed() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command
            .args(["test", "it's", "", "-p=a"])
            .env("MOTE_BIN", "/a b")
            .env_remove("CC");
        assert_eq!(
            spoken(&command),
            r"MOTE_BIN='/a b' cargo test 'it'\''s' '' -p=a"
        );
    }

    #[test]
    fn the_binary_is_found_in_cargos_messages() {
        let found =
            executable(r#"{"reason":"compiler-artifact","executable":"/a \"b\"/mote","x":1}"#);
        assert_eq!(found, Some(PathBuf::from("/a \"b\"/mote")));
        assert_eq!(executable(r#"{"executable":null}"#), None);
        assert_eq!(executable(r#"{"executable":"/cut"#), None);
    }

    #[test]
    fn megabytes_are_rounded_to_hundredths() {
        assert_eq!(megabytes(0), "0.00 MB");
        assert_eq!(megabytes(1_234_999), "1.23 MB");
        assert_eq!(megabytes(1_995_000), "2.00 MB");
    }

    #[test]
    fn a_program_is_a_file_that_can_be_run() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
