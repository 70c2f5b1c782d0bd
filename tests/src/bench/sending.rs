//! What delivering costs: memory, CPU and bytes, with a sample every 100 ms over TLS.
//!
//! Memory is looked at after a hundred deliveries. CPU and bytes are counted over those that
//! follow, on a connection that is kept throughout, and divided by their number.
//!
//! CPU is counted twice: on processors that are kept awake, which is what the work costs and what
//! the budget is for, and on a machine that has nothing else to do, where waking up is most of it.
//! The server, which stands for another machine, has a processor of its own and stays awake: waking
//! it is charged to who wrote to it, and a device wakes no server. Where there is one processor only,
//! it sleeps and is woken.
//!
//! On a shared machine that is not all: for seconds at a time its host gives half of a core to
//! somebody else, and whatever runs here takes up to twice as long, a loop of plain arithmetic
//! included. That can only add, so the budget is for the thousand deliveries, of three thousand, that
//! were least disturbed, in rows of a hundred; the mean of all of them is told beside it.

use std::thread::available_parallelism;

use super::awake::{Apart, Awake};
use super::figure::count;
use super::{Failure, Figure, Findings, LONG, Plan, TICK, kernel};
use crate::agent::AgentBuilder;
use crate::hub::{Hub, HubConfig, Waits};

const WARM: u64 = 100;
const COUNTED: u32 = 1000;
/// Deliveries counted together.
const ROW: u32 = 100;
/// Of so many rows, one counts.
const ROWS_FOR_ONE: u32 = 3;

const BUDGET_RSS_KB: f64 = 2000.0;
const BUDGET_ANON_KB: f64 = 400.0;
const BUDGET_BYTES: f64 = 1000.0;
const BUDGET_US: f64 = 300.0;

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let waits = if available_parallelism()?.get() > 1 {
        Waits::Awake
    } else {
        Waits::Asleep
    };
    let hub = Hub::start(HubConfig {
        waits,
        ..HubConfig::default()
    })?;
    let agent = AgentBuilder::new()?
        .for_hub(&hub)
        .flag("interval", "100ms")
        .start()?;
    let process = agent.pid().to_string();
    hub.wait_for(WARM, TICK * 100 + LONG)?;
    let memory = agent.memory()?;

    let process = process.as_str();
    let deliveries = |enough: u32| -> Result<(f64, f64), Failure> {
        let (cpu_before_us, before) = (kernel::cpu_us(process)?, hub.stats());
        hub.wait_for(before.delivered + u64::from(enough), TICK * enough + LONG)?;
        let (cpu_us, after) = (kernel::cpu_us(process)?, hub.stats());
        if after.connections != before.connections {
            return Err(
                "the connection was not kept, so the bytes are not those of samples".into(),
            );
        }
        let samples = count(after.delivered - before.delivered);
        let bytes = after.bytes_in + after.bytes_out - before.bytes_in - before.bytes_out;
        Ok(((cpu_us - cpu_before_us) / samples, count(bytes) / samples))
    };
    let apart = Apart::keep(agent.pid())?;
    let (asleep_us, bytes) = deliveries(plan.enough(COUNTED))?;
    let awake = Awake::keep(apart.processors())?;
    let counted_rows = plan.enough(COUNTED) / ROW;
    let mut rows_us = Vec::new();
    for _ in 0..counted_rows * ROWS_FOR_ONE {
        rows_us.push(deliveries(ROW)?.0);
    }
    drop((awake, apart));
    let (cpu_us, mean_us) = (least(&mut rows_us, counted_rows), mean(&rows_us));
    let figures = vec![
        // Of the program's file the kernel maps what it happens to have at hand: others change that.
        Figure::memory("rss_kb", memory.rss_kb).within_alone(BUDGET_RSS_KB),
        Figure::memory("anon_kb", memory.anonymous_kb).within(BUDGET_ANON_KB),
        Figure::new("wire_bytes_per_sample", bytes, "bytes", 0).within(BUDGET_BYTES),
        Figure::new("deliver_cpu_us", cpu_us, "us", 1).within_alone(BUDGET_US),
        Figure::new("deliver_mean_us", mean_us, "us", 1),
        Figure::new("deliver_asleep_us", asleep_us, "us", 1),
    ];
    Ok(figures.into())
}

/// The mean of the `rows` least of them.
fn least(all: &mut [f64], rows: u32) -> f64 {
    all.sort_by(f64::total_cmp);
    mean(&all[..all.len().min(rows as usize)])
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / count(all.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_disturbed_does_not_count() {
        let mut rows = [393.0, 250.0, 242.0, 300.0, 244.0, 319.0];
        assert!((least(&mut rows, 2) - 243.0).abs() < 1e-9);
        assert!((mean(&rows) - 291.333_333).abs() < 1e-3);
    }
}
