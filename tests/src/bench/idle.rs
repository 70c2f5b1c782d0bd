//! What a sample costs when nothing is sent, beside what the kernel takes for the bare reads.
//!
//! The agent's CPU time is divided by the ticks of the time that it was watched. The bare reads are
//! made by this program, before and after, in a loop that does nothing else: warm caches, no timer,
//! no parsing. They are the floor that nothing can get under.
//!
//! The budget is three times the paced reads: the same with a `poll(2)` of an interval before each
//! lap. A process that sleeps 100 ms finds cold caches when it wakes, whatever it then does, so
//! this is the floor for anything that samples at the agent's pace.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use nix::sys::statvfs::statvfs;

use super::{
    Failure, Figure, Findings, LONG, Plan, TICK, hub_that_is_away, is_failure, kernel, let_run,
    patient_agent,
};

const TICKS: u32 = 1000;
/// Laps of the bare reads, before and again after.
const LAPS: u32 = 10_000;
/// Likewise.
const PACED_LAPS: u32 = 150;
const BUDGET_PACED_READS: f64 = 3.0;
const NOTE: &str = "the budget of tick_cpu_us is 3 times paced_reads_us: the bare reads at the \
    agent's pace, a wait of 100 ms before each lap, since who sleeps finds cold caches; \
    bare_reads_us is the same in a tight loop";

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let hub = hub_that_is_away()?;
    let mut agent = patient_agent(&hub, "100ms")?.start()?;
    agent.wait_for_log(is_failure, LONG)?;
    let reads = BareReads::open()?;
    let look = || {
        let bare_us = reads.lap_us(LAPS, None)?;
        let paced_us = reads.lap_us(plan.enough(PACED_LAPS), Some(TICK))?;
        Ok::<_, Failure>((bare_us, paced_us))
    };
    let floors_before_us = look()?;

    let process = agent.pid().to_string();
    let (cpu_before_us, begun) = (kernel::cpu_us(&process)?, Instant::now());
    let_run(&mut agent, TICK * plan.enough(TICKS))?;
    let (cpu_us, watched) = (kernel::cpu_us(&process)?, begun.elapsed());

    let floors_after_us = look()?;
    let bare_us = f64::midpoint(floors_before_us.0, floors_after_us.0);
    let paced_us = f64::midpoint(floors_before_us.1, floors_after_us.1);
    let ticks = watched.as_secs_f64() / TICK.as_secs_f64();
    let tick_us = (cpu_us - cpu_before_us) / ticks;
    let figures = vec![
        Figure::new("tick_cpu_us", tick_us, "us", 1).within_alone(BUDGET_PACED_READS * paced_us),
        Figure::new("bare_reads_us", bare_us, "us", 1),
        Figure::new("paced_reads_us", paced_us, "us", 1),
    ];
    Ok(Findings {
        figures,
        notes: vec![NOTE.to_owned()],
        ..Findings::default()
    })
}

/// The files that a sample is made of, held open as the agent holds them.
struct BareReads {
    files: Vec<File>,
}

impl BareReads {
    fn open() -> io::Result<Self> {
        let paths = ["stat", "meminfo", "net/dev"];
        let files = paths.map(|name| File::open(format!("/proc/{name}")));
        Ok(Self {
            files: files.into_iter().collect::<io::Result<_>>()?,
        })
    }

    /// The CPU time of a lap, over so many, with a wait before each if there is a `pace`.
    fn lap_us(&self, laps: u32, pace: Option<Duration>) -> Result<f64, Failure> {
        let mut buffer = [0; 8 * 1024];
        let pace = pace.map(PollTimeout::try_from).transpose()?;
        let before_us = kernel::cpu_us("thread-self")?;
        for _ in 0..laps {
            if let Some(pace) = pace {
                poll(&mut [], pace)?;
            }
            for file in &self.files {
                file.read_at(&mut buffer, 0)?;
            }
            statvfs("/")?;
        }
        Ok((kernel::cpu_us("thread-self")? - before_us) / f64::from(laps))
    }
}
