//! The orchestrator's client as its server sees it: the strict hub checks every message, so that a
//! test which ends without a violation has seen good forms only.
//!
//! The agents here are in a hurry (see `AgentBuilder::for_orchestrator`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod events;
mod instructions;
mod kill;
mod presence;
mod two_servers;

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

/// Lets the next start begin at once, as after another boot: what ended was not the agent's fault.
fn forget_pace(builder: &AgentBuilder) {
    let path = builder.base_dir().join("data/state/start");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let mut words = text.split_whitespace();
        let (identity, number) = (words.next().unwrap(), words.next().unwrap());
        std::fs::write(&path, format!("{identity} {number}\n")).unwrap();
    }
}
