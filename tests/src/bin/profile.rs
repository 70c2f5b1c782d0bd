//! Which functions an agent executes in a day's work, one symbol a line: those of every delivery
//! and scrape first, about as execution comes by them, then the others.
//!
//! `MOTE_BIN` names a binary that has its symbols. It runs under `valgrind`, which sees every call,
//! and goes through what a device goes through: samples delivered over TLS, scrapes, servers that
//! fail in every way and one that is gone, its return, a reload, a stop; and a look at it from a
//! browser. A function that the linker folded into another counts under every name that its place
//! has, so what is printed does not depend on which of them the linker kept.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use mote_tests::agent::{AgentBuilder, Signal, mote_binary};
use mote_tests::call_graph::CallGraph;
use mote_tests::hub::{Hub, HubConfig, Misbehaviour};

/// A program under valgrind takes its time.
const LONG: Duration = Duration::from_mins(2);
const PROFILE: &str = "profile";
/// Enough to tell what each of them calls from what a start calls, whose functions are called as
/// often as there are keys in the configuration.
const DELIVERIES: u64 = 500;
/// As many again: what a scrape executes belongs to what is executed often.
const SCRAPES: u64 = DELIVERIES;

fn main() -> ExitCode {
    match names().and_then(|names| Ok(io::stdout().write_all(names.join("\n").as_bytes())?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("profile: {error}");
            ExitCode::FAILURE
        }
    }
}

fn names() -> Result<Vec<String>, Box<dyn Error>> {
    let binary = mote_binary()?;
    let profile = work(&binary)?;
    let graph = CallGraph::read(&profile)?;
    let places = places(&binary)?;
    let mut all: Vec<String> = Vec::new();
    for name in graph.order(DELIVERIES) {
        // A name without a place belongs to the machine, as those in the kernel's own page.
        let names = places.iter().find(|names| names.contains(name));
        all.extend(names.into_iter().flatten().cloned());
    }
    if all.len() < 500 {
        return Err(format!("only {} functions: has the binary its symbols?", all.len()).into());
    }
    Ok(all)
}

/// Lets an agent work; gives the profile of that.
fn work(binary: &Path) -> Result<String, Box<dyn Error>> {
    let hub = Hub::start(HubConfig::default())?;
    let builder = AgentBuilder::new()?;
    let profile = builder.dir().join(PROFILE);
    let script = format!(
        "exec valgrind --quiet --tool=callgrind --demangle=no --dump-instr=yes \
         --callgrind-out-file={} {} \"$@\"\n",
        profile.display(),
        binary.display()
    );
    let script = builder.write_file("under-valgrind", &script)?;
    // A key in a file: one in a flag makes the agent start itself anew, out of valgrind's sight.
    let key = builder.write_file("key", hub.api_key())?;
    let script = script.to_str().ok_or("the folder's name is no text")?;
    let builder = builder.binary("/bin/sh").command(script);
    let mut agent = builder
        .flag("server-url", hub.url().replace("127.0.0.1", "localhost"))
        .flag("api-key-file", key)
        .flag("tls-ca-file", hub.ca_pem_path())
        .argument("--metrics-enabled")
        .flag("metrics-port", "0")
        .flag("timeout", "5s")
        .hurried()
        .start()?;

    let more = |n: u64| hub.wait_for(hub.stats().delivered + n, LONG);
    more(DELIVERIES)?;
    for _ in 0..SCRAPES {
        ask(agent.listens_at("/metrics", LONG)?, "/metrics")?;
        more(1)?;
    }
    for way in Misbehaviour::every_outage() {
        hub.script(vec![way; 3]);
        hub.drop_connections();
        more(10)?;
    }
    hub.misbehave(Misbehaviour::RefuseConnections);
    hub.drop_connections();
    agent.wait_for_log(|line| line.msg().contains("holding samples"), LONG)?;
    hub.misbehave(Misbehaviour::Normal);
    agent.wait_for_log(|line| line.msg() == "Server is back", LONG)?;
    more(10)?;
    agent.signal(Signal::SIGHUP)?;
    agent.wait_for_log(|line| line.msg() == "Configuration reloaded", LONG)?;
    agent.signal(Signal::SIGUSR1)?;
    agent.wait_for_log(|line| line.msg() == "Status", LONG)?;
    for path in [
        "/",
        "/api/status",
        "/api/history?span=4h",
        "/health",
        "/ready",
        "/metrics",
    ] {
        let at = path.split('?').next().unwrap_or(path);
        ask(agent.listens_at(at, LONG)?, path)?;
    }
    agent.signal(Signal::SIGTERM)?;
    agent.wait_exit(LONG)?;
    Ok(fs::read_to_string(profile)?)
}

/// Reads an answer of the agent's own to its end.
fn ask(address: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = answer.lines().next().unwrap_or_default();
    Err(io::Error::other(format!("{path}: {status}")))
}

/// The names of each place in the binary.
fn places(binary: &Path) -> Result<Vec<BTreeSet<String>>, Box<dyn Error>> {
    let output = Command::new("nm")
        .args(["--defined-only", "--no-sort"])
        .arg(binary)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut places: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        if let (Some(place), Some("T" | "t" | "W" | "w"), Some(name)) =
            (words.next(), words.next(), words.next())
        {
            places.entry(place).or_default().insert(name.to_owned());
        }
    }
    Ok(places.into_values().collect())
}
