//! Many ticks of one agent with everything that happens to it, and whether anything grows.
//!
//! The agent is warmed first: its outbox is filled to the last slot once, and outages of every kind,
//! reloads and new log files come up as they will later. What it then holds is the measure: after
//! all the ticks its memory may be 64 kB more, and its descriptors must be the same. Memory is kB
//! as the kernel counts them, of 1024 bytes.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use mote_core::rng::Rng;

use crate::agent::{AgentBuilder, AgentUnderTest, Signal};
use crate::bench::Failure;
use crate::hub::{Hub, HubConfig, Misbehaviour, Received};
use crate::wait::poll_until;

/// The most that memory may grow.
pub const GROWTH_KB: u64 = 64;
/// Old log files that are kept.
const BACKUPS: u32 = 2;
/// More than anything here takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);

/// How much is to happen.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Ticks in all.
    pub ticks: u64,
    /// Ticks after which everything must have come up once.
    pub warm_ticks: u64,
    pub interval: Duration,
    /// Samples that the outbox holds: less than the warming takes.
    pub outbox: u64,
    /// Ticks from one outage to the next, about.
    pub round: u64,
    pub seed: u64,
}

/// What the agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub tick: u64,
    pub rss_kb: u64,
    /// Of it backed by no file.
    pub anonymous_kb: u64,
    /// What the descriptors are of, sorted.
    pub descriptors: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub warm: Holding,
    pub end: Holding,
    pub outages: u64,
    pub reloads: u64,
    /// Log files that were begun, the first included.
    pub log_files: u64,
    /// What is not as it must be.
    pub complaints: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "seed {}: {} outages, {} reloads, {} log files",
            self.seed, self.outages, self.reloads, self.log_files
        )?;
        for holding in [&self.warm, &self.end] {
            writeln!(
                out,
                "after {} ticks: {} kB resident, {} kB of it anonymous, {} descriptors",
                holding.tick,
                holding.rss_kb,
                holding.anonymous_kb,
                holding.descriptors.len()
            )?;
        }
        for words in &self.complaints {
            writeln!(out, "wrong: {words}")?;
        }
        Ok(())
    }
}

/// Lives through it. An error is what kept it from coming to its end.
pub fn run(measure: &Measure, say: &dyn Fn(&str)) -> Result<Report, Failure> {
    let mut stage = Stage::start(measure)?;
    stage.fill_outbox(say)?;
    for way in Misbehaviour::every_outage() {
        stage.round(way)?;
    }
    // One that meets the agent in the midst of a handshake comes up seldom.
    stage.hub.script(vec![Misbehaviour::RefuseConnections; 3]);
    stage.hub.drop_connections();
    while stage.tick < measure.warm_ticks || stage.reloads < 2 {
        stage.any_round()?;
    }
    let warm = stage.quiet()?;
    say(&format!("warm: {} kB at tick {}", warm.rss_kb, warm.tick));
    let mut end = warm.clone();
    while end.tick < measure.ticks {
        let next = (end.tick + measure.ticks / 10).min(measure.ticks);
        while stage.tick < next {
            stage.any_round()?;
        }
        end = stage.quiet()?;
        say(&format!("{} kB at tick {}", end.rss_kb, end.tick));
    }
    let mut complaints = stage.hub.violations();
    if end.rss_kb > warm.rss_kb + GROWTH_KB {
        complaints.push(format!(
            "resident memory grew by {} kB, more than {GROWTH_KB}",
            end.rss_kb - warm.rss_kb
        ));
    }
    if end.descriptors != warm.descriptors {
        complaints.push(format!(
            "the descriptors were {:?} and are {:?}",
            warm.descriptors, end.descriptors
        ));
    }
    let status = stage.agent.stop(Signal::SIGTERM)?;
    if !status.success() {
        complaints.push(format!("a stop gave {status}"));
    }
    Ok(Report {
        seed: measure.seed,
        warm,
        end,
        outages: stage.outages,
        reloads: stage.reloads,
        log_files: stage.log_files,
        complaints,
    })
}

/// The agent, the server, and what happened to them.
struct Stage {
    measure: Measure,
    hub: Hub,
    builder: AgentBuilder,
    agent: AgentUnderTest,
    rng: Rng,
    /// The newest sample that arrived.
    tick: u64,
    outages: u64,
    reloads: u64,
    log_files: u64,
    /// The file that is being logged to, by its inode.
    log_inode: Option<u64>,
}

impl Stage {
    fn start(measure: &Measure) -> Result<Self, Failure> {
        let hub = Hub::start(HubConfig {
            // Of each tick only the newest matters here.
            keep: 1_000,
            ..HubConfig::default()
        })?;
        let interval = format!("{}ms", measure.interval.as_millis());
        let builder = AgentBuilder::new()?;
        let log = builder.dir().join("mote.log");
        // As many old ones as may be: the first new one already makes the oldest go.
        for nth in 1..=BACKUPS {
            builder.write_file(&format!("mote.log.{nth}.gz"), "")?;
        }
        let builder = builder
            .for_hub(&hub)
            .flag("interval", interval)
            .flag("retry-backoff", "50ms")
            .flag("retry-max", "500ms")
            .flag("timeout", "500ms")
            .flag("connect-timeout", "500ms")
            .flag("buffer-samples", measure.outbox.to_string())
            .flag("log-level", "debug")
            .flag("log-output", "file")
            .flag("log-file", log)
            .flag("log-max-size", "1")
            .flag("log-max-backups", BACKUPS.to_string());
        let mut stage = Self {
            measure: *measure,
            hub,
            agent: builder.clone().config(&config(0))?.start()?,
            builder,
            rng: Rng::new(measure.seed),
            tick: 0,
            outages: 0,
            reloads: 0,
            log_files: 0,
            log_inode: None,
        };
        stage.wait_for_ticks(50)?;
        Ok(stage)
    }

    /// An outage that is longer than the outbox: every slot of it was used once.
    fn fill_outbox(&mut self, say: &dyn Fn(&str)) -> Result<(), Failure> {
        say(&format!("filling an outbox of {}", self.measure.outbox));
        self.hub.misbehave(Misbehaviour::RefuseConnections);
        self.pass(self.measure.interval * u32::try_from(self.measure.outbox + 100)?)?;
        self.hub.misbehave(Misbehaviour::Normal);
        self.wait_for_ticks(100)
    }

    fn any_round(&mut self) -> Result<(), Failure> {
        let ways = Misbehaviour::every_outage();
        let way = self.rng.below(ways.len() as u64) as usize;
        self.round(ways[way].clone())
    }

    /// A good time, often a reload, and an outage.
    fn round(&mut self, way: Misbehaviour) -> Result<(), Failure> {
        let round = self.measure.round;
        let ticks = round / 2 + self.rng.below(round / 2);
        self.wait_for_ticks(ticks)?;
        if self.rng.below(2) == 0 {
            self.reload()?;
        }
        self.hub.misbehave(way);
        self.outages += 1;
        let ticks = round / 8 + self.rng.below(round / 4);
        self.pass(self.measure.interval * u32::try_from(ticks)?)?;
        self.hub.misbehave(Misbehaviour::Normal);
        self.look_for_log_file();
        Ok(())
    }

    fn reload(&mut self) -> Result<(), Failure> {
        self.reloads += 1;
        self.builder
            .write_file("mote.yaml", &config(self.reloads))?;
        self.agent.signal(Signal::SIGHUP)?;
        Ok(())
    }

    /// A moment in which nothing is wrong and nothing is held, and what the agent then holds.
    fn quiet(&mut self) -> Result<Holding, Failure> {
        self.wait_for_ticks(self.measure.round)?;
        let memory = self.agent.memory()?;
        Ok(Holding {
            tick: self.tick,
            rss_kb: memory.rss_kb,
            anonymous_kb: memory.anonymous_kb,
            descriptors: descriptors(self.agent.pid())?,
        })
    }

    /// Waits until the newest sample that arrived is this much younger.
    fn wait_for_ticks(&mut self, ticks: u64) -> Result<(), Failure> {
        let wanted = self.tick + ticks;
        let newest = |attempts: &[Received]| {
            let delivered = attempts.iter().filter(|attempt| attempt.delivered);
            delivered.filter_map(Received::sample_number).max()
        };
        let timeout = LONG + self.measure.interval * u32::try_from(ticks)? * 2;
        let attempts = self
            .hub
            .wait_until("fresh samples", timeout, |_, attempts| {
                newest(attempts) >= Some(wanted)
            })
            .map_err(|words| format!("{words}; the agent says {:?}", self.agent.stderr()))?;
        self.tick = newest(&attempts).unwrap_or(self.tick);
        Ok(())
    }

    /// Lets the agent run for a while. An error if it ends.
    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        let agent = &mut self.agent;
        let ended = poll_until("an end that nobody asked for", time, || {
            (!agent.is_running()).then_some(())
        });
        if ended.is_ok() && Instant::now() < until {
            return Err(format!("the agent ended:\n{}", agent.stderr().join("\n")).into());
        }
        Ok(())
    }

    fn look_for_log_file(&mut self) {
        use std::os::unix::fs::MetadataExt;
        let found = fs::metadata(self.builder.dir().join("mote.log"));
        let inode = found.ok().map(|file| file.ino());
        if inode.is_some() && inode != self.log_inode {
            self.log_inode = inode;
            self.log_files += 1;
        }
    }
}

/// A file that a reload finds changed.
fn config(nth: u64) -> String {
    format!("system_info_period: {}s\n", 3_600 + nth % 2)
}

/// What each descriptor is of. Sockets and pipes are told by their kind alone.
fn descriptors(pid: u32) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = fs::read_link(entry?.path())?.to_string_lossy().into_owned();
        let kind = target.split(":[").next().unwrap_or_default();
        all.push(kind.to_owned());
    }
    all.sort_unstable();
    Ok(all)
}
