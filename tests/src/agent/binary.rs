//! Where the agent's binary is: where `MOTE_BIN` says, else where cargo built it.
//!
//! For another kind of machine `MOTE_BIN` is a script that starts it under an emulator; `cargo
//! xtask test` writes such scripts.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::project_root;

/// The target that ships.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// The agent's binary. Without `MOTE_BIN` it is built, once in a run of the tests. The error says
/// what cargo said.
pub fn mote_binary() -> Result<PathBuf, String> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(find_or_build).clone()
}

/// The same agent built for this machine's own C library, not optimised. A library that is put
/// before that one can change what the agent sees, say the time; the one that ships asks nobody.
pub fn dynamic_binary() -> Result<PathBuf, String> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(|| build(&[])).clone()
}

fn find_or_build() -> Result<PathBuf, String> {
    match env::var_os("MOTE_BIN") {
        Some(path) => PathBuf::from(&path)
            .canonicalize()
            .map_err(|error| format!("MOTE_BIN is {}: {error}", path.to_string_lossy())),
        None => build(&["--release", "--target", TARGET]),
    }
}

fn build(how: &[&str]) -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [&["build", "-p", "mote"], how].concat();
    let output = Command::new(&cargo)
        .args(&arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(project_root())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", cargo.to_string_lossy()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let arguments = arguments.join(" ");
        return Err(format!(
            "cargo {arguments} failed, set MOTE_BIN or mend it:\n{words}"
        ));
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "cargo built mote but named no executable".into())
}

/// The executable that cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    let mut named = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message.pointer("/target/name")? == "mote").then_some(())?;
        message.get("executable")?.as_str().map(PathBuf::from)
    });
    named.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_taken_from_what_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"nix"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"mote"},"executable":"/t/release/mote"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some("/t/release/mote".into()));
        assert_eq!(executable(r#"{"reason":"build-finished"}"#), None);
    }
}
