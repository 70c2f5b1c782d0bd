//! SIGKILL at random moments while instructions are carried out (P1, X4): no attempt runs twice, and
//! each instruction gets a final result.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mote_core::rng::Rng;
use mote_tests::agent::Signal;
use mote_tests::hub::{Message, OrchestratorConfig, Route};
use serde_json::json;

use crate::{LONG, builder, end, forget_pace, hub_with, orchestrator};

const KILLS: u64 = 200;
/// The longest that an agent lives here; an instruction takes a tenth of it.
const LIFE_MS: u64 = 400;

/// Notes its instruction as it begins and as it ends.
const RUN: &str = r#"#!/bin/sh
echo "$1" >> "$(dirname "$0")/../../../begun"
echo '{}'
"#;

#[test]
fn p1_no_kill_makes_an_attempt_run_twice_or_a_result_go_missing() {
    let seed = std::env::var("SEED").map_or(20_251_123, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let hub = hub_with(OrchestratorConfig {
        chains: true,
        ..orchestrator()
    });
    let heard = hub.subscribe_to_messages();
    let builder = builder(&hub, "action").env("MOTE_AGENT_MAX_CONCURRENT_TASKS", "3");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let mut given = 0_u64;
    for _ in 0..KILLS {
        // There is always something to do.
        while hub.instructions_waiting() < 4 {
            let id = format!("i-{given}");
            hub.give(json!({
                "id": id, "agent_id": "agent-1", "plugin_id": "once",
                "plugin_configuration": {"entrypoint": "run.sh", "arguments": [id]},
                "timeout_seconds": 20, "max_retries": 2,
            }));
            given += 1;
        }
        let mut agent = builder.start().unwrap();
        let life = Duration::from_millis(rng.below(LIFE_MS));
        // It ends sooner only if the agent does, which it must not.
        let ended = agent.wait_exit(life);
        assert!(ended.is_err(), "the agent ended by itself: {ended:?}");
        agent.signal(Signal::SIGKILL).unwrap();
        agent.wait_exit(LONG).unwrap();
        forget_pace(&builder);
    }
    let agent = builder.start().unwrap();
    // Many come again after a kill: each is looked at once, and not all of them at each.
    let mut results: Vec<Message> = Vec::new();
    let mut answered = BTreeSet::new();
    while answered.len() as u64 != given {
        let message = heard.recv_timeout(LONG);
        let message =
            message.unwrap_or_else(|_| panic!("{} of {given} were answered", answered.len()));
        if message.route == Route::Result {
            if message.answered {
                answered.extend(message.instruction.clone());
            }
            results.push(message);
        }
    }
    // A result that is not the same each time is a violation.
    end(&hub, agent);

    let begun = std::fs::read_to_string(builder.base_dir().join("begun")).unwrap_or_default();
    let mut runs: BTreeMap<&str, u32> = BTreeMap::new();
    for id in begun.lines() {
        *runs.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = runs.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
    let completed = |id: &str| {
        let mut results = results.iter();
        results.any(|result| {
            result.instruction.as_deref() == Some(id) && result.body["status"] == "completed"
        })
    };
    for number in 0..given {
        let id = format!("i-{number}");
        assert!(!completed(&id) || runs.contains_key(&*id), "{id} never ran");
    }
    println!(
        "{given} instructions, {} ran, {} results",
        runs.len(),
        results.len()
    );
}
