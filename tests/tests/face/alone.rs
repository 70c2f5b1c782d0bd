//! An agent that nobody told of a server.

use std::fs;

use super::*;

const NOWHERE: &str = "Samples are delivered nowhere: set server_url and api_key to deliver them";

#[test]
fn with_nothing_configured_it_watches_and_can_be_looked_at() {
    let (mut agent, address) = start(&AgentBuilder::new().unwrap().flag("interval", "100ms"));
    let status = wait_for_status(address, "samples", |status| {
        status["outbox"]["collected"].as_u64() > Some(5)
    });
    assert_eq!(status["uplink"]["configured"], false);
    assert_eq!(status["uplink"]["server"], Value::Null);
    assert_eq!(status["outbox"]["held"], 0);
    assert_eq!(status["outbox"]["dropped"]["full"], 0);
    assert_eq!(get(address, "/ready").status, 200);
    assert_eq!(get(address, "/").status, 200);
    let said = agent
        .log()
        .iter()
        .filter(|line| line.msg() == NOWHERE)
        .count();
    assert_eq!(said, 1);
    let log = agent.log();
    let start = log.iter().find(|line| line.msg() == "Agent starting");
    for field in ["server_url", "config", "orchestrator"] {
        assert_eq!(start.unwrap().field(field), None, "{field}");
    }
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn a_server_can_come_by_reload_and_go_by_restart_only() {
    let hub = good_hub();
    let builder = AgentBuilder::new()
        .unwrap()
        .config("interval: 100ms\n")
        .unwrap();
    let (mut agent, address) = start(&builder);
    let with_server = format!(
        "interval: 100ms\nserver_url: {}\napi_key: {}\ntls: {{ca_file: {}}}\n",
        hub.url(),
        hub.api_key(),
        hub.ca_pem_path().display()
    );
    fs::write(builder.dir().join("mote.yaml"), with_server).unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    hub.wait_for(3, LONG).unwrap();
    wait_for_status(address, "delivering", |status| {
        status["uplink"]["state"] == "delivering"
    });
    // A file that is rewritten is empty for a moment.
    fs::write(builder.dir().join("mote.yaml"), "").unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    let reply = wait_for_answer(address, "/ready", 503).json();
    let words = reply["configuration"]["trouble"].as_str().unwrap();
    assert!(words.contains("server_url is missing"), "{words}");
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 2, LONG).unwrap();
}

#[test]
fn where_it_can_neither_deliver_nor_be_looked_at_it_does_not_start() {
    let blind = AgentBuilder::new()
        .unwrap()
        .argument("--health-enabled=false");
    let mut agent = blind.start().unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(78));
    let said = agent.stderr().join("\n");
    assert!(said.contains("server_url is missing"), "{said}");
}

#[test]
fn the_agent_that_it_stands_in_for_always_had_a_server() {
    let builder = AgentBuilder::new().unwrap();
    let link = builder.dir().join("lunasentri-agent");
    std::os::unix::fs::symlink(mote_tests::agent::mote_binary().unwrap(), &link).unwrap();
    if left_out("programs that are called by another name") {
        return;
    }
    let mut agent = builder.binary(link).start().unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(78));
}
