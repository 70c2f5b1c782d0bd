//! What the agent costs, measured from outside on the real binary.
//!
//! Each measurement starts agents of its own against a hub in this process and gives figures, each
//! with its unit and its budget. kB and MB are of 1000 bytes, times are wall or CPU time as the
//! name says. A budget that is kept on a busy machine is kept; one that is missed there says
//! little: nothing else should run beside this.
//!
//! These are measurements and no tests: nothing here decides what is right, only what is over.

mod allocs;
mod awake;
mod binary;
mod black_hole;
mod disk;
mod figure;
mod heartbeat;
mod idle;
mod kernel;
mod late;
mod machine;
mod orchestrator;
mod peak;
mod peers;
mod place;
mod readme;
mod report;
mod scrape;
mod sending;
mod start;
mod wakeups;

use std::error::Error;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

pub use figure::Figure;
pub use readme::with_table;
pub use report::Report;

use crate::agent::{AgentBuilder, AgentUnderTest, LogLine};
use crate::hub::{Hub, HubConfig, Misbehaviour};
use crate::wait::lock;

/// More than an agent needs to start, or to answer to anything, on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// The interval of every measurement that counts ticks.
const TICK: Duration = Duration::from_millis(100);

/// Measurements of the quick form at a time: what they wait for adds up to minutes.
const QUICK_AT_ONCE: usize = 5;

/// Why something could not be measured.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a measurement found.
#[derive(Debug, Default)]
pub struct Findings {
    pub figures: Vec<Figure>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

impl From<Vec<Figure>> for Findings {
    fn from(figures: Vec<Figure>) -> Self {
        Self {
            figures,
            ..Self::default()
        }
    }
}

/// How to measure.
#[derive(Debug)]
pub struct Plan {
    quick: bool,
    /// Measurements and figures by their names; all if there are none.
    names: Vec<String>,
    begun: Instant,
}

impl Plan {
    /// `quick` takes a tenth of the ticks, several measurements at once, and leaves out what cannot
    /// be shortened. `names` are those of measurements and of figures; without any, all are taken.
    pub fn new(quick: bool, names: Vec<String>) -> Self {
        let begun = Instant::now();
        Self {
            quick,
            names,
            begun,
        }
    }

    fn wants(&self, one: &Measurement) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| one.is_called(name))
    }

    /// Whether `key`, a figure of a kind that has several, is to be found: it is not if others of
    /// the measurement were asked for by name.
    fn wants_figure(&self, key: &str) -> bool {
        let kind = key.split('.').next().unwrap_or_default();
        let is_of_kind = |name: &&String| name.split('.').next() == Some(kind);
        let mut asked = self.names.iter().filter(is_of_kind).peekable();
        asked.peek().is_none() || asked.any(|name| name == key || name == kind)
    }

    /// How many ticks, deliveries or intervals are enough.
    fn enough(&self, full: u32) -> u32 {
        if self.quick { full / 10 } else { full }
    }

    /// How many measurements run at once, apart from those that nothing disturbs.
    fn at_once(&self) -> usize {
        if self.quick { QUICK_AT_ONCE } else { 1 }
    }

    /// Tells the person who waits what is being done.
    fn say(&self, words: &str) {
        eprintln!("bench: {:4} s  {words}", self.begun.elapsed().as_secs());
    }
}

/// Something that can be measured by itself.
#[derive(Debug)]
pub struct Measurement {
    pub name: &'static str,
    /// The figures that it gives; those of several kinds go on with a dot.
    pub keys: &'static [&'static str],
    pub about: &'static str,
    /// It takes long and next to no CPU, so the others run beside it.
    beside: bool,
    run: fn(&Plan) -> Result<Findings, Failure>,
}

impl Measurement {
    /// Whether `name` is its own or that of one of its figures.
    pub fn is_called(&self, name: &str) -> bool {
        let key = name.split('.').next().unwrap_or_default();
        name == self.name || self.keys.contains(&key)
    }
}

/// All there are, in the order in which they run.
pub const MEASUREMENTS: [Measurement; 13] = [
    Measurement {
        name: "binary",
        keys: &["binary_bytes", "small_binary_bytes"],
        about: "size of what was built, for each target",
        beside: false,
        run: binary::measure,
    },
    Measurement {
        name: "allocs",
        keys: &["tick_allocs"],
        about: "allocations in a thousand ticks, counted by a build of its own",
        beside: false,
        run: allocs::measure,
    },
    Measurement {
        name: "peak",
        keys: &["peak_kb"],
        about: "memory after a lap of the full outbox; 15 minutes, beside the others; not quick",
        beside: true,
        run: peak::measure,
    },
    Measurement {
        name: "orchestrator",
        keys: &["rss_orchestrator_kb", "peak_orchestrator_kb"],
        about: "memory with plugins connected; after a lap of the outbox and 4 actions at once",
        beside: true,
        run: orchestrator::measure,
    },
    Measurement {
        name: "start",
        keys: &["first_delivery_ms"],
        about: "from exec to the first sample at the hub, median of five",
        beside: false,
        run: start::measure,
    },
    Measurement {
        name: "disk",
        keys: &["disk_stall_ms_max"],
        about: "the longest wait for the disk in five starts and stops",
        beside: false,
        run: disk::measure,
    },
    Measurement {
        name: "sending",
        keys: &[
            "rss_kb",
            "anon_kb",
            "wire_bytes_per_sample",
            "deliver_cpu_us",
            "deliver_mean_us",
            "deliver_asleep_us",
        ],
        about: "a delivery every 100 ms over one TLS connection",
        beside: false,
        run: sending::measure,
    },
    Measurement {
        name: "idle",
        keys: &["tick_cpu_us", "bare_reads_us", "paced_reads_us"],
        about: "a sample every 100 ms while the server is away",
        beside: false,
        run: idle::measure,
    },
    Measurement {
        name: "wakeups",
        keys: &["wakeups_idle", "wakeups_sending"],
        about: "how often it wakes in an interval of a second",
        beside: false,
        run: wakeups::measure,
    },
    Measurement {
        name: "heartbeat",
        keys: &["heartbeat_late_ms"],
        about: "how late heartbeats are while the metrics server is a black hole",
        beside: false,
        run: heartbeat::measure,
    },
    Measurement {
        name: "peers",
        keys: &["peers"],
        about: "memory and CPU of others that do the same, beside mote",
        beside: false,
        run: peers::measure,
    },
    Measurement {
        name: "scrape",
        keys: &["scrape_cpu_us", "rss_listener_kb"],
        about: "what a page for Prometheus costs, beside node_exporter's of the same families",
        beside: false,
        run: scrape::measure,
    },
    Measurement {
        name: "late",
        keys: &["late_ms", "late_ms_max", "stop_ms_max", "threads"],
        about: "how late samples are under faults, two faults at a time",
        beside: false,
        run: late::measure,
    },
];

/// Measures what the plan asks for.
pub fn run(plan: &Plan) -> Report {
    let mut report = Report::new(machine::look());
    if let Some(words) = machine::busy_note() {
        report.note(words);
    }
    let measure = |one: &Measurement| {
        plan.say(&format!("{}: {}", one.name, one.about));
        let findings = (one.run)(plan);
        plan.say(&format!("{}: done", one.name));
        findings
    };
    let chosen: Vec<_> = MEASUREMENTS.iter().filter(|one| plan.wants(one)).collect();
    if chosen.len() < MEASUREMENTS.len() {
        let names: Vec<_> = chosen.iter().map(|one| one.name).collect();
        report.note(format!(
            "this is not all there is: only {}",
            names.join(", ")
        ));
    }
    let (beside, in_turn): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|one| one.beside);
    // The last take longest: where several run at once, they are begun first.
    let in_turn = if plan.at_once() > 1 {
        in_turn.into_iter().rev().collect()
    } else {
        in_turn
    };
    let (queue, found) = (Mutex::new(in_turn.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let (queue, found, measure) = (&queue, &found, &measure);
        let one_after_the_other = move || {
            loop {
                // The lock is not held while something is measured.
                let next = lock(queue).next();
                let Some(one) = next else {
                    return;
                };
                let findings = measure(one);
                lock(found).push((one.name, findings));
            }
        };
        for _ in 0..plan.at_once() {
            scope.spawn(one_after_the_other);
        }
        for one in &beside {
            scope.spawn(move || {
                // Not while the lock is held: the others are to be found meanwhile.
                let findings = measure(one);
                lock(found).push((one.name, findings));
            });
        }
    });
    let mut found = std::mem::take(&mut *lock(&found));
    found.sort_by_key(|(name, _)| MEASUREMENTS.iter().position(|one| one.name == *name));
    for (name, findings) in found {
        report.take(name, findings);
    }
    if plan.at_once() > 1 {
        report.beside_others();
    }
    report
}

/// A hub that nobody can connect to.
fn hub_that_is_away() -> Result<Hub, Failure> {
    Ok(Hub::start(HubConfig {
        misbehaviour: Misbehaviour::RefuseConnections,
        ..HubConfig::default()
    })?)
}

/// An agent that samples at each tick and, if it cannot deliver, does not try again.
fn patient_agent(hub: &Hub, interval: &str) -> Result<AgentBuilder, Failure> {
    let agent = AgentBuilder::new()?.for_hub(hub).flag("interval", interval);
    Ok(agent.flag("retry-backoff", "1h").flag("retry-max", "1h"))
}

/// Whether a line says that a sample could not be delivered.
fn is_failure(line: &LogLine) -> bool {
    line.msg().starts_with("Metrics send failed")
}

/// Lets an agent run for a while. An error if it ends.
fn let_run(agent: &mut AgentUnderTest, time: Duration) -> Result<(), Failure> {
    // Waits for a line that never comes, and so for the end of the time or of the agent.
    match agent.wait_for_log_from(agent.log().len(), |_| false, time) {
        Err(words) if !agent.is_running() => Err(words.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_figure_is_given_by_two_measurements() {
        let names = |one: &'static Measurement| one.keys.iter().copied().chain([one.name]);
        for name in MEASUREMENTS.iter().flat_map(names) {
            let called = MEASUREMENTS.iter().filter(|one| one.is_called(name));
            assert_eq!(called.count(), 1, "{name}");
        }
    }

    #[test]
    fn one_figure_of_a_kind_can_be_asked_for() {
        let plan = |names: &[&str]| Plan::new(true, names.iter().map(|&it| it.into()).collect());
        for (names, wanted) in [
            (&[][..], true),
            (&["late"], true),
            (&["late_ms"], true),
            (&["late_ms.crowd"], true),
            (&["late_ms.none"], false),
            (&["late_ms.none", "late_ms.crowd"], true),
            (&["late_ms.none", "late_ms"], true),
        ] {
            assert_eq!(
                plan(names).wants_figure("late_ms.crowd"),
                wanted,
                "{names:?}"
            );
        }
    }

    #[test]
    fn a_measurement_is_called_by_its_name_and_by_its_figures() {
        let called = |name: &str| {
            let one = MEASUREMENTS.iter().find(|one| one.is_called(name));
            one.map(|one| one.name)
        };
        assert_eq!(called("late"), Some("late"));
        assert_eq!(called("late_ms.silent"), Some("late"));
        assert_eq!(
            called("binary_bytes.x86_64-unknown-linux-musl"),
            Some("binary")
        );
        assert_eq!(called("late.silent"), None);
        assert_eq!(called(""), None);
    }
}
