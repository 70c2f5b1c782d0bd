//! Outages, kills and restarts at random, and whether every sample is where it belongs.
//!
//! One agent with one state folder lives through a [`story`], against a hub in this process. The
//! kernel says which samples it took (strace sees each begin with a read of `/proc/meminfo`), the
//! hub which of them arrived, the state folder which were saved; the [`books`] hold them against
//! each other at each end of the agent and at the end of the story. Equal seeds tell equal stories;
//! what exactly each moment meets is up to the machine.

mod books;
mod saved;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use crate::agent::{AgentBuilder, AgentUnderTest, Signal};
use crate::bench::Failure;
use crate::hub::{Hub, HubConfig, Misbehaviour, Received};
use crate::wait::poll_until;
use books::{Books, Key};
use story::{End, Round};

pub use story::Measure;

/// Each sample reads it exactly once.
const SAMPLED: &str = "/proc/meminfo";
/// More than an agent needs to start, or to send all it holds, on a busy machine.
const LONG: Duration = Duration::from_mins(1);
/// One sample in so many may come twice: the last one before a connection broke, whose answer
/// nobody heard.
const REPEATS_ONE_IN: u64 = 1000;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    /// Samples that the agent took.
    pub taken: u64,
    /// Samples that the server has.
    pub arrived: u64,
    /// Samples that were in memory alone when the agent was killed.
    pub lost: u64,
    /// Answered with a whole 2xx more than once.
    pub repeats: u64,
    pub outages: u64,
    pub kills: u64,
    pub restarts: u64,
    /// What is not as it must be.
    pub complaints: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "seed {}: {} outages, {} kills, {} restarts",
            self.seed, self.outages, self.kills, self.restarts
        )?;
        writeln!(
            out,
            "{} samples taken, {} arrived, {} were in memory alone at a kill, {} came twice",
            self.taken, self.arrived, self.lost, self.repeats
        )?;
        for words in &self.complaints {
            writeln!(out, "wrong: {words}")?;
        }
        Ok(())
    }
}

/// Lives through it. An error is what kept it from being told to its end.
pub fn run(measure: &Measure, say: &dyn Fn(&str)) -> Result<Report, Failure> {
    let rounds = story::tell(measure);
    let mut stage = Stage::new(measure)?;
    stage.start()?;
    for (nth, round) in rounds.iter().enumerate() {
        stage.live(round)?;
        if (nth + 1) % 20 == 0 {
            say(&format!(
                "{} of {} outages, {} samples taken, {} lost with kills",
                nth + 1,
                rounds.len(),
                stage.books.taken(),
                stage.books.lost()
            ));
        }
    }
    stage.take_the_rest()?;
    stage.close()
}

/// The agent, the server, and what is known of them.
struct Stage {
    measure: Measure,
    hub: Hub,
    builder: AgentBuilder,
    agent: Option<AgentUnderTest>,
    starts: u64,
    kills: u64,
    books: Books,
}

impl Stage {
    fn new(measure: &Measure) -> Result<Self, Failure> {
        let hub = Hub::start(HubConfig {
            // Each sample may be tried in several outages.
            keep: usize::try_from(measure.samples * 10)?,
            ..HubConfig::default()
        })?;
        let interval = format!("{}ms", measure.interval.as_millis());
        let builder = AgentBuilder::new()?
            .for_hub(&hub)
            .flag("interval", interval)
            .flag("retry-backoff", "50ms")
            .flag("retry-max", "200ms")
            .flag("timeout", "500ms")
            .flag("connect-timeout", "500ms")
            .flag("backfill-rate", "500")
            .flag("buffer-samples", (measure.samples * 2).to_string())
            .flag("buffer-save-every", "1s")
            .flag("log-level", "error")
            .trace_reads_of(SAMPLED);
        Ok(Self {
            measure: *measure,
            hub,
            builder,
            agent: None,
            starts: 0,
            kills: 0,
            books: Books::default(),
        })
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.agent = Some(self.builder.start()?);
        self.starts += 1;
        Ok(())
    }

    fn live(&mut self, round: &Round) -> Result<(), Failure> {
        self.pass(round.good)?;
        self.end_and_start(round.end_in_good)?;
        self.hub.misbehave(round.misbehaviour.clone());
        self.pass(round.outage)?;
        self.end_and_start(round.end_in_outage)?;
        self.hub.misbehave(Misbehaviour::Normal);
        Ok(())
    }

    /// Lets the agent run for a while. An error if it ends.
    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        let agent = self.agent.as_mut().ok_or("no agent runs")?;
        let ended = poll_until("an end that nobody asked for", time, || {
            (!agent.is_running()).then_some(())
        });
        if ended.is_ok() && Instant::now() < until {
            return Err(
                format!("the agent ended by itself:\n{}", agent.stderr().join("\n")).into(),
            );
        }
        Ok(())
    }

    fn end_and_start(&mut self, end: Option<End>) -> Result<(), Failure> {
        let Some(end) = end else {
            return Ok(());
        };
        self.end(end)?;
        self.start()
    }

    /// Ends the agent and brings the books up to date.
    fn end(&mut self, end: End) -> Result<(), Failure> {
        let mut agent = self.agent.take().ok_or("no agent runs")?;
        match end {
            End::Kill => {
                agent.signal(Signal::SIGKILL)?;
                agent.wait_exit(LONG)?;
                self.kills += 1;
            }
            End::Stop => {
                let status = agent.stop(Signal::SIGTERM)?;
                if !status.success() {
                    self.books.complaints.push(format!("a stop gave {status}"));
                }
            }
        }
        // What was under way at the server is settled once it has seen the connections end.
        self.hub
            .wait_until("the end of all connections", LONG, |stats, _| {
                stats.open == 0
            })?;
        let trace = agent.finished_trace(LONG)?;
        self.books.took(self.starts, trace.len() as u64);
        let (arrived, saved) = (self.arrived(), saved::read(&self.builder.base_dir())?);
        match end {
            End::Kill => self.books.killed(&arrived, &saved),
            End::Stop => self.books.stopped(&arrived, &saved),
        }
        Ok(())
    }

    /// What the server has.
    fn arrived(&self) -> BTreeSet<Key> {
        let samples = self.hub.received();
        let key = |it: &Received| Some((it.start_number()?, it.sample_number()?));
        samples.iter().filter_map(key).collect()
    }

    /// Lets the agent take the samples that it did not take while it was not running.
    fn take_the_rest(&mut self) -> Result<(), Failure> {
        loop {
            let agent = self.agent.as_ref().ok_or("no agent runs")?;
            let reads = agent.read_times_ms()?.len();
            self.books.took(self.starts, reads as u64);
            if self.books.taken() >= self.measure.samples {
                return Ok(());
            }
            self.pass(self.measure.interval * 20)?;
        }
    }

    /// Gives the agent the time to send all it holds, ends it and closes the books.
    fn close(mut self) -> Result<Report, Failure> {
        let mut left = BTreeSet::new();
        let sent = poll_until("all held samples to arrive", LONG, || {
            let agent = self.agent.as_ref()?;
            let reads = agent.read_times_ms().ok()?.len();
            self.books.took(self.starts, reads as u64);
            left = self.books.missing(&self.arrived(), &BTreeSet::new());
            // A few are always on their way.
            (left.len() <= 3).then_some(())
        });
        if sent.is_err() {
            self.books.complaints.push(format!(
                "{} samples did not arrive within {LONG:?}, the first of them {:?}",
                left.len(),
                left.first()
            ));
        }
        self.end(End::Stop)?;
        let (arrived, saved) = (self.arrived(), saved::read(&self.builder.base_dir())?);
        self.books.close(&arrived, &saved);
        let repeats = self.repeats();
        let mut complaints = self.books.complaints.clone();
        // In a short story one or two are no share.
        if repeats > (arrived.len() as u64 / REPEATS_ONE_IN).max(2) {
            complaints.push(format!(
                "{repeats} of {} samples came twice: more than one in a thousand",
                arrived.len()
            ));
        }
        complaints.extend(self.hub.violations());
        Ok(Report {
            seed: self.measure.seed,
            taken: self.books.taken(),
            arrived: arrived.len() as u64,
            lost: self.books.lost(),
            repeats,
            outages: self.measure.outages,
            kills: self.kills,
            restarts: self.starts - 1 - self.kills,
            complaints,
        })
    }

    /// How many deliveries were of a sample that was delivered before.
    fn repeats(&self) -> u64 {
        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        for sample in self.hub.received() {
            *times.entry(sample.key).or_default() += 1;
        }
        times.values().map(|times| times - 1).sum()
    }
}
