//! The reference server and the tools that drive the real agent binary in end-to-end tests.
//!
//! - [`hub`]: a strict LunaSentri server over TLS or plain HTTP that can misbehave on command.
//! - [`fake_dns`]: a name server with a table, which can lie, stammer or say nothing.
//! - [`browser`]: a real Chromium that looks at the agent's page.
//! - [`agent`]: starts the agent as a user would, reads its log, measures it from outside.
//! - [`namespace`]: runs a test again where the network and the mount table are its own.
//! - [`bench`]: what the agent costs: memory, CPU, bytes, lateness, each with its budget.
//! - [`call_graph`]: who calls whom how often, and the order in which functions are best laid out.
//! - [`simulate`]: a whole fleet's outage and return, in virtual time.
//! - [`chaos`]: outages, kills and restarts at random, and whether every sample is accounted for.
//! - [`soak`]: many ticks with everything that happens to an agent, and whether anything grows.
//! - [`long_run`]: the command line of the two above.
//! - [`scraped`]: the programs whose pages for Prometheus are held against each other.
//! - [`nginx`]: a real nginx with TLS in front of a plain hub.
//! - [`strace`]: how late the agent's ticks were, as the kernel saw them.
//! - [`suite`]: what nearly every suite begins with.
//! - [`wait`]: waiting for a condition with a bound. Nothing in this crate sleeps for a fixed time.
//!
//! Threads and blocking sockets are fine here: this is the other end of the agent, not the agent.
//! Nothing of the agent's own code is used to judge the agent; times and bodies are read by other
//! parsers than the ones that wrote them.

pub mod agent;
pub mod bench;
pub mod browser;
pub mod call_graph;
pub mod chaos;
pub mod fake_dns;
pub mod hub;
pub mod long_run;
pub mod namespace;
pub mod nginx;
pub mod scraped;
pub mod simulate;
pub mod soak;
pub mod strace;
pub mod suite;
pub mod wait;

use std::env;
use std::path::{Path, PathBuf};

pub use wait::TimedOut;

/// The folder of the workspace's `Cargo.toml`.
pub fn project_root() -> PathBuf {
    // At run time first: a binary in a shared target folder may have been built in another checkout.
    let tests = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tests
        .parent()
        .map_or_else(|| tests.clone(), Path::to_path_buf)
}

/// Where cargo builds.
pub fn target_folder() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    project_root().join(named)
}

/// A seed for a run that nobody asked to repeat. It is to be printed.
pub fn drawn_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) >> 32
}
