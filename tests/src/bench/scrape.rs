//! What a scrape costs, beside what `node_exporter` takes for the same families.
//!
//! Both are asked over a kept connection, without gzip, at a pace that the agent admits. The agent
//! sends nothing and takes no sample meanwhile, so all its CPU time is that of the listener. Memory
//! is looked at after the last scrape. mote's page has its own metrics besides.
//!
//! The processors may sleep between two scrapes and their caches grow cold, for both alike: that is
//! how a device is scraped. `node_exporter` is switched to the collectors that mote has and to the
//! interfaces that mote shows; in netclass and conntrack it has some families more.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::peers::program::{Program, find};
use super::peers::scraper::Scraper;
use super::{Failure, Figure, Findings, LONG, Plan, kernel, let_run};
use crate::agent::is_emulated;
use crate::scraped::{self, free_address};

/// Scrapes before those that count.
const WARM: u32 = 5;
const SCRAPES: u32 = 200;
/// The agent admits twenty a second.
const PAUSE: Duration = Duration::from_millis(60);
/// A scrape is to cost a tenth of `node_exporter`'s.
const SHARE: f64 = 0.1;

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let theirs_us = node_exporter_us(plan)?;
    let (mine_us, rss_kib) = mote(plan)?;
    let mut mine = Figure::new("scrape_cpu_us", mine_us, "us", 0);
    match theirs_us {
        Some(theirs_us) => {
            mine = mine.within_alone(SHARE * theirs_us);
            let key = "peers.node_exporter.scrape_cpu_us";
            findings.figures.push(Figure::new(key, theirs_us, "us", 0));
            let note = "the budget of scrape_cpu_us is a tenth of peers.node_exporter.scrape_cpu_us; both \
                 are asked every 60 ms, with processors that may sleep in between";
            findings.notes.push(note.to_owned());
        }
        None => findings.notes.push(
            "peers.node_exporter.scrape_cpu_us is left out: it comes with Debian's \
             prometheus-node-exporter"
                .to_owned(),
        ),
    }
    findings.figures.push(mine);
    findings
        .figures
        .push(Figure::memory("rss_listener_kb", rss_kib));
    Ok(findings)
}

/// CPU time of a scrape, and what is resident after the last.
fn mote(plan: &Plan) -> Result<(f64, u64), Failure> {
    if is_emulated() {
        return Err("under an emulator, its own work is measured".into());
    }
    let mut agent = scraped::agent()?.flag("interval", "1h").start()?;
    let mut scraper = Scraper::connect(scraped::address_of(&agent, LONG)?)?;
    let process = agent.pid().to_string();
    let mut pass = |count| {
        for _ in 0..count {
            let_run(&mut agent, PAUSE)?;
            scraper.scrape_plain()?;
        }
        let_run(&mut agent, PAUSE)?;
        Ok::<_, Failure>(kernel::cpu_us(&process)?)
    };
    let before_us = pass(WARM)?;
    let counted = plan.enough(SCRAPES);
    let cpu_us = (pass(counted)? - before_us) / f64::from(counted);
    Ok((cpu_us, kernel::rss_kib_of_family(agent.pid())?))
}

fn node_exporter_us(plan: &Plan) -> Result<Option<f64>, Failure> {
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
    let connected = Scraper::connect(address);
    program.check()?;
    let (mut scraper, pid) = (connected?, program.pid());
    let mut pass = |count| {
        for _ in 0..count {
            program.let_run(PAUSE)?;
            scraper.scrape_plain()?;
        }
        program.let_run(PAUSE)?;
        Ok::<_, Failure>(kernel::cpu_us_of_family(pid)?)
    };
    let before_us = pass(WARM)?;
    let counted = plan.enough(SCRAPES);
    Ok(Some((pass(counted)? - before_us) / f64::from(counted)))
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
