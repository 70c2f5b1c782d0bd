//! Each misbehaviour does what its name says, over TLS where that makes a difference.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use mote_tests::hub::{Hub, HubConfig, Misbehaviour as M};

use crate::client::{Client, Post, connect_tcp};
use crate::{LONG, plain_hub};

/// A TLS hub that stands like this, and a client that has just sent it a sample.
fn met_by(misbehaviour: M) -> (Hub, Client) {
    let hub = Hub::start(HubConfig {
        misbehaviour,
        ..HubConfig::default()
    })
    .unwrap();
    let mut client = Client::connect(&hub).unwrap();
    client.send(&Post::sample(1).to_text()).unwrap();
    (hub, client)
}

/// Everything until the stream ends, and how it ended.
fn drain(client: &mut Client) -> (Vec<u8>, io::Result<()>) {
    let mut bytes = Vec::new();
    loop {
        match client.byte() {
            Ok(Some(byte)) => bytes.push(byte),
            Ok(None) => return (bytes, Ok(())),
            Err(error) => return (bytes, Err(error)),
        }
    }
}

fn assert_undelivered(hub: &Hub, status: u16) {
    let attempts = hub
        .wait_until("the attempt", LONG, |_, attempts| !attempts.is_empty())
        .unwrap();
    assert_eq!((attempts[0].status, attempts[0].delivered), (status, false));
    assert!(hub.received().is_empty());
}

#[test]
fn a_status_comes_with_its_headers_and_body() {
    let (hub, mut client) = met_by(M::status_with(503, &[("Retry-After", "7")], "busy"));
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (503, "busy"));
    assert_eq!(reply.header("retry-after"), Some("7"));
    assert_undelivered(&hub, 503);
    hub.misbehave(M::status(204));
    assert_eq!(client.ask(&Post::sample(2)).unwrap().status, 204);
    assert_eq!(hub.received().len(), 1);
}

#[test]
fn a_redirect_names_its_place() {
    let url = "https://elsewhere.invalid/";
    let (hub, mut client) = met_by(M::RedirectTo { url: url.into() });
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.header("location")), (302, Some(url)));
    assert_undelivered(&hub, 302);
}

#[test]
fn a_delay_is_kept_and_then_the_answer_is_good() {
    let begin = Instant::now();
    let (hub, mut client) = met_by(M::Delay { ms: 150 });
    assert_eq!(client.reply().unwrap().status, 202);
    assert!(begin.elapsed() >= Duration::from_millis(150));
    assert_eq!(hub.received().len(), 1);
}

#[test]
fn a_silent_hub_reads_and_says_nothing() {
    let hub = Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap();
    hub.misbehave(M::Silent);
    let mut tcp = connect_tcp(&hub).unwrap();
    io::Write::write_all(&mut tcp, Post::sample(1).to_text().as_bytes()).unwrap();
    assert_undelivered(&hub, 0);
    tcp.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert_eq!(
        tcp.read(&mut [0; 1]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn silent_tls_accepts_and_never_shakes_hands_but_serves_kept_connections() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let mut kept = Client::connect(&hub).unwrap();
    assert_eq!(kept.ask(&Post::sample(1)).unwrap().status, 202);
    hub.misbehave(M::SilentTls);
    let tcp = connect_tcp(&hub).unwrap();
    tcp.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = Client::handshake(tcp, crate::client::trusting(&hub), "localhost").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(kept.ask(&Post::sample(2)).unwrap().status, 202);
}

#[test]
fn slow_answers_come_byte_by_byte() {
    let begin = Instant::now();
    let (hub, mut client) = met_by(M::SlowBody { byte_ms: 10 });
    let reply = client.reply().unwrap();
    let least = Duration::from_millis(10 * reply.body.len() as u64);
    assert!(
        begin.elapsed() >= least,
        "{:?} for {} bytes",
        begin.elapsed(),
        reply.body.len()
    );
    assert_eq!(reply.status, 202);
    hub.wait_for(1, LONG).unwrap();

    hub.misbehave(M::SlowHeaders { byte_ms: 200 });
    let begin = Instant::now();
    client.send(&Post::sample(2).to_text()).unwrap();
    assert_eq!(client.bytes(3).unwrap(), b"HTT");
    assert!(begin.elapsed() >= Duration::from_millis(600));
}

#[test]
fn a_body_is_cut_by_a_reset() {
    let (hub, mut client) = met_by(M::ResetMidBody);
    let (bytes, end) = drain(&mut client);
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 202 ") && text.contains("Content-Length: 1000"),
        "{text}"
    );
    assert!(text.ends_with("{\"status\":"), "{text}");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_undelivered(&hub, 202);
}

#[test]
fn a_body_is_cut_by_the_end_of_the_stream() {
    for (misbehaviour, header) in [
        (M::CutBody, "Content-Length: 1000"),
        (M::CutOpenBody, "Connection: close"),
    ] {
        let (hub, mut client) = met_by(misbehaviour);
        let (bytes, end) = drain(&mut client);
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.contains(header) && text.contains("{\"status\":"),
            "{text}"
        );
        // TLS was not told goodbye, and notices.
        assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_undelivered(&hub, 202);
    }
}

#[test]
fn garbage_is_not_http() {
    let (hub, mut client) = met_by(M::Garbage);
    let (bytes, end) = drain(&mut client);
    assert!(!bytes.starts_with(b"HTTP") && !bytes.is_empty());
    end.unwrap();
    assert_undelivered(&hub, 0);
}

#[test]
fn what_is_endless_goes_on() {
    for (misbehaviour, status, word) in [
        (M::HugeHeader, 202, "X-Endless: and so on"),
        (M::EndlessBody, 202, "\r\n1000\r\n "),
        (M::Endless100, 100, "\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let (hub, mut client) = met_by(misbehaviour.clone());
        let bytes = client.bytes(200_000).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(word), "{misbehaviour:?}: {}", &text[..400]);
        assert_undelivered(&hub, status);
    }
}

#[test]
fn close_idle_closes_after_an_answer_that_did_not_say_so() {
    let (_hub, mut client) = met_by(M::CloseIdle);
    let reply = client.reply().unwrap();
    assert_eq!((reply.status, reply.header("connection")), (202, None));
    assert_eq!(client.byte().unwrap(), None);
}

#[test]
fn close_on_reuse_closes_at_the_second_request() {
    let (hub, mut client) = met_by(M::CloseOnReuse);
    assert_eq!(client.reply().unwrap().status, 202);
    client.send(&Post::sample(2).to_text()).unwrap();
    assert_eq!(client.byte().unwrap(), None);
    let delivered: Vec<bool> = hub
        .attempts()
        .iter()
        .map(|attempt| attempt.delivered)
        .collect();
    assert_eq!(delivered, [true, false]);
}

#[test]
fn a_refusing_hub_resets_old_connections_and_takes_no_new_ones_until_it_is_good_again() {
    let hub = plain_hub();
    let mut kept = Client::connect(&hub).unwrap();
    assert_eq!(kept.ask(&Post::sample(1)).unwrap().status, 202);
    hub.misbehave(M::RefuseConnections);
    assert_eq!(kept.byte().unwrap_err().kind(), ErrorKind::ConnectionReset);
    let refused = Client::connect(&hub).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    hub.misbehave(M::Normal);
    let mut again = Client::connect(&hub).unwrap();
    assert_eq!(again.ask(&Post::sample(2)).unwrap().status, 202);
}

#[test]
fn a_script_is_played_once_and_then_all_is_as_before() {
    let hub = plain_hub();
    hub.script([M::status(500), M::Normal, M::status(429)]);
    let mut client = Client::connect(&hub).unwrap();
    let statuses: Vec<u16> = (1..=4)
        .map(|n| client.ask(&Post::sample(n)).unwrap().status)
        .collect();
    assert_eq!(statuses, [500, 202, 429, 202]);
    assert_eq!(hub.script_left(), 0);
}

#[test]
fn a_scripted_refusal_resets_one_connection() {
    let hub = plain_hub();
    hub.script([M::RefuseConnections]);
    let error = Client::connect(&hub).and_then(|mut client| client.ask(&Post::sample(1)));
    assert!(error.is_err());
    assert_eq!(
        Client::connect(&hub)
            .unwrap()
            .ask(&Post::sample(1))
            .unwrap()
            .status,
        202
    );
}

#[test]
fn a_hub_that_goes_ends_its_connections_and_frees_its_address() {
    let (hub, mut client) = met_by(M::Silent);
    let address = hub.address();
    hub.wait_until("the attempt", LONG, |_, attempts| attempts.len() == 1)
        .unwrap();
    drop(hub);
    client.byte().unwrap_err();
    Hub::start(HubConfig {
        listen: address,
        ..HubConfig::default()
    })
    .unwrap();
}
