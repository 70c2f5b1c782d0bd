//! What others take for the same: resident memory and CPU time a sample.
//!
//! All run side by side, each with one sample a second over plain HTTP on loopback:
//!
//! - `mote`, at its defaults but for the interval;
//! - `busybox`, a shell loop that reads the same files and posts the same names (`busybox.sh`);
//! - `node_exporter`, at its defaults, scraped as Prometheus does it;
//! - `collectd` with the plugins cpu, memory, df and interface, and with `write_http`, which posts
//!   several values at a time, whenever it has four kilobytes; where that plugin cannot be loaded,
//!   it sends nothing, and a note says so.
//!
//! Both figures are of a process and its children; pages that they share count for each. The CPU
//! time of children is counted by the kernel in hundredths of a second, once they have ended, so
//! for the shell loop the figure is good to some hundred microseconds. Those that are not
//! installed are left out.

mod http;
pub(super) mod program;
pub(super) mod scraper;
mod sink;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fs, io, thread};

use tempfile::TempDir;

use super::{Failure, Figure, Findings, LONG, Plan, kernel};
use crate::agent::mote_binary;
use crate::scraped::free_address;
use crate::wait::poll_until;
use program::{Program, find};
use scraper::Scraper;
use sink::Sink;

const INTERVAL: Duration = Duration::from_secs(1);
/// Samples before those that count.
const WARM: u32 = 5;
const COUNTED: u32 = 30;
const COUNTED_QUICK: u32 = 10;

const BUSYBOX_LOOP: &str = include_str!("busybox.sh");

/// One that is measured.
#[derive(Debug)]
struct Peer {
    key: &'static str,
    /// What brings it on Debian.
    package: &'static str,
    /// None if it is not installed.
    start: fn() -> Result<Option<Begun>, Failure>,
}

const PEERS: [Peer; 4] = [
    Peer {
        key: "mote",
        package: "mote",
        start: start_mote,
    },
    Peer {
        key: "busybox",
        package: "busybox",
        start: start_busybox,
    },
    Peer {
        key: "node_exporter",
        package: "prometheus-node-exporter",
        start: start_node_exporter,
    },
    Peer {
        key: "collectd",
        package: "collectd-core",
        start: start_collectd,
    },
];

/// One that runs.
#[derive(Debug)]
struct Begun {
    program: Program,
    work: Work,
}

/// How its samples come about.
#[derive(Debug)]
enum Work {
    /// Each is a request of its own.
    Posts(Sink),
    /// They are gathered in requests.
    Batches(Sink),
    /// They are taken, and that is all.
    Unsent,
    /// Each is asked for.
    Scrapes(Scraper),
}

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let counted = if plan.quick { COUNTED_QUICK } else { COUNTED };
    let mut findings = Findings::default();
    thread::scope(|scope| {
        let threads = PEERS.map(|peer| {
            let key = peer.key;
            (key, scope.spawn(move || watch(&peer, counted)))
        });
        for (key, thread) in threads {
            let found = thread.join();
            match found.map_err(|_| format!("watching {key} panicked"))? {
                Ok(found) => {
                    findings.figures.extend(found.figures);
                    findings.notes.extend(found.notes);
                }
                Err(error) => findings.failures.push(format!("peers.{key}: {error}")),
            }
        }
        Ok(findings)
    })
}

/// Runs one for as long as it takes.
fn watch(peer: &Peer, counted: u32) -> Result<Findings, Failure> {
    let Peer { key, package, .. } = peer;
    let Some(mut begun) = (peer.start)()? else {
        let note = format!("peers.{key} is left out: it comes with Debian's {package}");
        return Ok(Findings {
            notes: vec![note],
            ..Findings::default()
        });
    };
    begun.pass(WARM)?;
    let pid = begun.program.pid();
    let before_us = kernel::cpu_us_of_family(pid)?;
    begun.pass(counted)?;
    let cpu_us = (kernel::cpu_us_of_family(pid)? - before_us) / f64::from(counted);
    let rss_kib = kernel::rss_kib_of_family(pid)?;
    let notes = match begun.work {
        Work::Unsent => vec![format!(
            "peers.{key} is without sending: it ends if told to load write_http, which needs \
             libraries (libyajl2, libcurl3-gnutls) that its package only recommends"
        )],
        _ => Vec::new(),
    };
    Ok(Findings {
        figures: vec![
            Figure::memory(&format!("peers.{key}.rss_kb"), rss_kib),
            Figure::new(format!("peers.{key}.cpu_us_per_sample"), cpu_us, "us", 0),
        ],
        notes,
        ..Findings::default()
    })
}

impl Begun {
    /// Lets so many samples pass, and then half an interval, in which nobody works.
    fn pass(&mut self, samples: u32) -> Result<(), Failure> {
        let time = INTERVAL * samples;
        match &mut self.work {
            Work::Posts(sink) => {
                let enough = sink.posts() + u64::from(samples);
                let came = sink.wait_for(enough, time + LONG);
                self.program.check()?;
                came?;
            }
            Work::Batches(sink) => {
                let before = sink.posts();
                self.program.let_run(time)?;
                if sink.posts() == before {
                    return Err(format!("nothing was posted in {time:?}").into());
                }
            }
            Work::Unsent => self.program.let_run(time)?,
            Work::Scrapes(scraper) => {
                for _ in 0..samples {
                    self.program.let_run(INTERVAL)?;
                    let answered = scraper.scrape();
                    self.program.check()?;
                    answered?;
                }
            }
        }
        self.program.let_run(INTERVAL / 2)
    }
}

/// For the files of one of them.
fn folder() -> io::Result<TempDir> {
    TempDir::with_prefix("mote-peer-")
}

fn start_mote() -> Result<Option<Begun>, Failure> {
    let (sink, folder) = (Sink::start()?, folder()?);
    let mut command = Command::new(mote_binary()?);
    command.args(["run", "--interval", "1s", "--api-key", "bench"]);
    command.args(["--server-url", &sink.url()]);
    command.arg("--base-dir").arg(folder.path());
    // It names no key, and would be warned of.
    command.env_remove("MOTE_BIN");
    let program = Program::start(command, folder)?;
    let work = Work::Posts(sink);
    Ok(Some(Begun { program, work }))
}

fn start_busybox() -> Result<Option<Begun>, Failure> {
    let Some(busybox) = find(&["busybox"]) else {
        return Ok(None);
    };
    let sink = Sink::start()?;
    let mut command = Command::new(busybox);
    command.args(["sh", "-c", BUSYBOX_LOOP, "sh", &sink.url()]);
    let program = Program::start(command, folder()?)?;
    let work = Work::Posts(sink);
    Ok(Some(Begun { program, work }))
}

fn start_node_exporter() -> Result<Option<Begun>, Failure> {
    let Some(exporter) = find(&["prometheus-node-exporter", "node_exporter"]) else {
        return Ok(None);
    };
    let address = free_address()?;
    let mut command = Command::new(exporter);
    command.arg(format!("--web.listen-address={address}"));
    let mut program = Program::start(command, folder()?)?;
    let connected = Scraper::connect(address);
    program.check()?;
    let work = Work::Scrapes(connected?);
    Ok(Some(Begun { program, work }))
}

fn start_collectd() -> Result<Option<Begun>, Failure> {
    let Some(collectd) = find(&["collectd"]) else {
        return Ok(None);
    };
    let sink = Sink::start()?;
    let mut program = run_collectd(&collectd, Some(&sink.url()))?;
    // If the plugin cannot be loaded, collectd ends; its own test of the file does not notice.
    let posts = poll_until("collectd to post or to end", LONG, || {
        let runs = program.check().is_ok();
        (!runs || sink.posts() > 0).then_some(runs)
    })?;
    let begun = if posts {
        let work = Work::Batches(sink);
        Begun { program, work }
    } else {
        let program = run_collectd(&collectd, None)?;
        let work = Work::Unsent;
        Begun { program, work }
    };
    Ok(Some(begun))
}

fn run_collectd(collectd: &Path, url: Option<&str>) -> Result<Program, Failure> {
    let folder = folder()?;
    let conf = folder.path().join("collectd.conf");
    fs::write(&conf, collectd_conf(folder.path(), url))?;
    let mut command = Command::new(collectd);
    command.arg("-f").arg("-C").arg(conf);
    Program::start(command, folder)
}

fn collectd_conf(folder: &Path, url: Option<&str>) -> String {
    let folder = folder.display();
    let sending = |url| {
        format!(
            "LoadPlugin write_http\n<Plugin write_http>\n<Node \"sink\">\n\
             URL \"{url}/\"\nFormat \"JSON\"\n</Node>\n</Plugin>\n"
        )
    };
    let sending = url.map(sending).unwrap_or_default();
    format!(
        "Interval 1\nHostname \"bench\"\nFQDNLookup false\n\
         BaseDir \"{folder}\"\nPIDFile \"{folder}/pid\"\n\
         LoadPlugin cpu\nLoadPlugin memory\nLoadPlugin df\nLoadPlugin interface\n\
         <Plugin df>\nMountPoint \"/\"\n</Plugin>\n{sending}"
    )
}
