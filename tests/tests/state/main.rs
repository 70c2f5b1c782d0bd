//! What the agent writes to disk, and what the disk may do to it: full, read-only, broken, cut off
//! in the midst of a write.
//!
//! The agents here are in a hurry (ten samples a second); an outage is saved every second. Faults
//! of single system calls are strace's; full and read-only file systems are real ones in memory;
//! the power cut is an ext4 file system that is shut down without its log. Samples are named by the
//! start that took them and their number in it, as in their keys.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod damage;
mod descriptors;
mod errors;
mod full;
mod kill;
mod memory;
mod power;
mod restart;
mod wear;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io};

use mote_tests::agent::{
    AgentBuilder, AgentUnderTest, LogLine, Signal, is_emulated, left_out, mote_binary,
};
use mote_tests::hub::{Hub, HubConfig, Message, Misbehaviour, OrchestratorConfig, Route};
use mote_tests::suite::{LONG, good_hub};
use mote_tests::wait::poll_until;

/// A sample: its start, and its number in that.
type Name = (u64, u64);

/// A hub that takes no connections.
fn hub_away() -> Hub {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::RefuseConnections);
    hub
}

fn hurried(hub: &Hub) -> AgentBuilder {
    let agent = AgentBuilder::new().unwrap().for_hub(hub).hurried();
    agent.flag("buffer-save-every", "1s")
}

fn state_file(builder: &AgentBuilder, name: &str) -> PathBuf {
    builder.base_dir().join("data/state").join(name)
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Backlog, time and start are flushed at a stop, and the folder of each that is new.
const STOP_FLUSHES: u32 = 6;
/// Whose samples they are is written first, in a call of its own and in fewer bytes than this; a
/// save has ten samples and more.
const ORIGIN_BYTES: u64 = 400;

/// Waits until the backlog's file has a save more than when it had so many bytes.
fn wait_for_save(builder: &AgentBuilder, longer_than: u64) -> u64 {
    let path = state_file(builder, "backlog");
    poll_until("a save", LONG, || {
        Some(file_bytes(&path)).filter(|bytes| *bytes > longer_than.max(ORIGIN_BYTES))
    })
    .unwrap()
}

fn count(line: &LogLine, field: &str) -> u64 {
    line.field(field).unwrap().as_u64().unwrap()
}

/// Waits until so many samples are held because the hub takes none.
fn wait_for_held(agent: &AgentUnderTest, held: u64) {
    let holds = |line: &LogLine| {
        let is_held = |found: u64| found >= held;
        let found = line.field("held").and_then(serde_json_u64);
        line.msg() == "Metrics send failed, holding samples" && found.is_some_and(is_held)
    };
    agent.wait_for_log(holds, LONG).unwrap();
}

fn serde_json_u64(value: &serde_json::Value) -> Option<u64> {
    value.as_u64()
}

/// What the agent counts, asked for now.
fn ask_status(agent: &mut AgentUnderTest) -> LogLine {
    let from = agent.log().len();
    agent.signal(Signal::SIGUSR1).unwrap();
    let is_status = |line: &LogLine| line.msg() == "Status";
    agent.wait_for_log_from(from, is_status, LONG).unwrap()
}

/// Ends the agent; gives its last line. It has a second, and what the disk takes for its flushes: by
/// its own count, for a busy machine's takes that long itself.
fn stop(agent: &mut AgentUnderTest) -> LogLine {
    let begun = Instant::now();
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    let (took, books) = (begun.elapsed(), last_books(agent));
    let stall = Duration::from_millis(count(&books, "disk_stall_ms_max"));
    let allowed = Duration::from_secs(1) + STOP_FLUSHES * stall;
    assert!(took <= allowed, "{took:?}: {}", books.text);
    books
}

/// The last line of an agent that ended, in whose books every sample is found.
fn last_books(agent: &AgentUnderTest) -> LogLine {
    let is_last = |line: &LogLine| line.msg() == "Stopped";
    let stopped = agent.wait_for_log(is_last, LONG).unwrap();
    let sum = |fields: &[&str]| fields.iter().map(|name| count(&stopped, name)).sum::<u64>();
    assert_eq!(
        sum(&["collected", "restored"]),
        sum(&["sent", "held", "dropped"]),
        "{}",
        stopped.text
    );
    stopped
}

/// How often the agent said this.
fn times_said(agent: &AgentUnderTest, msg: &str) -> usize {
    agent.log().iter().filter(|line| line.msg() == msg).count()
}

fn delivered(hub: &Hub) -> BTreeSet<Name> {
    let names = |sample: &mote_tests::hub::Received| {
        (
            sample.start_number().unwrap(),
            sample.sample_number().unwrap(),
        )
    };
    hub.received().iter().map(names).collect()
}

/// Waits until the hub has all of these.
fn wait_for_all(hub: &Hub, wanted: &[Name]) {
    poll_until(&format!("samples {wanted:?}"), LONG, || {
        let got = delivered(hub);
        wanted.iter().all(|name| got.contains(name)).then_some(())
    })
    .unwrap_or_else(|words| panic!("{words}; there are {:?}", delivered(hub)));
    assert!(hub.violations().is_empty(), "{:?}", hub.violations());
}

fn names(start: u64, numbers: impl IntoIterator<Item = u64>) -> Vec<Name> {
    numbers.into_iter().map(|number| (start, number)).collect()
}

/// The same agent under strace with these arguments, which are words without spaces. What it says
/// goes to `trace` in the agent's folder. `None` where the agent is emulated: strace would trace the
/// emulator.
fn traced(builder: &AgentBuilder, arguments: &[String]) -> io::Result<AgentBuilder> {
    use std::os::unix::fs::PermissionsExt;
    let mote = mote_binary().map_err(io::Error::other)?;
    let script = builder.dir().join("traced");
    let trace = builder.dir().join("trace");
    let text = format!(
        "#!/bin/sh\nexec strace -D -f -qq -y -s 0 -o {} {} {} \"$@\"\n",
        trace.display(),
        arguments.join(" "),
        mote.display()
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    Ok(builder.clone().binary(script))
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

/// Lets the next start begin at once, as after another boot: what ended was not the agent's fault.
fn forget_pace(builder: &AgentBuilder) {
    let path = state_file(builder, "start");
    if let Ok(text) = fs::read_to_string(&path) {
        let mut words = text.split_whitespace();
        let (identity, number) = (words.next().unwrap(), words.next().unwrap());
        fs::write(&path, format!("{identity} {number}\n")).unwrap();
    }
}

/// Whether this is left out here, which is said: system calls of an emulated agent are not its own.
fn needs_own_calls() -> bool {
    is_emulated() && left_out("faults of system calls")
}

/// How often a random thing is tried: often if asked for with `MOTE_CUTS`.
fn tries(usually: u32) -> u32 {
    env::var("MOTE_CUTS").map_or(usually, |text| text.parse().unwrap())
}
