//! `mote version`: what this program is.

use mote_core::time::Rfc3339;

use crate::clock;

/// The version, for people or for programs. Builds of one version are told apart by when they were
/// made, which is the time of the commit.
pub fn version(json: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let target = env!("MOTE_TARGET");
    let made = Rfc3339(clock::made_ms());
    if json {
        format!(
            "{{\"name\":\"mote\",\"version\":\"{version}\",\"target\":\"{target}\",\"made\":\"{made}\"}}\n"
        )
    } else {
        format!("mote {version} ({target}, made {made})\n")
    }
}
