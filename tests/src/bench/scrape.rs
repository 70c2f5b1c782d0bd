//! What a scrape costs, beside what `node_exporter` takes for the same families.
//!
//! Both are asked over a kept connection, without gzip, at a pace that the agent admits. The agent
//! sends nothing and takes no sample meanwhile, so all its CPU time is that of the listener. Memory
//! is looked at after the last scrape. mote's page has its own metrics besides.
//!
//! The processors may sleep between two scrapes and their caches grow cold, for both alike: that is
//! how a device is scraped. How cold they grow is the host's affair and changes within a minute, so
//! the two take turns of a second. `node_exporter` is switched to the collectors that mote has and to the
//! interfaces that mote shows; in netclass and conntrack it has some families more.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::peers::program::{Program, find};
use super::peers::scraper::Scraper;
use super::{Failure, Figure, Findings, LONG, Plan, kernel, let_run};
use crate::agent::{AgentUnderTest, is_emulated};
use crate::scraped::{self, free_address};

/// Turns that each of the two has, and scrapes of each.
const TURNS: u32 = 10;
const SCRAPES: u32 = 20;
/// The agent admits twenty a second.
const PAUSE: Duration = Duration::from_millis(60);
/// A scrape is to cost a tenth of `node_exporter`'s.
const SHARE: f64 = 0.1;

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    if is_emulated() {
        return Err("under an emulator, its own work is measured".into());
    }
    let mut mote = Mote::start()?;
    let mut exporter = Exporter::start()?;
    let scrapes = plan.enough(SCRAPES);
    // The first are not counted: files are opened then.
    mote.turn(scrapes)?;
    if let Some(exporter) = &mut exporter {
        exporter.turn(scrapes)?;
    }
    let (mut mine_us, mut theirs_us) = (0.0, 0.0);
    for _ in 0..TURNS {
        mine_us += mote.turn(scrapes)?;
        if let Some(exporter) = &mut exporter {
            theirs_us += exporter.turn(scrapes)?;
        }
    }
    let each = f64::from(TURNS * scrapes);
    let mut findings = Findings::default();
    let mut mine = Figure::new("scrape_cpu_us", mine_us / each, "us", 0);
    if exporter.is_some() {
        let theirs_us = theirs_us / each;
        mine = mine.within_alone(SHARE * theirs_us);
        let key = "peers.node_exporter.scrape_cpu_us";
        findings.figures.push(Figure::new(key, theirs_us, "us", 0));
        let note = "the budget of scrape_cpu_us is a tenth of peers.node_exporter.scrape_cpu_us; both \
             are asked every 60 ms, with processors that may sleep in between";
        findings.notes.push(note.to_owned());
    } else {
        findings.notes.push(
            "peers.node_exporter.scrape_cpu_us is left out: it comes with Debian's \
             prometheus-node-exporter"
                .to_owned(),
        );
    }
    findings.figures.push(mine);
    let rss_kib = kernel::rss_kib_of_family(mote.agent.pid())?;
    findings
        .figures
        .push(Figure::memory("rss_listener_kb", rss_kib));
    Ok(findings)
}

struct Mote {
    agent: AgentUnderTest,
    scraper: Scraper,
}

impl Mote {
    fn start() -> Result<Self, Failure> {
        let agent = scraped::agent()?.flag("interval", "1h").start()?;
        let scraper = Scraper::connect(scraped::address_of(&agent, LONG)?)?;
        Ok(Self { agent, scraper })
    }

    /// The CPU time that so many scrapes took, in microseconds.
    fn turn(&mut self, scrapes: u32) -> Result<f64, Failure> {
        let process = self.agent.pid().to_string();
        let before_us = kernel::cpu_us(&process)?;
        for _ in 0..scrapes {
            self.scraper.scrape_plain()?;
            let_run(&mut self.agent, PAUSE)?;
        }
        Ok(kernel::cpu_us(&process)? - before_us)
    }
}

struct Exporter {
    program: Program,
    scraper: Scraper,
}

impl Exporter {
    /// None where it is not installed.
    fn start() -> Result<Option<Self>, Failure> {
        let Some(exporter) = find(&["prometheus-node-exporter", "node_exporter"]) else {
            return Ok(None);
        };
        let address = free_address()?;
        let mut command = scraped::node_exporter(exporter, address);
        let hidden = hidden_interfaces()?.join("|");
        command.args([
            "--collector.textfile.directory=".to_owned(),
            format!("--collector.netdev.device-exclude=^({hidden})$"),
            format!("--collector.netclass.ignored-devices=^({hidden})$"),
        ]);
        let mut program = Program::start(command, TempDir::with_prefix("mote-peer-")?)?;
        let scraper = Scraper::connect(address);
        program.check()?;
        let scraper = scraper?;
        Ok(Some(Self { program, scraper }))
    }

    /// As that of mote.
    fn turn(&mut self, scrapes: u32) -> Result<f64, Failure> {
        let pid = self.program.pid();
        let before_us = kernel::cpu_us_of_family(pid)?;
        for _ in 0..scrapes {
            self.scraper.scrape_plain()?;
            self.program.let_run(PAUSE)?;
        }
        Ok(kernel::cpu_us_of_family(pid)? - before_us)
    }
}

/// The interfaces that mote leaves out of its page: those with no hardware behind them, and where
/// none has any, only `lo`.
fn hidden_interfaces() -> Result<Vec<String>, Failure> {
    let mut hidden = Vec::new();
    let mut any_physical = false;
    for interface in fs::read_dir("/sys/class/net")? {
        let interface = interface?;
        if interface.path().join("device").exists() {
            any_physical = true;
        } else {
            hidden.push(interface.file_name().to_string_lossy().into_owned());
        }
    }
    hidden.retain(|name| any_physical || name == "lo");
    Ok(hidden)
}
