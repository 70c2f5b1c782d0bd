//! Plugins as the operator meets them: the real binary, the project's own plugins and plugins that
//! do wrong, run by hand.
//!
//! What the agent does with them while it runs is held in `agent/tests/plugins/`, process by
//! process.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod beside;
mod by_hand;
mod shipped;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mote_tests::agent::{AgentBuilder, AgentUnderTest};
use mote_tests::suite::LONG;

/// The project's own plugins.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins")
}

/// `mote plugin WORDS…`, with an empty folder of plugins.
fn plugin(words: &[&str]) -> AgentBuilder {
    let mut agent = AgentBuilder::new().unwrap().command("plugin");
    for word in words {
        agent = agent.argument(word);
    }
    fs::create_dir_all(plugins(&agent)).unwrap();
    fs::create_dir_all(agent.base_dir().join("config/plugins")).unwrap();
    // What an agent leaves that is killed goes with the test's own folder.
    let folder = agent.dir().to_owned();
    agent.env("TMPDIR", folder)
}

fn plugins(agent: &AgentBuilder) -> PathBuf {
    agent.base_dir().join("data/plugins")
}

/// Copies one of the project's own plugins there.
fn install(agent: &AgentBuilder, id: &str) {
    let to = plugins(agent).join(id);
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(shipped().join(id)).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
    }
}

/// Sets options of a plugin.
fn configure(agent: &AgentBuilder, id: &str, text: &str) {
    let path = agent
        .base_dir()
        .join("config/plugins")
        .join(format!("{id}.yaml"));
    fs::write(path, text).unwrap();
}

/// Puts a plugin there whose file is `file`; with a manifest if it has a kind.
fn put(agent: &AgentBuilder, id: &str, kind: Option<&str>, file: &str, text: &str) {
    let folder = plugins(agent).join(id);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(file);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    if let Some(kind) = kind {
        let manifest = format!(
            "plugin:\n  id: {id}\n  type: {kind}\n  runtime:\n    entry_point: {file}\n  \
             limits:\n    execution_time: 1s\n"
        );
        fs::write(folder.join("plugin.yaml"), manifest).unwrap();
    }
}

/// What it printed, and how it ended.
fn outcome(agent: &AgentBuilder) -> (String, Option<i32>, String) {
    let mut running = agent.start().unwrap();
    let status = running.wait_exit(LONG).unwrap();
    (said(&running), status.code(), running.stderr().join("\n"))
}

fn said(agent: &AgentUnderTest) -> String {
    let lines = agent.log();
    let lines: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    lines.join("\n")
}
