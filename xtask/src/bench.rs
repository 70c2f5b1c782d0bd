//! Measures what the agent costs on this machine.
//!
//! Usage: cargo xtask bench [ARGUMENTS]
//!
//! Builds the release binary and runs the measuring program of `tests/` on it. ARGUMENTS go to
//! that program as they are; `cargo xtask bench -- --help` shows its own help.

use crate::build;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::{Needs, TEST_TOOLS};
use crate::shell;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let cross = Cross::native()?;
    Needs::of_builds(std::slice::from_ref(&cross))
        .tools(TEST_TOOLS.iter().copied())
        .ensure()?;
    let mote = build::release(&cross)?;
    let mut command = shell::cargo(&[
        "run",
        "--release",
        "--package",
        "mote-tests",
        "--bin",
        "bench",
        "--",
    ]);
    // A first `--` only keeps the arguments behind it from this program.
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    shell::run(command.args(args).env("MOTE_BIN", mote))
}
