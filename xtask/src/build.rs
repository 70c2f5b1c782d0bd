//! Builds the agent's release binary for one target.
//!
//! Usage: cargo xtask build [--target TRIPLE]
//!
//! TRIPLE is one for which there is a file in `cross/`; without it, the one for a machine like
//! this. The build is always the release profile. The binary must be static and stripped, or the
//! command fails. Prints the path and the size.
//!
//! What a build needs (the target's C compiler, the compiler's target) is installed if that is
//! possible without asking; else the failure is the line to type.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args;
use crate::cross::Cross;
use crate::elf::Elf;
use crate::failure::Failure;
use crate::prerequisites::{Needs, TEST_TOOLS};
use crate::shell;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let cross = match args::only_option(args, "--target")? {
        Some(triple) => Cross::load(&triple)?,
        None => Cross::native()?,
    };
    Needs::of_builds(std::slice::from_ref(&cross)).ensure()?;
    release(&cross).map(drop)
}

/// Builds `mote` for the target, checks the binary and prints where it is.
pub(crate) fn release(cross: &Cross) -> Result<PathBuf, Failure> {
    built(&mut command(cross)).map(|(binary, _)| binary)
}

/// Runs a program of `tests/` on an agent whose interval may be shorter than in the one that ships,
/// or with `--quick` on that.
pub(crate) fn run_at_short_interval(program: &str, args: &[String]) -> Result<(), Failure> {
    let args = shell::behind_dashes(args);
    let has = |word: &str| args.iter().any(|arg| arg == word);
    // A minute of it mostly waits.
    let mut command = if has("--quick") {
        shell::patient_test_program(program)
    } else {
        shell::test_program(program)
    };
    command.args(args);
    if has("--help") || has("-h") {
        return shell::run(&mut command);
    }
    let cross = Cross::native()?;
    Needs::of_builds(std::slice::from_ref(&cross))
        .tools(TEST_TOOLS.iter().copied())
        .ensure()?;
    let mote = if has("--quick") {
        release(&cross)?
    } else {
        short_interval(&cross)?
    };
    shell::run(command.env("MOTE_BIN", mote))
}

/// Builds the release binary but for one number, apart from those that ship.
fn short_interval(cross: &Cross) -> Result<PathBuf, Failure> {
    let mut build = command(cross);
    build
        .args(["--features", "short-interval", "--target-dir"])
        .arg(shell::target_dir().join("short-interval"));
    built(&mut build).map(|(binary, _)| binary)
}

/// The `cargo build` of the release binary.
pub(crate) fn command(cross: &Cross) -> Command {
    let mut command = shell::cargo(&[
        "build",
        "--release",
        "--package",
        "mote",
        "--target",
        &cross.triple,
    ]);
    command.envs(cross.environment());
    command
}

/// Runs such a build and gives the binary, fit to ship, with its size in bytes.
pub(crate) fn built(command: &mut Command) -> Result<(PathBuf, u64), Failure> {
    let binary = shell::build_binary(command)?;
    let size_bytes = check(&binary)?;
    let size = shell::megabytes(size_bytes);
    println!(
        "{} is static and stripped: {size_bytes} bytes, {size}",
        binary.display()
    );
    Ok((binary, size_bytes))
}

/// The size in bytes of a binary that is fit to ship.
fn check(binary: &Path) -> Result<u64, Failure> {
    let place = binary.display().to_string();
    let bytes = fs::read(binary)
        .map_err(|error| Failure::Failed(format!("cannot read {place}: {error}")))?;
    let elf = Elf::parse(&bytes).map_err(|error| Failure::Failed(format!("{place}: {error}")))?;
    if elf.has_interpreter {
        return Err(Failure::Failed(format!(
            "{place} is not static: it asks for a loader"
        )));
    }
    if elf.has_symbols {
        return Err(Failure::Failed(format!(
            "{place} is not stripped: it has a symbol table"
        )));
    }
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_binary_is_not_fit_to_ship() {
        let Err(Failure::Failed(text)) = check(&std::env::current_exe().unwrap()) else {
            panic!("a test binary is dynamic");
        };
        assert!(text.contains("is not static"), "{text}");
    }
}
