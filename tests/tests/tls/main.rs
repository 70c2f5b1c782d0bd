//! TLS as the agent meets it: good and bad servers, certificates of its own, renewals, pins.
//!
//! The hub speaks rustls, like the agent; nginx and openssl speak for everybody else. The agents
//! are in a hurry (see `AgentBuilder::hurried`).

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod authority;
mod device;
mod orchestrator;
mod renewal;
mod server;

use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine};
use mote_tests::hub::{Hub, HubConfig};
use mote_tests::nginx::{Front, Nginx};

use authority::Pair;

/// More than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// The configuration cannot be used (sysexits.h).
const CONFIG: i32 = 78;

fn good_hub() -> Hub {
    Hub::start(HubConfig::default()).unwrap()
}

fn plain_hub() -> Hub {
    Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap()
}

/// An agent for a hub with TLS.
fn hurried(hub: &Hub) -> AgentBuilder {
    AgentBuilder::new().unwrap().for_hub(hub).hurried()
}

/// A plain hub with nginx before it; none where there is no nginx.
fn behind_nginx(
    test: &str,
    server: &Pair,
    change: impl FnOnce(&mut Front),
) -> Option<(Hub, Nginx)> {
    let hub = plain_hub();
    let mut front = Front::new(hub.address(), &server.certificate, &server.key);
    change(&mut front);
    let nginx = Nginx::start(test, &front).unwrap()?;
    Some((hub, nginx))
}

/// The agent's certificate and key.
fn showing(builder: AgentBuilder, pair: &Pair) -> AgentBuilder {
    builder
        .flag("tls-cert-file", &pair.certificate)
        .flag("tls-key-file", &pair.key)
}

/// Waits for a failure after this many lines that says all these words, and is of TLS.
fn wait_for_failure(agent: &AgentUnderTest, from: usize, words: &[&str]) -> LogLine {
    let fails = |line: &LogLine| {
        line.msg().starts_with("Metrics send failed")
            && words.iter().all(|words| line.str("error").contains(words))
    };
    let line = agent.wait_for_log_from(from, fails, LONG).unwrap();
    assert_eq!(line.str("layer"), "tls", "{}", line.text);
    line
}

fn has_line(agent: &AgentUnderTest, msg: &str) -> bool {
    agent.log().iter().any(|line| line.msg() == msg)
}
