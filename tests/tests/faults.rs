//! Servers that hang, stammer, lie and break: none of them stops the sampling, none makes the agent
//! grow, none keeps it from ending within a second of a signal.
//!
//! That sampling went on is seen afterwards: the hub gets the samples of the fault's time, their
//! numbers without a gap. Memory is kB as the kernel counts them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{self, Write};
use std::net::TcpListener;
use std::thread;

use mote_tests::agent::{AgentUnderTest, LogLine, Signal, left_out};
use mote_tests::hub::{Certificate, Hub, HubConfig, Misbehaviour, Received, TlsVersions};
use mote_tests::suite::{LONG, good_hub, hurried, newest, wait_for_each};

/// All that the agent may ever hold in memory.
const RSS_KB: u64 = 2400;

/// One thread, and no more memory than it may have, now or ever.
fn check_modest(agent: &AgentUnderTest, when: &str) {
    assert_eq!(agent.threads().unwrap(), 1, "{when}");
    if left_out("what the agent holds in memory") {
        return;
    }
    let memory = agent.memory().unwrap();
    assert!(memory.rss_kb < RSS_KB, "{when}: {memory:?}");
    assert!(memory.peak_rss_kb < RSS_KB, "{when}: {memory:?}");
}

/// A fault that comes while all is well, lasts for three failed attempts, and goes. Each attempt's
/// failure is said with its layer and these words.
fn check_fault(conduct: &Misbehaviour, layer: &str, words: &str) {
    let hub = good_hub();
    let builder = hurried(&hub).flag("timeout", "400ms");
    let agent = builder.flag("connect-timeout", "300ms").start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    check_modest(&agent, "when all is well");
    let mut from = agent.log().len();
    hub.misbehave(conduct.clone());
    // Some faults wait for a new connection.
    hub.drop_connections();
    let before = newest(&hub);
    for _ in 0..3 {
        let fails = |line: &LogLine| {
            line.msg().starts_with("Metrics send failed") && line.str("error").contains(words)
        };
        let failed = agent.wait_for_log_from(from, fails, LONG).unwrap();
        assert_eq!(failed.str("layer"), layer, "{}", failed.text);
        from = agent.log().len();
        check_modest(&agent, &format!("{conduct:?}"));
    }
    hub.misbehave(Misbehaviour::Normal);
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 1, LONG).unwrap();
    let first = newest(&hub);
    assert!(first > before + 2, "{conduct:?}: {before} to {first}");
    wait_for_each(&hub, 1..=first + 2);
    check_modest(&agent, "afterwards");
    assert!(hub.violations().is_empty(), "{:?}", hub.violations());
}

#[test]
fn a_server_that_never_answers_stops_nothing() {
    check_fault(&Misbehaviour::Silent, "http", "did not answer in time");
}

#[test]
fn n6_a_server_that_accepts_and_never_shakes_hands_stops_nothing() {
    check_fault(&Misbehaviour::SilentTls, "tls", "handshake took too long");
}

#[test]
fn n5_a_body_that_trickles_stops_nothing() {
    let slow = Misbehaviour::SlowBody { byte_ms: 1000 };
    check_fault(&slow, "http", "did not end in time");
    // Always something to read, never the end: the deadline is for the whole.
    let slow = Misbehaviour::SlowBody { byte_ms: 50 };
    check_fault(&slow, "http", "did not end in time");
}

#[test]
fn n5_a_head_that_trickles_stops_nothing() {
    let slow = Misbehaviour::SlowHeaders { byte_ms: 1000 };
    check_fault(&slow, "http", "did not answer in time");
    let slow = Misbehaviour::SlowHeaders { byte_ms: 10 };
    check_fault(&slow, "http", "did not answer in time");
}

#[test]
fn n3_a_reset_amid_the_body_stops_nothing() {
    check_fault(&Misbehaviour::ResetMidBody, "http", "connection broken");
}

#[test]
fn garbage_stops_nothing() {
    check_fault(&Misbehaviour::Garbage, "http", "not a usable HTTP answer");
}

#[test]
fn n11_a_header_without_end_stops_nothing_and_costs_no_memory() {
    check_fault(&Misbehaviour::HugeHeader, "http", "larger than 16 KiB");
}

#[test]
fn n11_a_body_without_end_stops_nothing_and_costs_no_memory() {
    check_fault(&Misbehaviour::EndlessBody, "http", "larger than 64 KiB");
}

#[test]
fn n5_interim_answers_without_end_stop_nothing() {
    check_fault(&Misbehaviour::Endless100, "http", "did not answer in time");
}

/// An agent that runs into a fault at its first sample, patient enough to be caught in it, ends
/// within a second of the signal.
fn check_stop_amid(conduct: &Misbehaviour, signal: Signal) {
    let hub = good_hub();
    hub.misbehave(conduct.clone());
    let patient = hurried(&hub).flag("timeout", "60s");
    let mut agent = patient.flag("connect-timeout", "60s").start().unwrap();
    let is_in_it = |stats: &mote_tests::hub::Stats, _: &[Received]| {
        stats.requests > 0 || (*conduct == Misbehaviour::SilentTls && stats.open > 0)
    };
    hub.wait_until("the agent", LONG, is_in_it).unwrap();
    let status = agent.stop(signal).unwrap();
    assert_eq!(status.code(), Some(0), "{conduct:?} {signal}");
    let said: Vec<String> = agent.log().iter().map(|line| line.msg().into()).collect();
    assert_eq!(
        said[said.len() - 2..],
        ["Stopping", "Stopped"],
        "{conduct:?}"
    );
    let stopping = &agent.log()[said.len() - 2];
    assert_eq!(stopping.str("signal"), signal.as_str());
    assert_eq!(hub.received().len(), 0, "{conduct:?}");
}

fn check_stop(signal: Signal) {
    for conduct in [
        Misbehaviour::Silent,
        Misbehaviour::SilentTls,
        Misbehaviour::SlowBody { byte_ms: 1000 },
        Misbehaviour::SlowHeaders { byte_ms: 1000 },
        Misbehaviour::Delay { ms: 60_000 },
        Misbehaviour::Endless100,
    ] {
        check_stop_amid(&conduct, signal);
    }
}

#[test]
fn sigterm_ends_it_within_a_second_amid_any_request() {
    check_stop(Signal::SIGTERM);
}

#[test]
fn sigint_ends_it_within_a_second_amid_any_request() {
    check_stop(Signal::SIGINT);
}

#[test]
fn a_signal_ends_it_within_a_second_while_it_waits_to_try_again() {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::RefuseConnections);
    let patient = hurried(&hub)
        .flag("retry-backoff", "1h")
        .flag("retry-max", "1h");
    let mut agent = patient.start().unwrap();
    let fails = |line: &LogLine| line.msg() == "Metrics send failed";
    agent.wait_for_log(fails, LONG).unwrap();
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

/// A certificate that is not to be trusted is refused with these words, before anything of ours
/// was sent; when it is mended, everything arrives.
fn check_certificate(certificate: Certificate, words: &str) {
    let hub = Hub::start(HubConfig {
        certificate,
        ..HubConfig::default()
    })
    .unwrap();
    let agent = hurried(&hub).start().unwrap();
    let fails = |line: &LogLine| line.msg() == "Metrics send failed";
    let failed = agent.wait_for_log(fails, LONG).unwrap();
    assert_eq!(failed.str("layer"), "tls", "{}", failed.text);
    assert!(failed.str("error").contains(words), "{}", failed.text);
    let stats = hub.stats();
    assert_eq!(
        (stats.requests, stats.handshakes),
        (0, 0),
        "{certificate:?}"
    );
    hub.set_certificate(Certificate::Good).unwrap();
    wait_for_each(&hub, 1..=4);
    check_modest(&agent, &format!("{certificate:?}"));
}

#[test]
fn n13_an_expired_certificate_is_refused_with_its_reason() {
    check_certificate(Certificate::Expired, "expired");
}

#[test]
fn n13_a_certificate_that_is_not_valid_yet_is_refused_with_its_reason() {
    check_certificate(Certificate::NotYetValid, "is not valid before");
}

#[test]
fn n13_a_certificate_for_another_name_is_refused_with_its_reason() {
    check_certificate(
        Certificate::WrongName,
        "is not for 127.0.0.1 but for wrong.invalid",
    );
}

#[test]
fn n13_a_certificate_of_an_unknown_issuer_is_refused_with_its_reason() {
    check_certificate(Certificate::SelfSigned, "unknown issuer");
    // Its issuer has the name of the one that is trusted, and another key.
    check_certificate(
        Certificate::ForeignCa,
        "not signed by the issuer that it names",
    );
}

#[test]
fn n13_a_hub_that_nobody_vouches_for_is_refused_by_the_built_in_roots() {
    let hub = good_hub();
    let agent = hurried(&hub).without_flag("tls-ca-file").start().unwrap();
    let fails = |line: &LogLine| line.msg() == "Metrics send failed";
    let failed = agent.wait_for_log(fails, LONG).unwrap();
    assert!(
        failed.str("error").contains("unknown issuer"),
        "{}",
        failed.text
    );
    check_modest(&agent, "with the built-in roots");
    assert_eq!(hub.stats().handshakes, 0);
}

#[test]
fn either_version_of_tls_delivers_and_the_newer_is_chosen() {
    for (tls_versions, spoken) in [
        (TlsVersions::Only12, "TLSv1_2"),
        (TlsVersions::Only13, "TLSv1_3"),
        (TlsVersions::Both, "TLSv1_3"),
    ] {
        let hub = Hub::start(HubConfig {
            tls_versions,
            ..HubConfig::default()
        })
        .unwrap();
        let agent = hurried(&hub).start().unwrap();
        for sample in hub.wait_for(3, LONG).unwrap() {
            assert_eq!(sample.tls_version.as_deref(), Some(spoken));
        }
        assert_eq!(hub.stats().handshake_failures, 0);
        check_modest(&agent, spoken);
    }
}

/// An agent for this server says of its first failure what it was.
fn check_wrong_protocol(url: &str, hub: &Hub, layer: &str, words: &str) {
    let builder = hurried(hub).flag("tls-ca-file", hub.ca_pem_path());
    let agent = builder.flag("server-url", url).start().unwrap();
    let fails = |line: &LogLine| line.msg() == "Metrics send failed";
    let failed = agent.wait_for_log(fails, LONG).unwrap();
    assert_eq!(failed.str("layer"), layer, "{}", failed.text);
    assert!(failed.str("error").contains(words), "{}", failed.text);
}

#[test]
fn a_server_that_speaks_no_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut guest, _) = listener.accept().unwrap();
        guest
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // The guest goes first, or what it wrote in vain would reset the connection.
        io::copy(&mut guest, &mut io::sink()).ok();
    });
    check_wrong_protocol(&url, &good_hub(), "tls", "does not speak TLS");
    server.join().unwrap();
}

#[test]
fn a_server_that_speaks_only_tls_is_no_http_server() {
    let hub = good_hub();
    let url = format!("http://{}", hub.address());
    let words = "write https: in front";
    check_wrong_protocol(&url, &hub, "http", words);
}
