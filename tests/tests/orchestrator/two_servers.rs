//! Two servers through one uplink: one that hangs makes the agent at most 3 s late for the other.

use mote_tests::agent::LogLine;
use mote_tests::hub::{Message, Misbehaviour, Received, Route};
use mote_tests::suite::good_hub;
use serde_json::Value;

use crate::{LONG, builder, end, hub, largest_gap_ms};

/// What an attempt gets at a server that failed twice, and more for the machine's own slowness.
const LATE_MS: u64 = 3_000 + 1_500;

#[test]
fn both_are_served_and_neither_hears_of_the_other() {
    let (metrics, orchestrator) = (good_hub(), hub());
    let agent = builder(&orchestrator, "both")
        .for_hub(&metrics)
        .hurried()
        .start()
        .unwrap();
    metrics.wait_for(10, LONG).unwrap();
    let some = |beats: &[Message]| beats.len() >= 3;
    orchestrator
        .wait_for_messages(Route::Heartbeat, "three heartbeats", LONG, some)
        .unwrap();
    // One connection each, kept. A request that the end cancels would cost another.
    assert_eq!((metrics.connections(), orchestrator.connections()), (1, 1));
    end(&orchestrator, agent);
    assert_eq!(metrics.violations(), Vec::<String>::new());
}

#[test]
fn heartbeats_go_on_while_the_metrics_server_is_a_black_hole() {
    let (metrics, orchestrator) = (good_hub(), hub());
    metrics.misbehave(Misbehaviour::SilentTls);
    let agent = builder(&orchestrator, "both")
        .for_hub(&metrics)
        .hurried()
        .start()
        .unwrap();
    let failed_often = |line: &LogLine| {
        let attempt = line.field("attempt").and_then(Value::as_u64);
        line.msg().starts_with("Metrics send failed") && attempt == Some(2)
    };
    agent.wait_for_log(failed_often, LONG).unwrap();
    let before = orchestrator.messages(Route::Heartbeat).len();
    let more = |beats: &[Message]| beats.len() >= before + 6;
    let beats = orchestrator
        .wait_for_messages(Route::Heartbeat, "six more heartbeats", LONG, more)
        .unwrap();
    let gap_ms = largest_gap_ms(beats[before..].iter().map(|beat| beat.when_ms));
    assert!(
        gap_ms <= 1_000 + LATE_MS,
        "{gap_ms} ms between two heartbeats"
    );
    end(&orchestrator, agent);
}

#[test]
fn samples_go_on_while_the_orchestrator_is_a_black_hole() {
    let (metrics, orchestrator) = (good_hub(), hub());
    orchestrator.misbehave(Misbehaviour::SilentTls);
    let mut agent = builder(&orchestrator, "both")
        .for_hub(&metrics)
        .hurried()
        .start()
        .unwrap();
    let failed_often = |line: &LogLine| {
        let attempt = line.field("attempt").and_then(Value::as_u64);
        line.msg().starts_with("Orchestrator") && attempt == Some(2)
    };
    agent.wait_for_log(failed_often, LONG).unwrap();
    let before = metrics.received().len();
    let more = metrics.wait_for(before as u64 + 40, LONG).unwrap();
    let gap_ms = largest_gap_ms(
        more[before..]
            .iter()
            .map(|sample: &Received| sample.when_ms),
    );
    assert!(gap_ms <= 100 + LATE_MS, "{gap_ms} ms between two samples");
    agent.stop(mote_tests::agent::Signal::SIGTERM).unwrap();
    assert_eq!(metrics.violations(), Vec::<String>::new());
}

#[test]
fn instructions_are_asked_for_though_a_sample_takes_longer_than_the_interval() {
    let (metrics, orchestrator) = (good_hub(), hub());
    metrics.misbehave(Misbehaviour::Delay { ms: 300 });
    let agent = builder(&orchestrator, "both")
        .for_hub(&metrics)
        .hurried()
        .start()
        .unwrap();
    metrics.wait_for(3, LONG).unwrap();
    let before = orchestrator.messages(Route::Poll).len();
    let more = |polls: &[Message]| polls.len() >= before + 3;
    orchestrator
        .wait_for_messages(Route::Poll, "three more polls", LONG, more)
        .unwrap();
    end(&orchestrator, agent);
    assert_eq!(metrics.violations(), Vec::<String>::new());
}
