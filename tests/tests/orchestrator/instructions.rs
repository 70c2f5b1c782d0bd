//! Instructions: carried out at most once, reported for certain.

use std::io::{Read, Write};
use std::net::TcpStream;

use mote_tests::agent::{AgentUnderTest, Signal};
use mote_tests::hub::{Message, Misbehaviour, OrchestratorConfig, Route};
use mote_tests::wait::poll_until;
use serde_json::{Value, json};

use crate::{LONG, builder, end, execute, hub, hub_with, orchestrator, results, wait_for_result};

/// Notes each run and gives back what it was told.
const RUN: &str = r#"#!/bin/sh
echo run >> "$(dirname "$0")/../../../runs"
printf '{"first":"%s","second":"%s","level":"%s","correlation":"%s"}' \
    "$1" "$2" "$LEVEL" "$MOTE_CORRELATION_ID"
"#;

#[test]
fn an_instruction_runs_once_and_its_result_is_whole() {
    let hub = hub();
    hub.give(execute("i-1"));
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    let result = wait_for_result(&hub, "i-1");
    assert_eq!(result.body["status"], "completed", "{}", result.body);
    let output = &result.body["result"]["execution_result"]["output_data"];
    assert_eq!(
        *output,
        json!({"first": "x y", "second": "$(reboot)", "level": "2", "correlation": "c-1"})
    );
    assert_eq!(result.body["result"]["correlation_id"], "c-1");
    assert_eq!(hub.messages(Route::Executing).len(), 1);
    end(&hub, agent);
    let runs = std::fs::read_to_string(builder.base_dir().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
}

#[test]
fn an_instruction_of_nearly_a_mebibyte_reaches_its_plugin_whole() {
    let hub = hub();
    let mut large = execute("large");
    large["input_data"] = json!({"x": "y".repeat(1_000_000)});
    hub.give(large);
    hub.give(execute("small"));
    let builder = builder(&hub, "action");
    let count = "#!/bin/sh\nprintf '{\"bytes\":%d}' \"$(tr -cd y | wc -c)\"\n";
    builder.plugin_file("once", "run.sh", count).unwrap();
    let agent = builder.start().unwrap();
    for (id, bytes) in [("large", 1_000_000), ("small", 0)] {
        let result = wait_for_result(&hub, id);
        assert_eq!(result.body["status"], "completed", "{}", result.body);
        let output = &result.body["result"]["execution_result"]["output_data"];
        assert_eq!(*output, json!({"bytes": bytes}), "{id}");
    }
    end(&hub, agent);
}

#[test]
fn the_next_instruction_is_taken_up_at_once() {
    let hub = hub_with(OrchestratorConfig {
        next_poll_s: 3600.0,
        ..orchestrator()
    });
    for number in 0..5 {
        hub.give(execute(&format!("i-{number}")));
    }
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    for number in 0..5 {
        let result = wait_for_result(&hub, &format!("i-{number}"));
        assert_eq!(result.body["status"], "completed");
    }
    end(&hub, agent);
    let runs = std::fs::read_to_string(builder.base_dir().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 5);
}

#[test]
fn what_this_agent_does_not_do_is_reported_failed_with_the_reason() {
    let hub = hub();
    for (id, name, value) in [
        ("install", "instruction_type", "plugin_install"),
        ("update", "instruction_type", "plugin_update"),
        ("dance", "instruction_type", "dance"),
        ("nowhere", "plugin_id", "not-there"),
    ] {
        let mut instruction = execute(id);
        instruction[name] = json!(value);
        hub.give(instruction);
    }
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    for (id, words) in [
        ("install", "installs nothing by instruction"),
        ("update", "installs nothing by instruction"),
        ("dance", "instruction_type must be"),
        ("nowhere", "not installed"),
    ] {
        let result = wait_for_result(&hub, id);
        assert_eq!(result.body["status"], "failed");
        let message = result.body["error_message"].as_str().unwrap();
        assert!(message.contains(words), "{id}: {message}");
    }
    end(&hub, agent);
    assert!(!builder.base_dir().join("runs").exists());
}

#[test]
fn a_sensor_executes_nothing() {
    let hub = hub();
    hub.give(execute("i-1"));
    let agent = builder(&hub, "sensor").start().unwrap();
    let result = wait_for_result(&hub, "i-1");
    let message = result.body["error_message"].as_str().unwrap();
    assert!(message.contains("sensor"), "{message}");
    end(&hub, agent);
}

#[test]
fn one_that_was_withdrawn_does_not_run_and_one_that_cannot_be_announced_does() {
    let hub = hub();
    for (id, conduct) in [
        ("gone", Misbehaviour::status(404)),
        ("taken", Misbehaviour::status(409)),
        ("silent", Misbehaviour::status(503)),
    ] {
        hub.give(execute(id));
        hub.script_at(Route::Executing, [conduct]);
    }
    // The hub has the first two no more, and says so when it is asked again.
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    for id in ["gone", "taken"] {
        // It stays in the hub's queue: asked again, the agent has something to say of it.
        let result = wait_for_result(&hub, id);
        assert_eq!(result.body["status"], "failed", "{}", result.body);
    }
    let result = wait_for_result(&hub, "silent");
    assert_eq!(result.body["status"], "completed");
    end(&hub, agent);
    let runs = std::fs::read_to_string(builder.base_dir().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
}

#[test]
fn x4_a_known_id_gets_the_same_result_byte_for_byte() {
    let hub = hub();
    hub.give(execute("i-1"));
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let mut agent = builder.start().unwrap();
    wait_for_result(&hub, "i-1");
    for restart in [false, true] {
        // What the agent has not heard to be acknowledged it sends again.
        let heard = |agent: &AgentUnderTest| {
            let lines = agent.log();
            lines
                .iter()
                .filter(|line| line.msg() == "Result delivered")
                .count()
        };
        poll_until("the answer to each result", LONG, || {
            (heard(&agent) == results(&hub, "i-1").len()).then_some(())
        })
        .unwrap();
        let before = results(&hub, "i-1").len();
        if restart {
            agent.stop(Signal::SIGTERM).unwrap();
            agent = builder.start().unwrap();
        }
        hub.give(execute("i-1"));
        let again = |all: &[Message]| all.len() > before;
        hub.wait_for_messages(Route::Result, "the result again", LONG, again)
            .unwrap();
    }
    // That they are the same bytes is the hub's to object to.
    end(&hub, agent);
    assert_eq!(results(&hub, "i-1").len(), 3);
    let runs = std::fs::read_to_string(builder.base_dir().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
}

#[test]
fn what_failed_in_passing_is_tried_again_as_often_as_it_may() {
    let hub = hub();
    let mut instruction = execute("i-1");
    instruction["max_retries"] = json!(2);
    hub.give(instruction);
    let builder = builder(&hub, "action");
    let run = "#!/bin/sh\necho run >> \"$(dirname \"$0\")/../../../runs\"\nexit 75\n";
    builder.plugin_file("once", "run.sh", run).unwrap();
    let agent = builder.start().unwrap();
    let result = wait_for_result(&hub, "i-1");
    assert_eq!(result.body["status"], "failed");
    let exit_code = &result.body["result"]["execution_result"]["exit_code"];
    assert_eq!(*exit_code, json!(75));
    end(&hub, agent);
    let runs = std::fs::read_to_string(builder.base_dir().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 3);
}

#[test]
fn guests_of_the_listener_are_answered_while_a_stop_waits_for_an_action() {
    let hub = hub();
    let builder = builder(&hub, "action");
    let run = "#!/bin/sh\ntrap '' TERM\necho run >> \"$(dirname \"$0\")/../../../runs\"\n\
               while :; do sleep 1000; done\n";
    builder.plugin_file("once", "run.sh", run).unwrap();
    hub.give(execute("stubborn"));
    let mut agent = builder.start().unwrap();
    let address = agent.listens_at("/health", LONG).unwrap();
    let runs = builder.base_dir().join("runs");
    poll_until("the action", LONG, || runs.exists().then_some(())).unwrap();
    agent.signal(Signal::SIGTERM).unwrap();
    let stopping = |line: &mote_tests::agent::LogLine| line.msg() == "Stopping";
    agent.wait_for_log(stopping, LONG).unwrap();
    let mut guest = TcpStream::connect(address).unwrap();
    guest.set_read_timeout(Some(LONG)).unwrap();
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    guest.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    guest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // It does not go away before it is killed, five seconds from the signal.
    let ended = |line: &mote_tests::agent::LogLine| line.msg() == "Instruction ended";
    assert!(!agent.log().iter().any(ended), "answered too late");
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
}

#[test]
fn what_takes_too_long_is_a_timeout_and_what_a_stop_cuts_off_is_interrupted() {
    let hub = hub();
    let mut short = execute("short");
    short["timeout_seconds"] = json!(1);
    hub.give(short);
    let builder = builder(&hub, "action");
    let run = "#!/bin/sh\necho run >> \"$(dirname \"$0\")/../../../runs\"\nexec sleep 600\n";
    builder.plugin_file("once", "run.sh", run).unwrap();
    let mut agent = builder.start().unwrap();
    assert_eq!(wait_for_result(&hub, "short").body["status"], "timeout");
    hub.give(execute("cut"));
    let started = |line: &mote_tests::agent::LogLine| {
        line.msg() == "Instruction started"
            && line.field("instruction").and_then(Value::as_str) == Some("cut")
    };
    agent.wait_for_log(started, LONG).unwrap();
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    let agent = builder.start().unwrap();
    let result = wait_for_result(&hub, "cut");
    assert_eq!(result.body["status"], "failed");
    assert_eq!(
        result.body["error_message"],
        "interrupted: may or may not have run"
    );
    end(&hub, agent);
}
