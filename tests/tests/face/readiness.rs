//! Health is about the process, ready about its work.

use std::fs;

use super::*;

/// Health says yes through all of this.
fn healthy(address: SocketAddr) {
    let reply = get(address, "/health");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["status"], "ok");
}

#[test]
fn an_outage_is_no_reason_to_restart_while_there_is_room() {
    let hub = good_hub();
    let (_agent, address) = start(&hurried(&hub).flag("buffer-samples", "12"));
    hub.wait_for(1, LONG).unwrap();
    assert_eq!(
        wait_for_answer(address, "/ready", 200).json()["status"],
        "ok"
    );
    hub.misbehave(Misbehaviour::RefuseConnections);
    hub.drop_connections();
    let is_away = || {
        let reply = get(address, "/ready");
        let away = reply.json()["uplink"]["state"] == "away";
        (away && reply.status == 200).then_some(())
    };
    mote_tests::wait::poll_until("ready amid an outage", LONG, is_away).unwrap();
    healthy(address);
    let full = wait_for_answer(address, "/ready", 503).json();
    assert_eq!(full["status"], "failing");
    assert_eq!(full["outbox"]["state"], "full");
    assert!(
        full["uplink"]["trouble"]
            .as_str()
            .unwrap()
            .contains("connect"),
        "{full}"
    );
    healthy(address);
    hub.misbehave(Misbehaviour::Normal);
    wait_for_answer(address, "/ready", 200);
}

#[test]
fn a_refused_key_takes_somebody_who_looks_after_it() {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::Status {
        status: 401,
        headers: Vec::new(),
        body: String::new(),
    });
    let (_agent, address) = start(&hurried(&hub));
    let reply = wait_for_answer(address, "/ready", 503).json();
    assert_eq!(reply["uplink"]["state"], "key_refused");
    assert_eq!(reply["uplink"]["trouble"], "the server answered 401");
    healthy(address);
}

#[test]
fn a_certificate_that_is_refused_is_named() {
    let hub = good_hub();
    let (_agent, address) = start(&hurried(&hub).without_flag("tls-ca-file"));
    let refused = || {
        let parts = get(address, "/ready").json();
        let trouble = parts["certificates"]["trouble"].as_str()?;
        Some((
            parts["certificates"]["state"] == "failing",
            trouble.to_owned(),
        ))
    };
    let (failing, words) = mote_tests::wait::poll_until("the refusal", LONG, refused).unwrap();
    assert!(failing && words.contains("unknown issuer"), "{words}");
    healthy(address);
}

#[test]
fn a_configuration_that_was_not_reloaded_is_not_in_force() {
    let builder = AgentBuilder::new()
        .unwrap()
        .config("interval: 100ms\n")
        .unwrap();
    let (mut agent, address) = start(&builder);
    let path = builder.dir().join("mote.yaml");
    assert_eq!(get(address, "/ready").status, 200);
    fs::write(&path, "interval: soon\n").unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    let reply = wait_for_answer(address, "/ready", 503).json();
    let words = reply["configuration"]["trouble"].as_str().unwrap();
    assert!(words.contains("interval"), "{words}");
    healthy(address);
    fs::write(&path, "interval: 200ms\n").unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    assert_eq!(
        wait_for_answer(address, "/ready", 200).json()["configuration"]["trouble"],
        Value::Null
    );
}
