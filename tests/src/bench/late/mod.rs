//! How late samples are while server, network or name server do not do their part, while the agent's
//! own port is under attack, or while plugins run wild.
//!
//! An agent that samples every 100 ms runs under strace, which notes when it begins to read
//! `/proc/stat`. Lateness is how far the latest of these reads lies behind the grid that the reads
//! themselves form. Where a server fails, deadlines are short, so that the agent meets each stage of
//! each fault many times. At the end, in the midst of the fault, it must have one thread and end
//! when told to.
//!
//! Each fault must have been felt: a figure of a fault that did not happen is refused.

mod crowd;
mod fault;
mod name_server;
mod wicked;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::figure::count;
use super::{Failure, Figure, Findings, LONG, Plan, TICK, let_run};
use crate::agent::{AgentUnderTest, Signal};
use crate::strace::lateness_ms;
use crate::wait::{lock, poll_until};
use fault::{FAULTS, Fault, Stage};

const TICKS: u32 = 1000;
/// Further ticks, in which the last of those that count certainly falls.
const MARGIN: u32 = 5;
/// On the reference machine.
const BUDGET_LATE_MS: f64 = 50.0;
const BUDGET_STOP_MS: f64 = 1000.0;
/// Two, one for each processor, where lateness counts.
const AT_ONCE: usize = 2;
const QUICK_AT_ONCE: usize = 4;

/// What an agent did under a fault.
#[derive(Debug)]
struct Conduct {
    late_ms: f64,
    stop_ms: f64,
    threads: u64,
}

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let at_once = if plan.quick { QUICK_AT_ONCE } else { AT_ONCE };
    let wanted = |fault: &&Fault| plan.wants_figure(&fault.figure());
    let queue = Mutex::new(FAULTS.iter().filter(wanted));
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let Some(fault) = lock(&queue).next() else {
                        return;
                    };
                    plan.say(&format!("late: {}", fault.key));
                    let conduct = try_one(fault, plan.enough(TICKS));
                    lock(&found).push((fault, conduct));
                }
            });
        }
    });
    let mut findings = Findings::default();
    let (mut late_ms, mut stop_ms, mut threads) = (0.0_f64, 0.0_f64, 0);
    let mut found = found.into_inner().map_err(|_| "a trial panicked")?;
    found.sort_by_key(|(fault, _)| FAULTS.iter().position(|it| it.key == fault.key));
    for (fault, conduct) in found {
        let key = fault.figure();
        match conduct {
            Ok(Ok(conduct)) => {
                late_ms = late_ms.max(conduct.late_ms);
                if !fault.takes_leave() {
                    stop_ms = stop_ms.max(conduct.stop_ms);
                }
                threads = threads.max(conduct.threads);
                let figure = Figure::new(key, conduct.late_ms, "ms", 1);
                findings.figures.push(figure.within_alone(BUDGET_LATE_MS));
            }
            Ok(Err(Skipped(why))) => findings.notes.push(format!("{key} is left out: {why}")),
            Err(error) => findings.failures.push(format!("{key}: {error}")),
        }
    }
    if !FAULTS
        .iter()
        .any(|fault| plan.wants_figure(&fault.figure()))
    {
        let words = FAULTS.map(|fault| fault.key).join(", ");
        findings
            .failures
            .push(format!("no fault is called so; there are {words}"));
    }
    // Of nothing there is no worst.
    if !findings.figures.is_empty() {
        findings.figures.extend([
            Figure::new("late_ms_max", late_ms, "ms", 1).within_alone(BUDGET_LATE_MS),
            Figure::new("stop_ms_max", stop_ms, "ms", 0).within_alone(BUDGET_STOP_MS),
            Figure::new("threads", count(threads), "", 0).within(1.0),
        ]);
    }
    Ok(findings)
}

/// Why a fault cannot be made here.
#[derive(Debug)]
struct Skipped(String);

/// Runs an agent under one fault.
fn try_one(fault: &Fault, ticks: u32) -> Result<Result<Conduct, Skipped>, Failure> {
    let stage = match Stage::set(fault)? {
        Ok(stage) => stage,
        Err(skipped) => return Ok(Err(skipped)),
    };
    let mut agent = stage.builder.start()?;
    agent.wait_for_log(|line| line.msg() == "System info collected", LONG)?;
    stage.begin(&agent)?;
    let_run(&mut agent, TICK * (ticks + MARGIN))?;
    stage.wait_until_felt(&agent);
    let threads = agent.threads()?;
    let stop_ms = stop(&mut agent)?;
    stage.was_felt(&agent)?;

    // strace ends after the agent, and what it wrote last comes last.
    let all = poll_until("the trace of all ticks", LONG, || {
        let times_ms = agent.read_times_ms().ok()?;
        (times_ms.len() > ticks as usize).then_some(times_ms)
    });
    let times_ms = match all {
        Ok(times_ms) => times_ms,
        Err(_) => agent.read_times_ms()?,
    };
    Ok(Ok(Conduct {
        late_ms: worst_ms(&times_ms, ticks)?,
        stop_ms,
        threads,
    }))
}

/// Ends the agent; how long that took.
fn stop(agent: &mut AgentUnderTest) -> Result<f64, Failure> {
    let begun = Instant::now();
    agent.signal(Signal::SIGTERM)?;
    let ended = || (!agent.is_running()).then(|| begun.elapsed());
    let time = poll_until("the agent to stop", LONG, ended)?;
    let status = agent.wait_exit(Duration::ZERO)?;
    if !status.success() {
        return Err(format!("told to stop, the agent ended with {status}").into());
    }
    Ok(time.as_secs_f64() * 1000.0)
}

/// The worst lateness in the begins of reads, of an agent that ran for at least `ticks`.
fn worst_ms(times_ms: &[f64], ticks: u32) -> Result<f64, Failure> {
    // The first read begins the window of the first sample, which is no whole interval long.
    let samples = times_ms.get(1..).unwrap_or_default();
    let tick_ms = TICK.as_secs_f64() * 1000.0;
    let late_ms = lateness_ms(samples, tick_ms).ok_or("strace saw no reads of /proc/stat")?;
    // Between reads a missing tick makes the next one late; at the end there is no next one.
    let missing = count(u64::from(ticks)) - count(samples.len() as u64);
    Ok(late_ms.max(missing * tick_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(times_ms: &[f64], ticks: u32, expected_ms: f64) {
        let late_ms = worst_ms(times_ms, ticks).unwrap();
        assert!((late_ms - expected_ms).abs() < 1e-6, "{late_ms}");
    }

    #[test]
    fn the_first_window_is_no_late_tick() {
        check(&[0.0, 200.0, 300.0, 400.0, 503.0], 4, 3.0);
    }

    #[test]
    fn ticks_that_never_came_are_late() {
        check(&[0.0, 200.0, 300.0, 400.0], 3, 0.0);
        check(&[0.0, 200.0, 300.0, 400.0], 8, 500.0);
        assert!(worst_ms(&[], 8).is_err());
    }
}
