//! Mutual TLS with an orchestrator: the same demands as a metrics server's, in the words of its own
//! keys. The hub speaks rustls and refuses by alerts; nginx answers 400.

use std::fs;
use std::path::Path;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine};
use mote_tests::hub::{Certificate, Hub, HubConfig, Message, OrchestratorConfig, Route};
use mote_tests::nginx::{Front, Nginx};

use crate::authority::{Authority, Form, Pair};
use crate::{LONG, show_each_bad_certificate};

const READ_AGAIN: &str = "TLS files read again";

/// An orchestrator that asks for no token.
fn orchestrator(plain: bool, wants_client_certificate: bool) -> Hub {
    Hub::start(HubConfig {
        plain,
        wants_client_certificate,
        orchestrator: Some(OrchestratorConfig {
            token: None,
            next_poll_s: 1.0,
            ..OrchestratorConfig::default()
        }),
        ..HubConfig::default()
    })
    .unwrap()
}

/// A sensor that proves itself with the token that the builder gives it.
fn sensor(hub: &Hub) -> AgentBuilder {
    AgentBuilder::new().unwrap().for_orchestrator(hub, "sensor")
}

/// The same, with a certificate alone.
fn showing(builder: AgentBuilder, certificate: &Path, key: &Path) -> AgentBuilder {
    builder
        .without_env("MOTE_API_AUTH_API_KEY")
        .env("MOTE_API_AUTH_TYPE", "certificate")
        .env("MOTE_API_AUTH_CERT_FILE", certificate)
        .env("MOTE_API_AUTH_KEY_FILE", key)
}

/// The same with a certificate of the hub's own authority that holds for so many days.
fn showing_of(hub: &Hub, days: i64) -> AgentBuilder {
    let builder = sensor(hub);
    let (certificate, key) = hub.client_certificate("agent-1", days).unwrap();
    let certificate = builder.write_file("agent.crt", &certificate).unwrap();
    let key = builder.write_file("agent.key", &key).unwrap();
    showing(builder, &certificate, &key)
}

/// A plain orchestrator behind nginx, which wants clients of this authority.
fn behind_nginx(test: &str, server: &Pair, clients: &Path) -> Option<(Hub, Nginx)> {
    let hub = orchestrator(true, false);
    let mut front = Front::new(hub.address(), &server.certificate, &server.key);
    front.client_ca = Some(clients.to_owned());
    let nginx = Nginx::start(test, &front).unwrap()?;
    Some((hub, nginx))
}

fn through(builder: AgentBuilder, nginx: &Nginx, ca: &Path) -> AgentBuilder {
    builder
        .flag("base-url", nginx.url())
        .env("MOTE_API_AUTH_CA_FILE", ca)
}

fn wait_for_beats(hub: &Hub, count: usize) {
    let before = hub.messages(Route::Heartbeat).len();
    let more = |beats: &[Message]| beats.len() >= before + count;
    hub.wait_for_messages(Route::Heartbeat, "heartbeats", LONG, more)
        .unwrap();
}

/// Waits for a failure after this many lines that says all these words.
fn wait_for_failure(agent: &AgentUnderTest, from: usize, words: &[&str]) {
    let fails = |line: &LogLine| {
        let error = line.str("error");
        line.msg().starts_with("Orchestrator") && words.iter().all(|words| error.contains(words))
    };
    let line = agent.wait_for_log_from(from, fails, LONG).unwrap();
    assert_eq!(line.str("layer"), "tls", "{}", line.text);
}

#[test]
fn a_certificate_is_proof_enough_for_the_hub_and_for_nginx() {
    let hub = orchestrator(false, true);
    let _agent = showing_of(&hub, 90).start().unwrap();
    wait_for_beats(&hub, 2);
    assert_eq!(hub.messages(Route::Register).len(), 1);
    assert_eq!(hub.violations(), Vec::<String>::new());

    let test = "a_certificate_is_proof_enough_for_the_hub_and_for_nginx";
    let ours = Authority::new("ours");
    for form in [Form::EcPkcs8, Form::RsaPkcs1] {
        let device = ours.device("device", form);
        let Some((hub, nginx)) = behind_nginx(test, &ours.server(), &ours.pem()) else {
            return;
        };
        let builder = through(sensor(&hub), &nginx, &ours.pem());
        let _agent = showing(builder, &device.certificate, &device.key)
            .start()
            .unwrap();
        wait_for_beats(&hub, 2);
        let first = &nginx.requests()[0];
        assert_eq!(
            (&*first.client, &*first.protocol),
            ("SUCCESS", "TLSv1.3"),
            "{form:?}"
        );
        assert_eq!(hub.violations(), Vec::<String>::new());
    }
}

#[test]
fn without_a_certificate_or_with_one_that_is_strange_or_has_ended_nobody_comes_in() {
    let hub = orchestrator(false, true);
    let stranger = Authority::new("stranger");
    let strange = stranger.device("device", Form::EcPkcs8);
    for (builder, words) in [
        (
            sensor(&hub),
            "wants a certificate of this device: set api.auth.cert_file and api.auth.key_file",
        ),
        (
            showing(sensor(&hub), &strange.certificate, &strange.key),
            "refuses this device's certificate (api.auth.cert_file): ",
        ),
        (
            showing_of(&hub, -1),
            "refuses this device's certificate (api.auth.cert_file): ",
        ),
    ] {
        let agent = builder.start().unwrap();
        let mut from = 0;
        for _ in 0..3 {
            wait_for_failure(&agent, from, &[words]);
            from = agent.log().len();
        }
    }
    assert_eq!(hub.stats().requests, 0);
}

#[test]
fn what_nginx_says_of_a_missing_or_strange_certificate_is_told_once_a_call() {
    let test = "what_nginx_says_of_a_missing_or_strange_certificate_is_told_once_a_call";
    let ours = Authority::new("ours");
    let stranger = Authority::new("stranger");
    let strange = stranger.device("device", Form::EcPkcs8);
    let Some((hub, nginx)) = behind_nginx(test, &ours.server(), &ours.pem()) else {
        return;
    };
    let builder = through(sensor(&hub), &nginx, &ours.pem()).env("MOTE_AGENT_POLL_INTERVAL", "1s");
    for (builder, words) in [
        (builder.clone(), "No required SSL certificate was sent"),
        (
            showing(builder, &strange.certificate, &strange.key),
            "The SSL certificate error",
        ),
    ] {
        let before = nginx.requests().len();
        let agent = builder.start().unwrap();
        for path in ["/register", "/heartbeat", "/instructions"] {
            let says =
                |line: &LogLine| line.str("path") == path && line.str("answer").contains(words);
            let line = agent.wait_for_log(says, LONG).unwrap();
            assert_eq!(line.field("status_code"), Some(&400.into()));
        }
        // Asked on and on, and not told again.
        mote_tests::wait::poll_until("more requests", LONG, || {
            (nginx.requests().len() >= before + 8).then_some(())
        })
        .unwrap();
        let said = |line: &LogLine| line.msg() == "Orchestrator refuses a call";
        assert_eq!(agent.log().iter().filter(|line| said(line)).count(), 3);
    }
    assert_eq!(hub.stats().requests, 0);
}

#[test]
fn each_bad_certificate_of_an_orchestrator_is_told_with_what_mends_it() {
    let hub = orchestrator(false, false);
    hub.set_certificate(Certificate::Expired).unwrap();
    let agent = sensor(&hub).start().unwrap();
    let keys = ("api.base_url", "api.auth.ca_file");
    show_each_bad_certificate((&hub, &agent), keys, |from, words| {
        wait_for_failure(&agent, from, words);
    });
    hub.set_certificate(Certificate::Good).unwrap();
    wait_for_beats(&hub, 2);
    assert_eq!(hub.violations(), Vec::<String>::new());
}

/// Puts a copy in place, as renewals do: the file is never there in part.
fn replace(place: &Path, source: &Path) {
    let fresh = place.with_extension("fresh");
    fs::copy(source, &fresh).unwrap();
    fs::rename(fresh, place).unwrap();
}

#[test]
fn a_renewed_authority_and_certificate_are_used_at_the_next_connection() {
    let test = "a_renewed_authority_and_certificate_are_used_at_the_next_connection";
    let builder = AgentBuilder::new().unwrap();
    let path = |name: &str| builder.dir().join(name);
    let server = Pair {
        certificate: path("server.pem"),
        key: path("server.key"),
    };
    let (ca, certificate, key) = (path("ca.pem"), path("device.pem"), path("device.key"));
    let renew = |authority: &Authority| {
        replace(&ca, &authority.pem());
        let (ours, theirs) = (
            authority.device("device", Form::EcPkcs8),
            authority.server(),
        );
        for (place, source) in [
            (&certificate, &ours.certificate),
            (&key, &ours.key),
            (&server.certificate, &theirs.certificate),
            (&server.key, &theirs.key),
        ] {
            replace(place, source);
        }
    };
    renew(&Authority::new("first"));
    let Some((hub, nginx)) = behind_nginx(test, &server, &ca) else {
        return;
    };
    let builder = through(
        builder.clone().for_orchestrator(&hub, "sensor"),
        &nginx,
        &ca,
    );
    let agent = showing(builder, &certificate, &key).start().unwrap();
    wait_for_beats(&hub, 2);
    assert!(!crate::has_line(&agent, READ_AGAIN));
    renew(&Authority::new("second"));
    nginx.reload().unwrap();
    agent
        .wait_for_log(|line| line.msg() == READ_AGAIN, LONG)
        .unwrap();
    wait_for_beats(&hub, 2);
    let (first, last) = (nginx.requests().remove(0), nginx.requests().pop().unwrap());
    assert_eq!(last.client, "SUCCESS");
    assert!(last.connection > first.connection);
    assert_eq!(hub.violations(), Vec::<String>::new());
}
