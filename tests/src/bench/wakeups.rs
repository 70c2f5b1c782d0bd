//! How often an agent wakes in an interval, with a sample every second.
//!
//! A wake-up is a voluntary context switch: it slept in its one wait, and something woke it. Two
//! agents are watched over the same time, one that delivers and one whose server is away.

use std::time::{Duration, Instant};

use super::figure::count;
use super::{
    Failure, Figure, Findings, LONG, Plan, hub_that_is_away, is_failure, kernel, let_run,
    patient_agent,
};
use crate::hub::{Hub, HubConfig};

const INTERVAL: Duration = Duration::from_secs(1);
/// So many that the quick form still has ten.
const INTERVALS: u32 = 100;

const BUDGET_IDLE: f64 = 2.0;
const BUDGET_SENDING: f64 = 6.0;

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let (away, there) = (hub_that_is_away()?, Hub::start(HubConfig::default())?);
    let mut idle = patient_agent(&away, "1s")?.start()?;
    let mut sending = patient_agent(&there, "1s")?.start()?;
    idle.wait_for_log(is_failure, LONG)?;
    there.wait_for(3, LONG)?;
    // Half an interval after a delivery both sleep: neither end of the time cuts a wake-up in two.
    let_run(&mut sending, INTERVAL / 2)?;

    let pids = [idle.pid(), sending.pid()].map(|pid| pid.to_string());
    let look = || Ok::<_, Failure>((kernel::sleeps(&pids[0])?, kernel::sleeps(&pids[1])?));
    let (before, begun) = (look()?, Instant::now());
    let_run(&mut sending, INTERVAL * plan.enough(INTERVALS))?;
    let (after, watched) = (look()?, begun.elapsed());
    let_run(&mut idle, Duration::ZERO)?;

    let intervals = watched.as_secs_f64() / INTERVAL.as_secs_f64();
    let mean = |before: u64, after: u64| count(after - before) / intervals;
    let figures = vec![
        Figure::new("wakeups_idle", mean(before.0, after.0), "", 2).within_alone(BUDGET_IDLE),
        Figure::new("wakeups_sending", mean(before.1, after.1), "", 2).within_alone(BUDGET_SENDING),
    ];
    Ok(figures.into())
}
