//! The orchestrator's client as its server sees it: the strict hub checks every message, so that a
//! test which ends without a violation has seen good forms only.
//!
//! The agents here are in a hurry (see `AgentBuilder::for_orchestrator`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod instructions;
mod presence;

use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, Signal};
use mote_tests::hub::{Hub, HubConfig, OrchestratorConfig};

/// More than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// A hub that is an orchestrator and asks to be asked every second.
fn orchestrator() -> OrchestratorConfig {
    OrchestratorConfig {
        next_poll_s: 1.0,
        ..OrchestratorConfig::default()
    }
}

fn hub_with(orchestrator: OrchestratorConfig) -> Hub {
    Hub::start(HubConfig {
        orchestrator: Some(orchestrator),
        ..HubConfig::default()
    })
    .unwrap()
}

fn hub() -> Hub {
    hub_with(orchestrator())
}

fn builder(hub: &Hub, agent_type: &str) -> AgentBuilder {
    AgentBuilder::new()
        .unwrap()
        .for_orchestrator(hub, agent_type)
}

/// Ends the agent, which the hub must have had nothing to object to.
fn end(hub: &Hub, mut agent: AgentUnderTest) {
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    assert_eq!(hub.violations(), Vec::<String>::new());
}
