//! The orchestrator's client as its server sees it: the strict hub checks every message, so that a
//! test which ends without a violation has seen good forms only.
//!
//! The agents here are in a hurry (see `AgentBuilder::for_orchestrator`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod asleep;
mod events;
mod forms;
mod instructions;
mod kept;
mod kill;
mod presence;
mod refusals;
mod two_servers;

use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, Signal};
use mote_tests::hub::{Hub, HubConfig, Message, OrchestratorConfig, Route};
use mote_tests::suite::LONG;
use serde_json::{Value, json};

/// From SIGTERM to the end of an agent with plugins.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

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
    agent.signal(Signal::SIGTERM).unwrap();
    // Its plugins end first, on a machine that may be busy.
    assert_eq!(agent.wait_exit(STOP_TIMEOUT).unwrap().code(), Some(0));
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

/// An instruction to run `run.sh` of the plugin `once`.
fn execute(id: &str) -> Value {
    json!({
        "id": id, "agent_id": "agent-1", "plugin_id": "once", "instruction_type": "execute",
        "created_by": null, "status": "pending", "priority": "high", "source": "test",
        "plugin_configuration": {"entrypoint": "run.sh", "arguments": ["x y", "$(reboot)"],
            "environment": {"LEVEL": "2"}},
        "input_data": {"n": 1}, "timeout_seconds": 20, "max_retries": 0, "correlation_id": "c-1",
    })
}

fn results(hub: &Hub, id: &str) -> Vec<Message> {
    let mut all = hub.messages(Route::Result);
    all.retain(|message| message.instruction.as_deref() == Some(id));
    all
}

/// The first result of `id` that was answered.
fn wait_for_result(hub: &Hub, id: &str) -> Message {
    let is_it = |message: &&Message| message.instruction.as_deref() == Some(id) && message.answered;
    let there = |all: &[Message]| all.iter().any(|message| is_it(&message));
    let all = hub
        .wait_for_messages(Route::Result, &format!("the result of {id}"), LONG, there)
        .unwrap();
    all.iter().find(is_it).unwrap().clone()
}

fn largest_gap_ms(times_ms: impl Iterator<Item = u64>) -> u64 {
    let times: Vec<u64> = times_ms.collect();
    let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    gaps.max().unwrap_or(0)
}
