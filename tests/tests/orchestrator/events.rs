//! Events: from a trigger plugin to the orchestrator, each exactly once in its books.

use std::collections::BTreeMap;

use mote_tests::agent::{AgentBuilder, Signal};
use mote_tests::hub::{Hub, HubConfig, Message, Misbehaviour, Route};
use serde_json::Value;

use crate::{LONG, builder, end, forget_pace, hub};

const MANIFEST: &str = "\
plugin:
  id: ticker
  name: Ticker
  version: 1.0.0
  type: trigger
  runtime: {type: shell, entry_point: main.sh}
";

/// Reports an event whenever it is asked.
const TICKER: &str = r#"#!/bin/sh
n=0
while read -r line && [ -n "$line" ]; do
  case $line in
    *detect_triggers*)
      n=$((n + 1))
      echo "{\"success\":true,\"data\":{\"id\":\"e-$$-$n\",\"type\":\"tick\",\"data\":{\"n\":$n}}}" ;;
    *get_info*)
      echo '{"success":true,"data":{"id":"ticker","name":"Ticker","version":"1","type":"trigger"}}' ;;
    *get_status*) echo '{"success":true,"data":"running"}' ;;
    *get_health*) echo '{"success":true,"data":{"status":"healthy"}}' ;;
    *) echo '{"success":true}' ;;
  esac
done
"#;

fn ticking(hub: &Hub) -> AgentBuilder {
    ticking_as(hub, "sensor")
}

fn ticking_as(hub: &Hub, agent_type: &str) -> AgentBuilder {
    let builder = builder(hub, agent_type).env("MOTE_SENSOR_TRIGGER_CHECK_INTERVAL", "100ms");
    builder
        .plugin_file("ticker", "plugin.yaml", MANIFEST)
        .unwrap();
    builder.plugin_file("ticker", "main.sh", TICKER).unwrap();
    builder
}

/// How often each event was in an answered batch.
fn counts(batches: &[Message]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let answered = batches.iter().filter(|batch| batch.answered);
    for event in answered.flat_map(|batch| batch.body["events"].as_array().unwrap()) {
        let id = event["id"].as_str().unwrap().to_owned();
        *counts.entry(id).or_default() += 1;
    }
    counts
}

fn wait_for_events(hub: &Hub, count: usize) -> Vec<Message> {
    let there = |batches: &[Message]| counts(batches).len() >= count;
    hub.wait_for_messages(Route::Events, &format!("{count} events"), LONG, there)
        .unwrap()
}

#[test]
fn a_trigger_is_heard_of_once_in_batches() {
    let hub = hub();
    let agent = ticking(&hub)
        .env("MOTE_SENSOR_BATCH_SIZE", "3")
        .env("MOTE_SENSOR_FLUSH_INTERVAL", "2s")
        .start()
        .unwrap();
    let batches = wait_for_events(&hub, 9);
    assert!(counts(&batches).values().all(|count| *count == 1));
    let sizes: Vec<_> = batches
        .iter()
        .map(|batch| batch.body["events"].as_array().unwrap().len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    assert!(sizes.contains(&3), "{sizes:?}");
    end(&hub, agent);
}

#[test]
fn an_event_that_failed_is_offered_again_and_holds_up_no_other() {
    let hub = hub();
    let agent = ticking(&hub).start().unwrap();
    let batches = wait_for_events(&hub, 1);
    let first = batches[0].body["events"][0]["id"].as_str().unwrap();
    // The next one of the same process.
    let (process, number) = first.rsplit_once('-').unwrap();
    let later = number.parse::<u64>().unwrap() + 10;
    let failing = format!("{process}-{later}");
    hub.fail_event(&failing, 2);
    let thrice = |batches: &[Message]| counts(batches).get(&failing) == Some(&3);
    let batches = hub
        .wait_for_messages(Route::Events, "the event a third time", LONG, thrice)
        .unwrap();
    let others = counts(&batches);
    let mut others = others.iter().filter(|(id, _)| **id != failing);
    assert!(others.all(|(_, count)| *count == 1));
    end(&hub, agent);
}

#[test]
fn events_outlive_an_outage_and_the_agent() {
    let hub = hub();
    let builder = ticking(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_events(&hub, 1);
    hub.misbehave_at(Route::Events, Misbehaviour::status(503));
    let away = |line: &mote_tests::agent::LogLine| {
        let held = line.field("events_held").and_then(Value::as_u64);
        held.is_some_and(|held| held >= 5)
    };
    // Asked until it has held so many.
    while agent.log().iter().rev().take(3).all(|line| !away(line)) {
        let from = agent.log().len();
        agent.signal(Signal::SIGUSR1).unwrap();
        let status = |line: &mote_tests::agent::LogLine| line.msg() == "Orchestrator status";
        agent.wait_for_log_from(from, status, LONG).unwrap();
    }
    let offered = hub.messages(Route::Events);
    let unanswered = offered.iter().filter(|batch| !batch.answered);
    let held: Vec<String> = unanswered
        .flat_map(|batch| batch.body["events"].as_array().unwrap())
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(!held.is_empty());
    agent.signal(Signal::SIGKILL).unwrap();
    agent.wait_exit(LONG).unwrap();
    forget_pace(&builder);
    hub.misbehave_at(Route::Events, Misbehaviour::Normal);
    let agent = builder.start().unwrap();
    let there = |batches: &[Message]| {
        let counts = counts(batches);
        held.iter().all(|id| counts.contains_key(id))
    };
    hub.wait_for_messages(Route::Events, "what was held", LONG, there)
        .unwrap();
    end(&hub, agent);
}

#[test]
fn events_that_came_while_a_call_hung_outlive_a_stop() {
    let hub = hub();
    let noted = r#"      echo "{\"success\":true"#;
    let builder = ticking(&hub).env("MOTE_API_TIMEOUT", "30s");
    let path = builder.dir().join("given");
    let script = TICKER.replace(
        noted,
        &format!("      echo e-$$-$n >> {}\n{noted}", path.display()),
    );
    assert_ne!(script, TICKER);
    builder.plugin_file("ticker", "main.sh", &script).unwrap();
    let mut agent = builder.start().unwrap();
    wait_for_events(&hub, 1);
    let given = || std::fs::read_to_string(&path).unwrap_or_default();
    let before = hub.messages(Route::Heartbeat).len();
    hub.misbehave_at(Route::Heartbeat, Misbehaviour::Silent);
    let one_more = |beats: &[Message]| beats.len() > before;
    hub.wait_for_messages(Route::Heartbeat, "one that hangs", LONG, one_more)
        .unwrap();
    let (now, mut last) = (given().lines().count(), String::new());
    mote_tests::wait::poll_until("more events", LONG, || {
        last = given();
        (last.lines().count() >= now + 5).then_some(())
    })
    .unwrap();
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(
        agent.wait_exit(crate::STOP_TIMEOUT).unwrap().code(),
        Some(0)
    );
    forget_pace(&builder);
    hub.misbehave_at(Route::Heartbeat, Misbehaviour::Normal);
    let agent = builder.start().unwrap();
    // The plugin was asked again after each but the last of them.
    let lines: Vec<&str> = last.lines().collect();
    let heard = lines.split_last().unwrap().1;
    let all = |batches: &[Message]| {
        let counts = counts(batches);
        heard.iter().all(|id| counts.contains_key(*id))
    };
    hub.wait_for_messages(Route::Events, "all of them", LONG, all)
        .unwrap();
    end(&hub, agent);
}

#[test]
fn more_events_than_can_be_sent_keep_back_neither_samples_nor_heartbeats_nor_polls() {
    let (metrics, orchestrator) = (Hub::start(HubConfig::default()).unwrap(), hub());
    let agent = ticking_as(&orchestrator, "both")
        .env("MOTE_SENSOR_BATCH_SIZE", "1")
        .for_hub(&metrics)
        .hurried()
        .start()
        .unwrap();
    wait_for_events(&orchestrator, 2);
    // Ten events a second, of which it takes three.
    orchestrator.misbehave(Misbehaviour::Delay { ms: 300 });
    wait_for_events(&orchestrator, 10);
    let before = metrics.received().len() as u64;
    metrics.wait_for(before + 5, LONG).unwrap();
    for route in [Route::Heartbeat, Route::Poll] {
        let before = orchestrator.messages(route).len();
        let two_more = |all: &[Message]| all.len() >= before + 2;
        let more = orchestrator.wait_for_messages(route, "two more", LONG, two_more);
        more.unwrap();
    }
    end(&orchestrator, agent);
    assert_eq!(metrics.violations(), Vec::<String>::new());
}
