//! Builds the agent's release binary for one target.
//!
//! Usage: cargo xtask build [--target TRIPLE]
//!
//! TRIPLE is one for which there is a file in `cross/`; without it, x86_64-unknown-linux-musl.
//! The build is always the release profile. The binary must be static and stripped, or the
//! command fails. Prints the path and the size.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args;
use crate::cross::Cross;
use crate::elf::Elf;
use crate::failure::Failure;
use crate::prerequisites::{self, Needs};
use crate::shell;

pub(crate) const DEFAULT_TRIPLE: &str = "x86_64-unknown-linux-musl";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let triple = args::only_option(args, "--target")?.unwrap_or(DEFAULT_TRIPLE);
    let cross = Cross::load(triple)?;
    prerequisites::ensure(&Needs {
        targets: &[triple],
        tools: prerequisites::BUILD_TOOLS,
    })?;
    release(&cross).map(drop)
}

/// Builds `mote` for the target, checks the binary and prints where it is.
pub(crate) fn release(cross: &Cross) -> Result<PathBuf, Failure> {
    if shell::find_program(&cross.cc).is_none() {
        return Err(Failure::Unavailable(format!(
            "no program `{}`, the C compiler that cross/{}.toml names; install it",
            cross.cc, cross.triple
        )));
    }
    let mut command = shell::cargo(&[
        "build",
        "--release",
        "--package",
        "mote",
        "--target",
        &cross.triple,
    ]);
    command.envs(cross.environment());
    let binary = shell::build_binary(&mut command)?;
    let size_bytes = check(&binary)?;
    let size = shell::megabytes(size_bytes);
    println!(
        "{} is static and stripped: {size_bytes} bytes, {size}",
        binary.display()
    );
    Ok(binary)
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
