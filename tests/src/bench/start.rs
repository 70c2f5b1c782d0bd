//! How long an agent takes from its start to its first delivered sample.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{Failure, Figure, Findings, LONG, Plan};
use crate::agent::AgentBuilder;
use crate::hub::{Hub, HubConfig, Received};

const STARTS: usize = 5;
const BUDGET_MS: f64 = 500.0;

pub(super) fn measure(_: &Plan) -> Result<Findings, Failure> {
    let hub = Hub::start(HubConfig::default())?;
    let samples = hub.subscribe();
    let mut times = [Duration::ZERO; STARTS];
    for time in &mut times {
        *time = time_one(&hub, &samples)?;
    }
    times.sort_unstable();
    let median_ms = times[STARTS / 2].as_secs_f64() * 1000.0;
    Ok(vec![Figure::new("first_delivery_ms", median_ms, "ms", 0).within_alone(BUDGET_MS)].into())
}

/// A new agent in a folder of its own, at the default interval: it delivers one sample and is gone
/// before the next.
fn time_one(hub: &Hub, samples: &Receiver<Received>) -> Result<Duration, Failure> {
    let builder = AgentBuilder::new()?.for_hub(hub);
    let begun = Instant::now();
    let agent = builder.start()?;
    let first = samples.recv_timeout(LONG);
    let time = begun.elapsed();
    if first.is_ok_and(|sample| sample.delivered) {
        return Ok(time);
    }
    let last = agent.log().pop().map(|line| line.text);
    let last = last.unwrap_or_else(|| agent.stderr().join("; "));
    Err(format!("no sample came within {LONG:?}; the agent's last words: {last}").into())
}
