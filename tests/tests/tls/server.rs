//! What a server must be: its certificate, its version, its name, its keys.

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;

use mote_tests::agent::AgentBuilder;
use mote_tests::hub::{Certificate, Hub, HubConfig, TlsVersions};

use crate::authority::Authority;
use crate::{LONG, behind_nginx, good_hub, hurried, show_each_bad_certificate, wait_for_failure};

#[test]
fn each_bad_certificate_is_told_with_what_mends_it() {
    let hub = good_hub();
    hub.set_certificate(Certificate::Expired).unwrap();
    let agent = hurried(&hub).start().unwrap();
    let keys = ("server_url", "tls.ca_file");
    show_each_bad_certificate((&hub, &agent), keys, |from, words| {
        wait_for_failure(&agent, from, words);
    });
    hub.set_certificate(Certificate::Good).unwrap();
    hub.wait_for(3, LONG).unwrap();
    assert_eq!(hub.violations(), Vec::<String>::new());
}

#[test]
fn the_roots_that_are_built_in_do_not_know_the_hub() {
    let hub = good_hub();
    let agent = hurried(&hub).without_flag("tls-ca-file").start().unwrap();
    wait_for_failure(&agent, 0, &["unknown issuer: set tls.ca_file"]);
}

#[test]
fn either_version_will_do_unless_the_older_one_is_ruled_out() {
    for (tls_versions, spoken) in [
        (TlsVersions::Only12, "TLSv1_2"),
        (TlsVersions::Only13, "TLSv1_3"),
    ] {
        let hub = Hub::start(HubConfig {
            tls_versions,
            ..HubConfig::default()
        })
        .unwrap();
        let _agent = hurried(&hub).start().unwrap();
        let received = hub.wait_for(3, LONG).unwrap();
        assert_eq!(received[0].tls_version.as_deref(), Some(spoken));

        let strict = hurried(&hub)
            .flag("tls-min-version", "1.3")
            .start()
            .unwrap();
        if tls_versions == TlsVersions::Only12 {
            let words = ["does not speak TLS 1.3: renew it, or set tls.min_version to 1.2"];
            wait_for_failure(&strict, 0, &words);
        } else {
            let sent = |line: &mote_tests::agent::LogLine| line.msg().contains("successfully");
            strict.wait_for_log(sent, LONG).unwrap();
        }
    }
}

#[test]
fn n13_nginx_may_speak_either_version_but_none_that_is_older() {
    let test = "n13_nginx_may_speak_either_version_but_none_that_is_older";
    let ours = Authority::new("ours");
    let server = ours.server();
    for protocols in ["TLSv1.2", "TLSv1.3", "TLSv1.1"] {
        let Some((hub, nginx)) = behind_nginx(test, &server, |front| front.protocols = protocols)
        else {
            return;
        };
        let agent = hurried(&hub)
            .flag("server-url", nginx.url())
            .flag("tls-ca-file", ours.pem())
            .start()
            .unwrap();
        if protocols == "TLSv1.1" {
            wait_for_failure(&agent, 0, &["speaks neither TLS 1.2 nor 1.3"]);
            assert_eq!(hub.stats().requests, 0);
        } else {
            hub.wait_for(3, LONG).unwrap();
            let first = &nginx.requests()[0];
            assert_eq!((first.protocol.as_str(), first.status), (protocols, 202));
        }
    }
}

#[test]
fn another_name_than_the_urls_can_be_asked_for() {
    let hub = Hub::start(HubConfig {
        certificate: Certificate::WrongName,
        ..HubConfig::default()
    })
    .unwrap();
    let named = hurried(&hub).flag("tls-server-name", "wrong.invalid");
    let agent = named.start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    // What counts is the name that was set, not that of the URL besides.
    let from = agent.log().len();
    hub.set_certificate(Certificate::Good).unwrap();
    hub.drop_connections();
    wait_for_failure(&agent, from, &["is not for wrong.invalid but for "]);
}

#[test]
fn what_does_not_speak_tls_is_told_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let agent = AgentBuilder::new().unwrap().hurried();
    let agent = agent.flag("server-url", url).flag("api-key", "k");
    let agent = agent.start().unwrap();
    // It is let in once, and then waits for the rest of this test.
    let (mut guest, _) = listener.accept().unwrap();
    guest
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .unwrap();
    wait_for_failure(&agent, 0, &["does not speak TLS"]);
}

/// The pin in the first certificate that a command prints, found as the error about a wrong pin says.
fn pin_of(print_certificate: &str) -> String {
    let pipe = format!(
        "{print_certificate} | openssl x509 -pubkey -noout | openssl pkey -pubin -outform der \
         | openssl dgst -sha256 -binary | base64"
    );
    let output = Command::new("sh").args(["-c", &pipe]).output().unwrap();
    let pin = format!(
        "sha256/{}",
        String::from_utf8(output.stdout).unwrap().trim()
    );
    assert_eq!(
        pin.len(),
        51,
        "{pin}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    pin
}

#[test]
fn a_pin_of_the_server_or_of_its_authority_is_kept_to() {
    let hub = good_hub();
    let address = hub.address();
    let own = pin_of(&format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null"
    ));
    let authority = pin_of(&format!("cat {}", hub.ca_pem_path().display()));
    let strange = Authority::new("strange");
    let strange = pin_of(&format!("cat {}", strange.pem().display()));

    let agent = hurried(&hub).flag("tls-pins", &strange).start().unwrap();
    let words = format!("none of the server's keys is in tls.pins: its own is {own}");
    wait_for_failure(&agent, 0, &[&words]);
    assert_eq!(hub.stats().requests, 0);
    drop(agent);

    let mut wanted = 0;
    for pins in [own.clone(), authority, format!("{strange},{own}")] {
        let _agent = hurried(&hub).flag("tls-pins", &pins).start().unwrap();
        wanted = hub.stats().delivered + 3;
        hub.wait_for(wanted, LONG).unwrap();
    }
    assert!(hub.stats().delivered >= wanted);
}

#[test]
fn a_server_with_another_key_is_refused_even_by_an_agent_that_knew_it() {
    let hub = good_hub();
    let address = hub.address();
    let own = pin_of(&format!(
        "openssl s_client -connect {address} </dev/null 2>/dev/null"
    ));
    let agent = hurried(&hub).flag("tls-pins", own).start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    // The same names by the same authority, but a new key.
    hub.set_certificate(Certificate::Good).unwrap();
    let from = agent.log().len();
    hub.drop_connections();
    wait_for_failure(&agent, from, &["tls.pins"]);
}
