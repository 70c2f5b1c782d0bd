//! `mote version`: what this program is.

/// The version, for people or for programs.
pub fn version(json: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let target = env!("MOTE_TARGET");
    if json {
        format!("{{\"name\":\"mote\",\"version\":\"{version}\",\"target\":\"{target}\"}}\n")
    } else {
        format!("mote {version} ({target})\n")
    }
}
