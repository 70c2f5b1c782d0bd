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

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine};
use mote_tests::hub::{Certificate, Hub, HubConfig};
use mote_tests::nginx::{Front, Nginx};
use mote_tests::suite::{LONG, good_hub, hurried};

use authority::Pair;

/// The configuration cannot be used (sysexits.h).
const CONFIG: i32 = 78;

fn plain_hub() -> Hub {
    Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap()
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

/// Lets the hub show each bad certificate in turn, to an agent that names its server under `address_key`
/// and its authorities under `ca_key`. `wait_for_words` is given the number of lines so far, and what
/// is to be said after them.
fn show_each_bad_certificate(
    (hub, agent): (&Hub, &AgentUnderTest),
    (address_key, ca_key): (&str, &str),
    wait_for_words: impl Fn(usize, &[&str]),
) {
    let wrong_name = format!("is not for 127.0.0.1 but for wrong.invalid: check {address_key}");
    let self_signed = format!("unknown issuer: no authority in {ca_key}");
    for (certificate, words) in [
        (
            Certificate::Expired,
            &["expired at 20", "clock says 20"][..],
        ),
        (
            Certificate::NotYetValid,
            &["not valid before 20", "set the clock"],
        ),
        (Certificate::WrongName, &[&wrong_name]),
        (
            Certificate::ForeignCa,
            &["not signed by the issuer that it names"],
        ),
        (Certificate::SelfSigned, &[&self_signed]),
    ] {
        hub.set_certificate(certificate).unwrap();
        wait_for_words(agent.log().len(), words);
    }
    assert_eq!(hub.stats().requests, 0);
}

fn has_line(agent: &AgentUnderTest, msg: &str) -> bool {
    agent.log().iter().any(|line| line.msg() == msg)
}
