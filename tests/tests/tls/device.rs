//! What a device shows of itself: certificates and keys in every form, and what it is told when
//! they do not please.
//!
//! nginx lets every client in and then answers 400; openssl's own server refuses by an alert.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::{fs, thread};

use mote_tests::agent::{AgentBuilder, LogLine, mote_binary};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

use crate::authority::{Authority, Form, Pair, converted};
use crate::{CONFIG, LONG, behind_nginx, hurried, showing};

#[test]
fn a_certificate_with_a_key_in_any_form_is_accepted() {
    let test = "a_certificate_with_a_key_in_any_form_is_accepted";
    let ours = Authority::new("ours");
    for form in [Form::EcPkcs8, Form::EcSec1, Form::RsaPkcs8, Form::RsaPkcs1] {
        let device = ours.device("device", form);
        for protocols in ["TLSv1.2", "TLSv1.3"] {
            let fronted = behind_nginx(test, &ours.server(), |front| {
                front.protocols = protocols;
                front.client_ca = Some(ours.pem());
            });
            let Some((hub, nginx)) = fronted else { return };
            let builder = hurried(&hub)
                .flag("server-url", nginx.url())
                .flag("tls-ca-file", ours.pem());
            let _agent = showing(builder, &device).start().unwrap();
            hub.wait_for(2, LONG).unwrap();
            let first = &nginx.requests()[0];
            assert_eq!(first.client, "SUCCESS", "{form:?}");
            assert_eq!(first.protocol, protocols);
        }
    }
}

#[test]
fn what_nginx_says_of_a_missing_or_strange_certificate_is_in_the_log() {
    let test = "what_nginx_says_of_a_missing_or_strange_certificate_is_in_the_log";
    let ours = Authority::new("ours");
    let stranger = Authority::new("stranger");
    let strange = stranger.device("device", Form::EcPkcs8);
    let fronted = behind_nginx(test, &ours.server(), |front| {
        front.client_ca = Some(ours.pem());
    });
    let Some((hub, nginx)) = fronted else { return };
    let builder = hurried(&hub)
        .flag("server-url", nginx.url())
        .flag("tls-ca-file", ours.pem());
    for (builder, words) in [
        (builder.clone(), "No required SSL certificate was sent"),
        (showing(builder, &strange), "The SSL certificate error"),
    ] {
        let agent = builder.start().unwrap();
        let says = |line: &LogLine| line.str("answer").contains(words);
        let line = agent.wait_for_log(says, LONG).unwrap();
        assert_eq!(line.field("status_code"), Some(&400.into()));
    }
    assert_eq!(hub.stats().requests, 0);
}

/// A server that wants a certificate by an authority, and says no by an alert.
struct Strict {
    child: Child,
    port: u16,
}

impl Strict {
    fn start(version: &str, server: &Pair, clients: &Authority) -> Self {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", version])
            .args(["-Verify", "1", "-verify_return_error", "-CAfile"])
            .arg(clients.pem())
            .arg("-cert")
            .arg(&server.certificate)
            .arg("-key")
            .arg(&server.key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let address = line.unwrap();
            let (_, port) = address.strip_prefix("ACCEPT ")?.rsplit_once(':')?;
            port.parse().ok()
        });
        // Its output must go somewhere, or it waits.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            port: port.unwrap(),
        }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An agent for such a server that shows nothing.
fn for_strict(url: &str, ours: &Authority) -> AgentBuilder {
    AgentBuilder::new()
        .unwrap()
        .hurried()
        .flag("server-url", url)
        .flag("api-key", "k")
        .flag("tls-ca-file", ours.pem())
}

#[test]
fn an_alert_about_the_certificate_is_told_whenever_it_comes() {
    let ours = Authority::new("ours");
    let stranger = Authority::new("stranger");
    let strange = stranger.device("device", Form::EcPkcs8);
    for version in ["-tls1_2", "-tls1_3"] {
        let server = Strict::start(version, &ours.server(), &ours);
        let builder = for_strict(&server.url(), &ours);
        let wants = "wants a certificate of this device: set tls.cert_file and tls.key_file";
        check_failures(&builder, wants);
        let refuses = "refuses this device's certificate (tls.cert_file): ";
        check_failures(&showing(builder, &strange), refuses);
    }
}

/// Several failures in a row must have the words.
fn check_failures(builder: &AgentBuilder, words: &str) {
    let agent = builder.start().unwrap();
    let mut from = 0;
    for _ in 0..5 {
        let fails = |line: &LogLine| line.msg().starts_with("Metrics send failed");
        let line = agent.wait_for_log_from(from, fails, LONG).unwrap();
        assert!(line.str("error").contains(words), "{}", line.text);
        assert_eq!(line.str("layer"), "tls", "{}", line.text);
        from = agent.log().iter().position(|other| *other == line).unwrap() + 1;
    }
}

/// Like [`Strict`], but closes at once after its alert, as many servers do. It serves until the
/// test program ends; gives its URL.
fn start_curt(server: &Pair, clients: &Authority) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(clients.pem()).unwrap())
        .unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&server.certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&server.key).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            connection.complete_io(&mut stream.unwrap()).unwrap_err();
        }
    });
    url
}

#[test]
fn an_alert_is_told_by_a_device_that_was_too_slow_to_send_before_it_came() {
    let ours = Authority::new("ours");
    let url = start_curt(&ours.server(), &ours);
    let builder = for_strict(&url, &ours);
    // Each write waits long enough for the server to refuse and to close.
    let text = format!(
        "exec strace -D -f -q -o /dev/null -e inject=sendto:delay_enter=50000 {} run \"$@\"",
        mote_binary().unwrap().display()
    );
    let script = builder.write_file("slow", &text).unwrap();
    let slow = builder.binary("/bin/sh").command(script.to_str().unwrap());
    check_failures(&slow, "wants a certificate of this device");
}

/// It does not start, and says these words on standard error.
fn check_refused(builder: &AgentBuilder, words: &str) {
    let mut agent = builder.start().unwrap();
    let status = agent.wait_exit(LONG).unwrap();
    let said = agent.stderr().join("\n");
    assert_eq!(status.code(), Some(CONFIG), "{words}: {said}");
    assert!(said.contains(words), "{words:?} is not in {said:?}");
}

fn unconnected() -> AgentBuilder {
    AgentBuilder::new()
        .unwrap()
        .flag("server-url", "https://127.0.0.1:9")
        .flag("api-key", "k")
}

#[test]
fn an_encrypted_key_is_refused_at_the_start_with_the_remedy() {
    let ours = Authority::new("ours");
    for form in [Form::EcPkcs8, Form::RsaPkcs8] {
        let device = ours.device("device", form);
        let password = ["-aes256", "-passout", "pass:secret"];
        for options in [&password[..], &[&password[..], &["-traditional"]].concat()] {
            let key = converted(&device.key, options);
            let remedy = format!("openssl pkey -in {} -out plain.pem", key.display());
            let locked = Pair {
                key,
                ..device.clone()
            };
            check_refused(&showing(unconnected(), &locked), &remedy);
        }
    }
}

#[test]
fn a_certificate_and_a_key_must_belong_together() {
    let ours = Authority::new("ours");
    let device = ours.device("device", Form::EcPkcs8);
    let other = ours.device("other", Form::RsaPkcs8);
    let mixed = Pair {
        key: other.key,
        ..device.clone()
    };
    let words = "this is not the key of the first certificate";
    check_refused(&showing(unconnected(), &mixed), words);
    let alone = unconnected().flag("tls-cert-file", &device.certificate);
    check_refused(&alone, "tls.cert_file is set without tls.key_file");
    let alone = unconnected().flag("tls-key-file", &device.key);
    check_refused(&alone, "tls.key_file is set without tls.cert_file");
    let absent = unconnected().flag("tls-ca-file", "/no/such/ca.pem");
    check_refused(&absent, "tls.ca_file /no/such/ca.pem: ");
}

#[test]
fn a_key_that_everybody_can_read_is_warned_of_and_used() {
    let ours = Authority::new("ours");
    let device = ours.device("device", Form::EcPkcs8);
    fs::set_permissions(&device.key, fs::Permissions::from_mode(0o644)).unwrap();
    let hub = crate::good_hub();
    let builder = showing(hurried(&hub), &device);
    let agent = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    let words = "everybody can read this key";
    let warns = |line: &LogLine| line.str("warning").contains(words);
    assert_eq!(agent.log().iter().filter(|line| warns(line)).count(), 1);
    let mut check = builder
        .command("check")
        .argument("--strict")
        .start()
        .unwrap();
    assert_eq!(check.wait_exit(LONG).unwrap().code(), Some(CONFIG));
    let shown = |line: &LogLine| line.text.starts_with("warning: ") && line.text.contains(words);
    assert_eq!(check.log().iter().filter(|line| shown(line)).count(), 1);
    assert!(check.stderr().join("\n").contains(words));
}
