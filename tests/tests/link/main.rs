//! What stands between the device and the server, and how it goes wrong: the cable, the network,
//! the proxy, the clock, the kernel. Each test is named after the fault that it makes, as
//! `tests/README.md` lists them.
//!
//! Those that change networks or mounts have them for themselves, so they run as root only (see
//! `mote_tests::namespace`). The agents are in a hurry (see `AgentBuilder::hurried`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod clock;
mod hostile;
mod kernel;
mod network;
mod proxy;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Received};
use mote_tests::suite::{LONG, good_hub, hurried, newest, wait_for_each};

/// The same agent, started by these words: a program that runs what follows it.
fn started_by(builder: AgentBuilder, words: &str) -> AgentBuilder {
    let mote = mote_binary().unwrap();
    let script = format!("exec {words} {} run \"$@\"", mote.display());
    let path = builder.write_file("start", &script).unwrap();
    builder.binary("/bin/sh").command(path.to_str().unwrap())
}

/// Waits until a sample after this one was delivered; gives its number.
fn wait_for_later(hub: &Hub, than: u64) -> u64 {
    let is_later =
        |attempt: &Received| attempt.delivered && attempt.sample_number().is_some_and(|n| n > than);
    let what = format!("a sample after {than}");
    let attempts = hub.wait_until(&what, LONG, |_, attempts| attempts.iter().any(is_later));
    let numbers = attempts.unwrap().into_iter();
    let delivered = numbers.filter(|attempt| attempt.delivered);
    delivered
        .filter_map(|attempt| attempt.sample_number())
        .max()
        .unwrap()
}

fn is_failure(line: &LogLine) -> bool {
    line.msg().starts_with("Metrics send failed")
}

/// Waits for the next failure after this many lines; it is to be of this layer.
fn wait_for_failure(agent: &AgentUnderTest, from: usize, layer: &str) -> LogLine {
    let line = agent.wait_for_log_from(from, is_failure, LONG).unwrap();
    assert_eq!(line.str("layer"), layer, "{}", line.text);
    line
}

fn wait_for_message(agent: &AgentUnderTest, from: usize, msg: &str) -> LogLine {
    let is_it = |line: &LogLine| line.msg() == msg;
    agent.wait_for_log_from(from, is_it, LONG).unwrap()
}

fn failures(agent: &AgentUnderTest) -> Vec<LogLine> {
    let mut lines = agent.log();
    lines.retain(is_failure);
    lines
}
