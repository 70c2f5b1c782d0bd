//! Fails the server at random, kills and restarts the agent, and accounts for every sample.
//!
//! Usage: cargo xtask chaos [ARGUMENTS]
//!
//! Runs the program of `tests/` that does it. ARGUMENTS go to it as they are, for example
//! `--seed 7`; `cargo xtask chaos -- --help` shows its own help. Samples come every 20 ms, for which
//! an agent is built that takes so short an interval and is else the one that ships; with --quick it
//! is the one that ships, and a minute.

use crate::build;
use crate::failure::Failure;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    build::run_at_short_interval("chaos", args)
}
