//! The hub's certificates and TLS versions, as a careful client sees them.

use mote_tests::hub::{Certificate, Hub, HubConfig, TlsVersions};

use crate::LONG;
use crate::client::{Client, Post, connect_tcp, trusting};

#[test]
fn each_wrong_certificate_is_wrong_in_its_own_way() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    for (certificate, word) in [
        (Certificate::Expired, "expired"),
        (Certificate::NotYetValid, "not valid yet"),
        (Certificate::WrongName, "not valid for name"),
        (Certificate::ForeignCa, "BadSignature"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        hub.set_certificate(certificate).unwrap();
        let words = Client::connect(&hub).unwrap_err().to_string();
        assert!(words.contains(word), "{certificate:?}: {words}");
    }
    hub.set_certificate(Certificate::Good).unwrap();
    Client::connect(&hub)
        .unwrap()
        .ask(&Post::sample(1))
        .unwrap();
    let five = hub.wait_until("five failures", LONG, |stats, _| {
        stats.handshake_failures == 5
    });
    five.unwrap();
}

#[test]
fn a_wrong_certificate_can_be_there_from_the_start() {
    let config = HubConfig {
        certificate: Certificate::Expired,
        ..HubConfig::default()
    };
    let hub = Hub::start(config).unwrap();
    assert!(
        Client::connect(&hub)
            .unwrap_err()
            .to_string()
            .contains("expired")
    );
}

#[test]
fn tls_versions_are_limited() {
    for (tls_versions, spoken) in [
        (TlsVersions::Only12, "TLSv1_2"),
        (TlsVersions::Only13, "TLSv1_3"),
    ] {
        let hub = Hub::start(HubConfig {
            tls_versions,
            ..HubConfig::default()
        })
        .unwrap();
        Client::connect(&hub)
            .unwrap()
            .ask(&Post::sample(1))
            .unwrap();
        assert_eq!(hub.received()[0].tls_version.as_deref(), Some(spoken));
    }
}

#[test]
fn the_certificate_is_for_every_name_that_was_given() {
    let config = HubConfig {
        extra_names: vec!["hub.test".into()],
        ..HubConfig::default()
    };
    let hub = Hub::start(config).unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "hub.test"] {
        Client::handshake(connect_tcp(&hub).unwrap(), trusting(&hub), name).unwrap();
    }
    let other = Client::handshake(connect_tcp(&hub).unwrap(), trusting(&hub), "other.test");
    assert!(other.is_err());
}

#[test]
fn a_session_is_resumed_but_never_past_a_changed_certificate() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let config = trusting(&hub);
    let connect = || {
        let client = Client::handshake(connect_tcp(&hub).unwrap(), config.clone(), "localhost");
        // Tickets come with the first answer.
        client.and_then(|mut client| client.ask(&Post::sample(1)))
    };
    connect().unwrap();
    connect().unwrap();
    assert_eq!(hub.stats().resumed, 1);
    hub.set_certificate(Certificate::Expired).unwrap();
    connect().unwrap_err();
    assert_eq!(hub.stats().resumed, 1);
}
