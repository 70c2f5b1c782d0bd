//! Runs the agent for 200,000 ticks with all that happens to it, and sees whether anything grows.
//!
//! Usage: cargo xtask soak [ARGUMENTS]
//!
//! Runs the program of `tests/` that does it. ARGUMENTS go to it as they are, for example
//! `--ticks 200000 --seed 7`; `cargo xtask soak -- --help` shows its own help. Ticks come every
//! 10 ms, for which an agent is built that takes so short an interval and is else the one that
//! ships, and take an hour; with --quick it is the one that ships, and a minute.

use crate::build;
use crate::failure::Failure;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    build::run_at_short_interval("soak", args)
}
