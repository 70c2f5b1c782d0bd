//! Every form that agents and orchestrators exchange, seen by the strict hub: each member that a
//! message can have is in at least one of them.

use std::collections::BTreeSet;

use mote_tests::agent::{LogLine, Signal};
use mote_tests::hub::{Hub, Message, Misbehaviour, OrchestratorConfig, Route};
use serde_json::{Value, json};

use crate::{LONG, builder, end, execute, hub, hub_with, orchestrator, wait_for_result};

const SCRIPT: &str = r#"#!/bin/sh
case $1 in
  object) echo '{"answer":42}' ;;
  text) echo hello; echo "and a word" >&2 ;;
  input) cat ;;
  fail) echo why >&2; exit 3 ;;
  long) exec sleep 600 ;;
esac
"#;

/// Answers each request; asked for triggers it reports an event with every member there is.
const STANDING: &str = r#"
import json, os, sys
for line in sys.stdin:
    if not line.strip():
        break
    request = json.loads(line)
    data = None
    if request["action"] == "detect_triggers":
        data = {"id": "e-%d" % os.getpid(), "type": "disk.full", "severity": "critical",
                "timestamp": "2025-07-01T12:00:00.5+02:00", "source": "disk", "tags": ["a"],
                "data": {"percent": 93.5}, "metadata": {"mount": "/"}}
    elif request["action"] == "execute_action":
        asked = request["action_request"]
        data = {"id": asked["id"], "status": asked["parameters"].get("end", "completed"),
                "data": {"asked": asked}, "error": "as asked"}
    print(json.dumps({"success": True, "data": data}), flush=True)
"#;

fn manifest(id: &str, kind: &str) -> String {
    format!(
        "plugin:\n  id: {id}\n  name: {id}\n  version: 1.0.0\n  type: {kind}\n  \
         runtime: {{type: python, entry_point: main.py}}\n"
    )
}

fn run(id: &str, word: &str) -> Value {
    let mut instruction = execute(id);
    instruction["plugin_configuration"] = json!({"entrypoint": "run.sh", "arguments": [word]});
    instruction
}

/// The paths of all members, those of lists of objects too; not what is only passed on.
fn members(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    let Value::Object(object) = value else {
        if let Some(list) = value.as_array() {
            for one in list {
                members(one, place, found);
            }
        }
        return;
    };
    for (name, inner) in object {
        let path = format!("{place}{name}");
        if !matches!(name.as_str(), "data" | "metadata" | "output_data") {
            members(inner, &format!("{path}."), found);
        }
        found.insert(path);
    }
}

#[track_caller]
fn all_of(hub: &Hub, route: Route, expected: &str) {
    let mut found = BTreeSet::new();
    for message in hub.messages(route) {
        members(&message.body, "", &mut found);
    }
    let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
    assert_eq!(found, expected, "{route:?}");
}

/// One for each way to end.
fn instructions() -> Vec<Value> {
    let mut traced = run("object", "object");
    traced["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let mut short = run("long", "long");
    short["timeout_seconds"] = json!(1);
    let mut input = run("input", "input");
    (input["context"], input["variables"]) = (json!({"c": [1, null]}), json!({"v": "x"}));
    let service = |id: &str, end: &str| {
        let mut instruction = execute(id);
        instruction["plugin_id"] = json!("service");
        instruction["input_data"] = json!({ "end": end });
        instruction
    };
    vec![
        traced,
        run("text", "text"),
        input,
        run("fail", "fail"),
        short,
        service("good", "completed"),
        service("bad", "failed"),
    ]
}

#[test]
fn each_form_passes_the_strict_hub_with_every_member_it_can_have() {
    let hub = hub();
    let builder = builder(&hub, "both")
        .env("MOTE_AGENT_ORGANIZATION_ID", "org")
        .env("MOTE_AGENT_ENVIRONMENT", "test")
        .env("MOTE_AGENT_REGION", "here")
        .env("MOTE_AGENT_NAME", "An \"agent\"")
        .env("MOTE_AGENT_TAGS", "a,b:c")
        .env("MOTE_SENSOR_TRIGGER_CHECK_INTERVAL", "1s");
    builder.plugin_file("once", "run.sh", SCRIPT).unwrap();
    for (id, kind) in [("disk", "trigger"), ("service", "action")] {
        let text = manifest(id, kind);
        builder.plugin_file(id, "plugin.yaml", &text).unwrap();
        builder.plugin_file(id, "main.py", STANDING).unwrap();
    }
    for instruction in instructions() {
        hub.give(instruction);
    }
    let agent = builder.start().unwrap();
    let body = |id: &str| wait_for_result(&hub, id).body;
    let output = |id: &str| body(id)["result"]["execution_result"]["output_data"].clone();
    assert_eq!(output("object"), json!({"answer": 42}));
    assert_eq!(output("text"), json!({"raw_output": "hello\n"}));
    assert_eq!(body("text")["result"]["logs"], json!(["and a word"]));
    assert_eq!(
        output("input"),
        json!({"input_data": {"n": 1}, "context": {"c": [1, null]}, "variables": {"v": "x"}})
    );
    assert_eq!(body("fail")["result"]["execution_result"]["exit_code"], 3);
    assert_eq!(body("long")["status"], "timeout");
    let asked = &output("good")["asked"];
    assert_eq!(
        (&asked["id"], &asked["parameters"]["end"]),
        (&json!("good"), &json!("completed"))
    );
    assert_eq!(body("bad")["error_message"], "as asked");
    let any = |batches: &[Message]| !batches.is_empty();
    let batches = hub.wait_for_messages(Route::Events, "an event", LONG, any);
    let event = &batches.unwrap()[0].body["events"][0];
    assert_eq!(event["timestamp"], "2025-07-01T10:00:00.500Z");
    end(&hub, agent);

    all_of(
        &hub,
        Route::Register,
        "agent_id name type organization_id environment region version tags hostname os arch
         capabilities",
    );
    all_of(&hub, Route::Heartbeat, "timestamp status");
    all_of(&hub, Route::Executing, "status execution_log");
    all_of(
        &hub,
        Route::Result,
        "status result error_message execution_log result.instruction_id result.success
         result.duration result.start_time result.end_time result.logs result.correlation_id
         result.traceparent result.execution_result result.execution_result.plugin_id
         result.execution_result.success result.execution_result.output_data
         result.execution_result.logs result.execution_result.duration
         result.execution_result.exit_code",
    );
    all_of(
        &hub,
        Route::Events,
        "agent_id events events.id events.type events.source events.timestamp events.data
         events.metadata events.tags events.severity events.agent_id events.tenant_id",
    );
}

/// As an orchestrator's user saw it, but for the address.
const SEEN: &str = r#"{"id":"0aeb8570-9b0e-4dd5-b567-76261e29f0d7",
"agent_id":"65bb7a51-1812-4a37-90d5-3e8a859ba972",
"plugin_id":"e56434ca-9756-446e-92cd-f7545cb5b7b2","created_by":null,"status":"pending",
"priority":"high","instruction_type":"plugin_install","source":"web-ui",
"plugin_configuration":{"entrypoint":"main.py","plugin_url":"https://example.com/plugins.git"},
"timeout_seconds":300,"max_retries":3,"retry_count":0,"execution_log":[]}"#;

#[test]
fn an_instruction_as_it_was_seen_in_the_wild_is_understood_and_answered() {
    let hub = hub();
    hub.give(serde_json::from_str(SEEN).unwrap());
    let agent = builder(&hub, "action")
        .flag("agent-id", "65bb7a51-1812-4a37-90d5-3e8a859ba972")
        .start()
        .unwrap();
    let result = wait_for_result(&hub, "0aeb8570-9b0e-4dd5-b567-76261e29f0d7");
    assert_eq!(result.body["status"], "failed");
    let message = result.body["error_message"].as_str().unwrap();
    assert!(
        message.contains("installs nothing by instruction"),
        "{message}"
    );
    end(&hub, agent);
}

#[test]
fn each_good_answer_to_a_registration_is_one() {
    for status in [200, 201, 204, 404, 409] {
        let hub = hub();
        hub.script_at(Route::Register, [Misbehaviour::status(status)]);
        let agent = builder(&hub, "sensor")
            .env("MOTE_AGENT_REGISTRATION_RETRY_INTERVAL", "1s")
            .start()
            .unwrap();
        let reached = |line: &LogLine| line.msg() == "Orchestrator reached";
        agent.wait_for_log(reached, LONG).unwrap();
        let three = |beats: &[Message]| beats.len() >= 3;
        hub.wait_for_messages(Route::Heartbeat, "three heartbeats", LONG, three)
            .unwrap();
        end(&hub, agent);
        assert_eq!(hub.messages(Route::Register).len(), 1, "{status}");
    }
}

#[test]
fn when_to_ask_again_is_followed_within_its_bounds() {
    // Sooner than a second is a second, and a number that means nothing is the agent's own interval.
    for next_poll_s in [0.0, -1.0, 1e300] {
        let hub = hub_with(OrchestratorConfig {
            next_poll_s,
            ..orchestrator()
        });
        let mut agent = builder(&hub, "action")
            .env("MOTE_AGENT_POLL_INTERVAL", "1s")
            .start()
            .unwrap();
        let beats = |beats: &[Message]| beats.len() >= 4;
        hub.wait_for_messages(Route::Heartbeat, "four heartbeats", LONG, beats)
            .unwrap();
        let polls = hub.messages(Route::Poll).len();
        let (least, most) = if next_poll_s > 1.0 { (1, 1) } else { (2, 5) };
        assert!(
            (least..=most).contains(&polls),
            "{next_poll_s}: {polls} polls"
        );
        agent.stop(Signal::SIGTERM).unwrap();
    }
}
