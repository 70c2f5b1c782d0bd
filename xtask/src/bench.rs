//! Measures what the agent costs on this machine.
//!
//! Usage: cargo xtask bench [ARGUMENTS]
//!
//! Builds the release binary and runs the measuring program of `tests/` on it. ARGUMENTS go to
//! that program as they are; `cargo xtask bench -- --help` shows its own help. With --readme
//! nothing is built for a device: it writes what was measured last into README.md.
//!
//! The sizes of other targets and of the small binaries are those of the last `cargo xtask dist`,
//! with and without --small. Other agents are measured beside where they are installed: on Debian
//! prometheus-node-exporter, and collectd-core with libyajl2.

use crate::build;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::{Needs, TEST_TOOLS};
use crate::shell;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let args = shell::behind_dashes(args);
    // The quick form mostly waits, and its times are rough anyway.
    let mut command = if args.iter().any(|arg| arg == "--quick") {
        shell::patient_test_program("bench")
    } else {
        shell::test_program("bench")
    };
    command.args(args);
    if !measures(args) {
        return shell::run(&mut command);
    }
    let cross = Cross::native()?;
    Needs::of_builds(std::slice::from_ref(&cross))
        .tools(TEST_TOOLS.iter().copied())
        .ensure()?;
    let mote = build::release(&cross)?;
    shell::run(command.env("MOTE_BIN", mote))
}

/// Whether there is something to build and to look at.
fn measures(args: &[String]) -> bool {
    let idle = ["--readme", "--help", "-h"];
    !args.iter().any(|arg| idle.contains(&arg.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_measures_needs_a_binary() {
        let measures =
            |args: &[&str]| measures(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(measures(&[]));
        assert!(measures(&["--quick", "idle"]));
        assert!(!measures(&["--readme"]));
        assert!(!measures(&["--help"]));
    }
}
