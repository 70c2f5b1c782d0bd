//! An action that sleeps for an hour: everything else goes on beside it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use mote_tests::agent::{LogLine, Signal};
use mote_tests::hub::{Hub, HubConfig, Message, Route};
use serde_json::json;

use crate::{LONG, builder, execute, hub, largest_gap_ms, results, wait_for_result};

const RUN: &str = "#!/bin/sh\n[ \"$1\" = sleep ] && exec sleep 3600\necho '{}'\n";
/// Of what comes every second, so many more are awaited; of samples ten times as many.
const MORE: usize = 5;
/// A delay by the action would be of its hour; this is for the machine's own slowness.
const SLACK_MS: u64 = 2_000;

fn health(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_action_that_sleeps_for_an_hour_delays_nothing_else() {
    let (metrics, hub) = (Hub::start(HubConfig::default()).unwrap(), hub());
    let builder = builder(&hub, "both").for_hub(&metrics).hurried();
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let mut agent = builder.start().unwrap();
    let address = agent.listens_at("/health", LONG).unwrap();
    let mut sleeping = execute("sleeping");
    sleeping["plugin_configuration"] = json!({"entrypoint": "run.sh", "arguments": ["sleep"]});
    sleeping["timeout_seconds"] = json!(3600);
    hub.give(sleeping);
    let started = |line: &LogLine| line.msg() == "Instruction started";
    agent.wait_for_log(started, LONG).unwrap();

    let before = [Route::Heartbeat, Route::Poll].map(|route| (route, hub.messages(route).len()));
    let samples_before = metrics.received().len();
    for number in 0..MORE {
        let id = format!("beside-{number}");
        hub.give(execute(&id));
        assert_eq!(wait_for_result(&hub, &id).body["status"], "completed");
        assert!(health(address).starts_with("HTTP/1.1 200 "));
    }
    for (route, before) in before {
        let more = |all: &[Message]| all.len() >= before + MORE;
        let all = hub.wait_for_messages(route, "more of them", LONG, more);
        let gap_ms = largest_gap_ms(all.unwrap()[before..].iter().map(|one| one.when_ms));
        assert!(
            gap_ms <= 1_000 + SLACK_MS,
            "{gap_ms} ms between two: {route:?}"
        );
    }
    let samples = metrics.wait_for((samples_before + 10 * MORE) as u64, LONG);
    let samples = &samples.unwrap()[samples_before..];
    let gap_ms = largest_gap_ms(samples.iter().map(|one| one.timestamp_ms().unwrap()));
    assert!(gap_ms <= 100 + SLACK_MS, "{gap_ms} ms between two samples");
    // It sleeps on, and is cut off with the agent.
    assert!(results(&hub, "sleeping").is_empty());
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    assert_eq!(hub.violations(), Vec::<String>::new());
    assert_eq!(metrics.violations(), Vec::<String>::new());
}
