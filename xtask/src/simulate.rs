//! Simulates a fleet that loses its server and gets it back.
//!
//! Usage: cargo xtask simulate [ARGUMENTS]
//!
//! Runs the simulation of `tests/`, which is core's own policy in virtual time, and writes what it
//! draws to target/simulate.svg. ARGUMENTS go to that program as they are, for example
//! `--agents 100000 --outage 30m --seed 7`; `cargo xtask simulate -- --help` shows its own help.

use crate::failure::Failure;
use crate::shell;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    shell::run(shell::test_program("simulate").args(shell::behind_dashes(args)))
}
