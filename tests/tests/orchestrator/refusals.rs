//! Instructions that are not carried out: reported failed with the reason, audited by a line of the
//! log, and in nobody's way.

use std::fs;

use mote_tests::agent::{AgentUnderTest, LogLine};
use mote_tests::hub::{Message, Misbehaviour, OrchestratorConfig, Route};
use serde_json::{Value, json};

use crate::{LONG, builder, end, execute, hub, hub_with, orchestrator, results, wait_for_result};

/// Far more than the agent reads of an answer.
const HUGE: usize = 1_200_000;
/// More than the agent follows.
const DEEP: usize = 40;

const RUN: &str = "#!/bin/sh\necho run >> \"$(dirname \"$0\")/../../../runs\"\necho '{}'\n";

fn deep() -> Value {
    (0..DEEP).fold(json!({}), |inner, _| json!({ "a": inner }))
}

/// The instruction, with this member in place of its own.
fn with(id: &str, name: &str, value: Value) -> Value {
    let mut instruction = execute(id);
    instruction[name] = value;
    instruction
}

fn with_configuration(id: &str, configuration: Value) -> Value {
    with(id, "plugin_configuration", configuration)
}

/// The line of the log that tells what became of an instruction that did not run.
fn wait_for_audit(agent: &AgentUnderTest, id: &str) -> LogLine {
    let tells = |line: &LogLine| {
        line.str("instruction") == id
            && matches!(line.msg(), "Instruction refused" | "Instruction failed")
    };
    agent.wait_for_log(tells, LONG).unwrap()
}

#[test]
fn x4_what_is_too_much_or_not_ours_or_reaches_out_is_reported_failed_and_audited() {
    let ours = json!({"entrypoint": "run.sh"});
    let preload = json!({"entrypoint": "run.sh", "environment": {"LD_PRELOAD": "/x.so"}});
    let huge = json!({"x": "y".repeat(HUGE)});
    let all = [
        (with("big", "input_data", huge), "larger than 1024 KiB"),
        (
            with("deep", "input_data", deep()),
            "more than 32 levels deep",
        ),
        (
            with("agent", "agent_id", json!("agent-2")),
            "agent_id is not this agent's",
        ),
        (
            with("organization", "organization_id", json!("theirs")),
            "organization_id is not this agent's",
        ),
        (
            with("tenant", "tenant_id", json!(7)),
            "tenant_id is not this agent's",
        ),
        (
            with("plugin", "plugin_id", json!("../once")),
            "plugin_id must be",
        ),
        (with_configuration("preload", preload), "LD_PRELOAD"),
        (
            with_configuration("above", json!({"entrypoint": "../once/run.sh"})),
            "entrypoint must be",
        ),
        (
            with_configuration("absolute", json!({"entrypoint": "/bin/sh"})),
            "entrypoint must be",
        ),
        (
            with_configuration("link", json!({"entrypoint": "shell"})),
            "leads out of the plugin's folder",
        ),
    ];
    // Handed out with a poll's answer, and with the answer to the result before.
    for chains in [false, true] {
        let hub = hub_with(OrchestratorConfig {
            chains,
            ..orchestrator()
        });
        for (instruction, _) in &all {
            hub.give(instruction.clone());
        }
        hub.give(with_configuration("good", ours.clone()));
        let builder = builder(&hub, "action").env("MOTE_AGENT_ORGANIZATION_ID", "ours");
        let run = builder.plugin_file("once", "run.sh", RUN).unwrap();
        std::os::unix::fs::symlink("/bin/sh", run.with_file_name("shell")).unwrap();
        let agent = builder.start().unwrap();
        for (instruction, words) in &all {
            let id = instruction["id"].as_str().unwrap();
            let result = wait_for_result(&hub, id);
            assert_eq!(result.body["status"], "failed", "{id}");
            let message = result.body["error_message"].as_str().unwrap();
            assert!(message.contains(words), "{id}: {message}");
            let line = wait_for_audit(&agent, id);
            assert!(line.str("error").contains(words), "{}", line.text);
        }
        // Nothing of it stood in the way of what is good.
        assert_eq!(wait_for_result(&hub, "good").body["status"], "completed");
        end(&hub, agent);
        let runs = fs::read_to_string(builder.base_dir().join("runs")).unwrap();
        assert_eq!(runs, "run\n");
    }
}

#[test]
fn x4_an_id_that_is_a_path_is_told_in_the_log_and_touches_nothing() {
    let hub = hub();
    hub.give(execute("../../x"));
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    let told = |line: &LogLine| line.msg().contains("cannot be reported");
    let line = agent.wait_for_log(told, LONG).unwrap();
    assert_eq!(line.str("id"), "\"../../x\"");
    assert!(line.str("error").contains("id must be"), "{}", line.text);
    // Asked again and again, it says it once.
    let before = hub.messages(Route::Poll).len();
    let more = |polls: &[Message]| polls.len() >= before + 3;
    hub.wait_for_messages(Route::Poll, "three more polls", LONG, more)
        .unwrap();
    let lines = agent.log();
    assert_eq!(lines.iter().filter(|line| told(line)).count(), 1);
    end(&hub, agent);
    assert!(hub.messages(Route::Result).is_empty());
    let state = builder.base_dir().join("data/state");
    for folder in [&state, &builder.base_dir()] {
        assert!(!folder.join("x").exists());
    }
    assert!(!builder.base_dir().join("runs").exists());
}

#[test]
fn a_result_that_the_server_trips_over_keeps_no_heartbeat_back() {
    let hub = hub();
    hub.misbehave_at(Route::Result, Misbehaviour::status(500));
    hub.give(execute("i-1"));
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    let tried = |results: &[Message]| results.len() >= 3;
    hub.wait_for_messages(Route::Result, "three tries", LONG, tried)
        .unwrap();
    for route in [Route::Heartbeat, Route::Poll] {
        let before = hub.messages(route).len();
        let more = |beats: &[Message]| beats.len() >= before + 4;
        hub.wait_for_messages(route, "four more", LONG, more)
            .unwrap();
    }
    hub.misbehave_at(Route::Result, Misbehaviour::Normal);
    assert_eq!(wait_for_result(&hub, "i-1").body["status"], "completed");
    end(&hub, agent);
}

/// Runs until it may end.
const HELD: &str =
    "#!/bin/sh\nuntil [ -e \"$(dirname \"$0\")/../../../go\" ]; do sleep 0.02; done\n";

#[test]
fn a_result_is_given_up_for_what_it_says_and_never_for_what_everything_gets() {
    let hub = hub();
    let builder = builder(&hub, "action").env("MOTE_AGENT_POLL_INTERVAL", "1s");
    builder.plugin_file("once", "run.sh", HELD).unwrap();
    let agent = builder.start().unwrap();
    hub.give(execute("kept"));
    let started = |line: &LogLine| line.msg() == "Instruction started";
    agent.wait_for_log(started, LONG).unwrap();
    // What a front server says to every request without the right certificate.
    let routes = [
        Route::Heartbeat,
        Route::Poll,
        Route::Result,
        Route::Register,
    ];
    for route in routes {
        hub.misbehave_at(route, Misbehaviour::status(400));
    }
    fs::write(builder.base_dir().join("go"), "").unwrap();
    let often = |results: &[Message]| results.len() >= 6;
    hub.wait_for_messages(Route::Result, "six tries", LONG, often)
        .unwrap();
    for route in routes {
        hub.misbehave_at(route, Misbehaviour::Normal);
    }
    assert_eq!(wait_for_result(&hub, "kept").body["status"], "completed");
    // Now it is this one alone that is refused.
    hub.misbehave_at(Route::Result, Misbehaviour::status(400));
    hub.give(execute("bad"));
    let dropped =
        |line: &LogLine| line.str("id") == "bad" && line.field("dropped") == Some(&json!(true));
    let line = agent.wait_for_log(dropped, LONG).unwrap();
    assert_eq!(line.field("tries"), Some(&json!(3)));
    assert!(results(&hub, "bad").len() >= 3);
    end(&hub, agent);
}
