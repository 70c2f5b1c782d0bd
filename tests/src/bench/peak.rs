//! The most memory that an agent ever held: it delivers, loses its server for a whole lap of the
//! outbox, and gets it back.
//!
//! The lap is taken at the shortest interval there is, and still takes 15 minutes. A smaller
//! outbox would be quicker and another figure, so the quick form leaves this one out.

use super::{Failure, Figure, Findings, LONG, Plan, TICK, is_failure};
use crate::agent::{AgentBuilder, LogLine};
use crate::hub::{Hub, HubConfig, Misbehaviour};

/// The default, a day at the default interval.
const OUTBOX: u32 = 8640;
const BUDGET_KB: f64 = 3000.0;

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    if plan.quick {
        return Ok(Findings {
            notes: vec!["peak_kb is left out: --quick has no time for a lap of the outbox".into()],
            ..Findings::default()
        });
    }
    let hub = Hub::start(HubConfig::default())?;
    let mut agent = AgentBuilder::new()?
        .for_hub(&hub)
        .flag("interval", "100ms")
        .flag("buffer-samples", OUTBOX.to_string())
        .flag("retry-backoff", "1s")
        .flag("retry-max", "10s")
        .start()?;
    hub.wait_for(100, TICK * 100 + LONG)?;
    hub.misbehave(Misbehaviour::RefuseConnections);
    for quarter in 1..=4 {
        let held = OUTBOX / 4 * quarter;
        // The agent says what it holds at each attempt: every ten seconds, or a little more.
        agent.wait_for_log(
            |line| holds(line) >= Some(held.into()),
            TICK * OUTBOX / 4 * 2 + LONG,
        )?;
        plan.say(&format!("peak: the agent holds {held} samples of {OUTBOX}"));
    }
    hub.misbehave(Misbehaviour::Normal);
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 100, TICK * 100 + LONG)?;
    if !agent.is_running() {
        return Err("the agent ended".into());
    }
    let figure = Figure::memory("peak_kb", agent.memory()?.peak_rss_kb);
    Ok(vec![figure.within(BUDGET_KB)].into())
}

/// How many samples a line says are held.
fn holds(line: &LogLine) -> Option<u64> {
    line.field("held")?.as_u64().filter(|_| is_failure(line))
}
