//! Shows the agent at work against a TLS server on this machine.
//!
//! Usage: cargo xtask demo [--orchestrator] [--seconds N]
//!
//! Builds the release binary and the test server, starts both, and shows each sample that the
//! server receives, one a second. Runs until Ctrl-C, or for N seconds after the first sample.
//! Then it reads the agent's memory from the kernel, stops the agent and the server, and says
//! how each ended. The agent's log stays in target/demo/agent.log; all else is removed.
//!
//! With --orchestrator the server is an orchestrator as well: the agent registers and beats, runs
//! a trigger plugin, and carries out two instructions; each message is shown.
//!
//! Needs the musl target of Rust and a C compiler; no rights, no network, no configuration.
//! Ends with 0 if at least one sample arrived (and a result, with --orchestrator) and both ended
//! cleanly, else with 1 and the reason.

mod instructions;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::args;
use crate::build;
use crate::children::{Child, Event, Events};
use crate::cross::Cross;
use crate::failure::Failure;
use crate::memory;
use crate::prerequisites::Needs;
use crate::shell;

const API_KEY: &str = "demo-key";
const HUB_UP_WITHIN: Duration = Duration::from_secs(10);
const FIRST_SAMPLE_WITHIN: Duration = Duration::from_secs(30);
/// The agent allows itself 10 seconds.
const AGENT_STOPS_WITHIN: Duration = Duration::from_secs(15);
const HUB_STOPS_WITHIN: Duration = Duration::from_secs(5);
const LOG_TAIL_LINES: usize = 12;

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (orchestrates, args) = args::switch(args, "--orchestrator");
    let length = match args::only_option(&args, "--seconds")? {
        Some(number) => Some(Duration::from_secs(number.parse().map_err(|_| {
            Failure::Usage(format!("--seconds takes a whole number, not `{number}`"))
        })?)),
        None => None,
    };
    let cross = Cross::native()?;
    Needs::of_builds(std::slice::from_ref(&cross)).ensure()?;
    let mote = build::release(&cross)?;
    let hub = shell::build_binary(&mut shell::cargo(&[
        "build",
        "--package",
        "mote-tests",
        "--bin",
        "hub",
    ]))?;

    let folder = Folder::make(&shell::target_dir().join("demo"))?;
    let mut stage = Stage::set(&folder, &mote, &hub, orchestrates)?;
    if let Err(reason) = stage.play(length) {
        stage.complain(reason);
    }
    stage.clear()
}

/// Where hub and agent keep their files while the demo runs.
struct Folder {
    work: PathBuf,
    log: PathBuf,
}

impl Folder {
    fn make(demo: &Path) -> Result<Self, Failure> {
        let work = demo.join(format!("run-{}", process::id()));
        match fs::create_dir_all(&work) {
            Ok(()) => Ok(Self {
                work,
                log: demo.join("agent.log"),
            }),
            Err(error) => Err(Failure::Failed(format!(
                "cannot make the folder {}: {error}",
                work.display()
            ))),
        }
    }

    fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

struct Stage<'a> {
    folder: &'a Folder,
    events: Events,
    hub: Child,
    agent: Child,
    samples: u64,
    /// Instructions that were completed; none if there are none.
    results: Option<u64>,
    is_read: bool,
    complaints: Vec<String>,
}

impl<'a> Stage<'a> {
    fn set(
        folder: &'a Folder,
        mote: &Path,
        hub: &Path,
        orchestrates: bool,
    ) -> Result<Self, Failure> {
        let events = Events::listen()?;
        let mut command = Command::new(hub);
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--api-key",
                API_KEY,
                "--print",
                "--dir",
            ])
            .arg(folder.work.join("hub"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if orchestrates {
            let written = instructions::write(&folder.work);
            let path = written.map_err(|error| {
                Failure::Failed(format!("cannot write the instructions: {error}"))
            })?;
            command.arg("--instructions").arg(path);
        }
        let hub = events.start("hub", &mut command)?;
        let (url, ca) = where_it_listens(&events)?;

        let log = File::create(&folder.log)
            .and_then(|log| Ok((log.try_clone()?, log)))
            .map_err(|error| Failure::Failed(format!("cannot write the log: {error}")))?;
        let mut command = Command::new(mote);
        command
            .args([
                "run",
                "--server-url",
                &url,
                "--api-key",
                API_KEY,
                "--interval",
                "1s",
            ])
            .args(["--tls-ca-file", &ca, "--base-dir"])
            .arg(folder.work.join("agent"))
            .stdin(Stdio::null())
            .stdout(log.0)
            .stderr(log.1);
        if orchestrates {
            command.args(["--agent-id", "demo", "--agent-type", "both"]);
            command.args(["--base-url", &url]);
            command.env("MOTE_API_AUTH_API_KEY", "demo-token");
            command.env("MOTE_API_AUTH_CA_FILE", &ca);
            command.env("MOTE_AGENT_HEARTBEAT_INTERVAL", "5s");
        }
        let agent = events.start("agent", &mut command)?;
        println!("demo: the agent's log is {}", folder.log.display());
        Ok(Self {
            folder,
            events,
            hub,
            agent,
            samples: 0,
            results: orchestrates.then_some(0),
            is_read: true,
            complaints: Vec::new(),
        })
    }

    /// Shows samples until it is time to end; an error is why it ended before its time.
    fn play(&mut self, length: Option<Duration>) -> Result<(), String> {
        let mut deadline = Some(Instant::now() + FIRST_SAMPLE_WITHIN);
        loop {
            let Some(event) = self.events.next(deadline) else {
                return match self.samples {
                    0 => Err(format!("no sample arrived within {FIRST_SAMPLE_WITHIN:?}")),
                    _ => Ok(()),
                };
            };
            let samples_before = self.samples;
            self.take_in(&event);
            if event == Event::Interrupted || !self.is_read {
                return Ok(());
            }
            if samples_before == 0 && self.samples > 0 {
                deadline = length.and_then(|length| Instant::now().checked_add(length));
            }
            for child in [&self.agent, &self.hub] {
                if let Some(status) = child.ended() {
                    return Err(ended_by_itself(child.name, status));
                }
            }
        }
    }

    /// Reads the memory, stops both children, and says how it went.
    fn clear(mut self) -> Result<(), Failure> {
        if self.agent.ended().is_none() {
            match memory::in_words(self.agent.pid.as_raw()) {
                Ok(memory) => self.say(&format!("demo: agent memory: {memory}")),
                Err(error) => self.complain(format!("cannot read the agent's memory: {error}")),
            }
        }
        self.stop(AGENT_STOPS_WITHIN, |stage| &stage.agent);
        self.stop(HUB_STOPS_WITHIN, |stage| &stage.hub);
        self.say(&format!("demo: samples that arrived: {}", self.samples));
        if self.samples == 0 {
            self.complain("no sample arrived".to_owned());
        }
        if let Some(results) = self.results {
            self.say(&format!(
                "demo: instructions that were completed: {results}"
            ));
            if results == 0 {
                self.complain("no instruction was completed".to_owned());
            }
        }
        if self.complaints.is_empty() {
            return Ok(());
        }
        let tail = self.folder.log_tail();
        Err(Failure::Failed(format!(
            "{}\nthe end of the agent's log:\n{tail}",
            self.complaints.join("; ")
        )))
    }

    fn stop(&mut self, patience: Duration, child: fn(&Self) -> &Child) {
        let name = child(self).name;
        if let Some(status) = child(self).ended() {
            self.complain(ended_by_itself(name, status));
            return;
        }
        let asked = Instant::now();
        child(self).signal(Signal::SIGTERM);
        if !self.wait_for_end(patience, child) {
            self.complain(format!("the {name} did not stop when asked"));
            child(self).signal(Signal::SIGKILL);
            self.wait_for_end(patience, child);
        }
        let Some(status) = child(self).ended() else {
            self.complain(format!("the {name} cannot even be killed"));
            return;
        };
        let took_ms = asked.elapsed().as_millis();
        self.say(&format!(
            "demo: the {name} ended with {status} after {took_ms} ms"
        ));
        if !status.success() {
            self.complain(format!("the {name} ended with {status}"));
        }
    }

    /// Whether the child ended before patience ran out: ours, or that of whoever presses Ctrl-C
    /// once more.
    fn wait_for_end(&mut self, patience: Duration, child: fn(&Self) -> &Child) -> bool {
        let deadline = Instant::now() + patience;
        while child(self).ended().is_none() {
            let Some(event) = self.events.next(Some(deadline)) else {
                return false;
            };
            self.take_in(&event);
            if event == Event::Interrupted {
                return false;
            }
        }
        true
    }

    /// Takes note of an event and shows it.
    fn take_in(&mut self, event: &Event) {
        self.agent.notice(event);
        self.hub.notice(event);
        if let Event::Line(line) = event {
            if is_sample(line) {
                self.samples += 1;
            }
            if let Some(results) = self.results.as_mut().filter(|_| is_completion(line)) {
                *results += 1;
            }
            self.say(line);
        }
    }

    /// Prints a line, and remembers if nobody reads any more (`| head`).
    fn say(&mut self, line: &str) {
        self.is_read &= writeln!(io::stdout(), "{line}").is_ok();
    }

    fn complain(&mut self, reason: String) {
        if !self.complaints.contains(&reason) {
            self.complaints.push(reason);
        }
    }
}

fn ended_by_itself(name: &str, status: ExitStatus) -> String {
    format!("the {name} ended by itself with {status}")
}

/// The hub's own words start with its name; any other line of it is a sample that it received.
fn is_sample(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("hub:")
}

/// `hub: AGENT: INSTRUCTION: completed …`
fn is_completion(line: &str) -> bool {
    line.starts_with("hub: demo: ") && line.contains(": completed")
}

/// Waits for the hub's first line and takes its address and its CA file from there.
fn where_it_listens(events: &Events) -> Result<(String, String), Failure> {
    match events.next(Some(Instant::now() + HUB_UP_WITHIN)) {
        Some(Event::Line(line)) => address_and_ca(&line)
            .ok_or_else(|| Failure::Failed(format!("the hub's first line is strange: {line}"))),
        Some(Event::Ended { status, .. }) => Err(Failure::Failed(format!(
            "the hub ended at its start with {status}"
        ))),
        Some(Event::Interrupted) => Err(Failure::Failed("interrupted".to_owned())),
        None => Err(Failure::Failed(format!(
            "the hub said nothing for {HUB_UP_WITHIN:?}"
        ))),
    }
}

/// `hub: listening on URL ca=PATH control=URL`, the last one only if there is a control port. A
/// path may have spaces in it.
fn address_and_ca(line: &str) -> Option<(String, String)> {
    let (url, rest) = line
        .strip_prefix("hub: listening on ")?
        .split_once(" ca=")?;
    let ca = rest.split_once(" control=").map_or(rest, |(ca, _)| ca);
    Some((url.to_owned(), ca.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_first_line_tells_address_and_ca() {
        let pair = |url: &str, ca: &str| Some((url.to_owned(), ca.to_owned()));
        let base = "hub: listening on https://127.0.0.1:7 ca=/a b/ca.pem";
        assert_eq!(
            address_and_ca(base),
            pair("https://127.0.0.1:7", "/a b/ca.pem")
        );
        let with_control = format!("{base} control=http://127.0.0.1:8");
        assert_eq!(address_and_ca(&with_control), address_and_ca(base));
        assert_eq!(address_and_ca("hub: listening on http://127.0.0.1:7"), None);
    }

    #[test]
    fn only_samples_are_counted() {
        assert!(is_sample("2025-10-10T16:32:42.118Z pi cpu 3.1%"));
        assert!(!is_sample("hub: 3 samples"));
        assert!(!is_sample(""));
    }
}
