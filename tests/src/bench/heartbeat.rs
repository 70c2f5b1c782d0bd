//! How late heartbeats are while the metrics server is a black hole, by the orchestrator's clock.
//!
//! Both servers share one uplink, and a request to the one keeps the other waiting. The metrics
//! server falls silent under a kept connection, which takes the longest to notice, or is never
//! there. A heartbeat is due each second; the figure is the longest time between two less that
//! second.

use std::time::Duration;

use super::black_hole::BlackHole;
use super::{Failure, Figure, Findings, LONG, Plan, is_failure, let_run};
use crate::agent::AgentBuilder;
use crate::hub::{Hub, HubConfig, Message, Misbehaviour, OrchestratorConfig, Route};

const INTERVAL_MS: u64 = 1_000;
/// Seconds that a black hole is watched.
const WATCHED_S: u32 = 60;
const BUDGET_MS: f64 = 3_000.0;

/// The ways in which the metrics server is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It answers no more.
    Silent,
    /// It takes no connection and refuses none.
    Never,
}

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let mut worst_ms = 0;
    for gone in [Gone::Silent, Gone::Never] {
        plan.say(&format!("heartbeat: {gone:?}"));
        worst_ms = worst_ms.max(late_ms(gone, plan)?);
    }
    let worst_ms = f64::from(u32::try_from(worst_ms).unwrap_or(u32::MAX));
    let figure = Figure::new("heartbeat_late_ms", worst_ms, "ms", 0);
    Ok(vec![figure.within_alone(BUDGET_MS)].into())
}

fn late_ms(gone: Gone, plan: &Plan) -> Result<u64, Failure> {
    let metrics = Hub::start(HubConfig::default())?;
    let orchestrator = Hub::start(HubConfig {
        orchestrator: Some(OrchestratorConfig::default()),
        ..HubConfig::default()
    })?;
    let hole = BlackHole::dig()?;
    let mut builder = AgentBuilder::new()?
        .for_orchestrator(&orchestrator, "both")
        .for_hub(&metrics)
        .flag("interval", "100ms");
    if gone == Gone::Never {
        builder = builder.flag("server-url", format!("https://{}", hole.address()));
    }
    let mut agent = builder.start()?;
    let some = |beats: &[Message]| beats.len() >= 2;
    orchestrator.wait_for_messages(Route::Heartbeat, "two heartbeats", LONG, some)?;
    if gone == Gone::Silent {
        metrics.wait_for(3, LONG)?;
        metrics.misbehave(Misbehaviour::Silent);
    }
    let_run(
        &mut agent,
        Duration::from_secs(plan.enough(WATCHED_S).max(20).into()),
    )?;
    if !agent.log().iter().any(is_failure) {
        return Err("the agent did not meet the black hole".into());
    }
    let beats = orchestrator.messages(Route::Heartbeat);
    let gaps = beats.windows(2);
    let gaps = gaps.map(|pair| pair[1].when_ms.saturating_sub(pair[0].when_ms));
    let longest_ms = gaps.max().ok_or("there were no heartbeats")?;
    Ok(longest_ms.saturating_sub(INTERVAL_MS))
}
