//! The side door for curl.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use mote_tests::hub::{Hub, HubConfig};
use serde_json::Value;

use crate::LONG;
use crate::client::{Client, Post};

fn hub_with_control() -> Hub {
    let control = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    Hub::start(HubConfig {
        plain: true,
        control,
        ..HubConfig::default()
    })
    .unwrap()
}

/// Status and JSON of one request to the side door.
fn ask(hub: &Hub, line: &str, body: &str) -> (u16, Value) {
    let url = hub.control_url().unwrap();
    let mut tcp = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    tcp.set_read_timeout(Some(LONG)).unwrap();
    let length = body.len();
    let text = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}");
    tcp.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn samples_and_counters_are_shown() {
    let hub = hub_with_control();
    assert_eq!(ask(&hub, "GET /samples", ""), (200, serde_json::json!([])));
    Client::connect(&hub)
        .unwrap()
        .ask(&Post::sample(4))
        .unwrap();
    let (_, samples) = ask(&hub, "GET /samples", "");
    assert_eq!(samples[0]["key"], "box-1-4");
    assert_eq!(samples[0]["body"]["network_bytes_sent"], 4);
    let (_, stats) = ask(&hub, "GET /stats", "");
    assert_eq!(
        (&stats["delivered"], &stats["statuses"]["202"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        (&stats["misbehaviour"], &stats["certificate"]),
        (&"Normal".into(), &"good".into())
    );
}

#[test]
fn orders_are_carried_out() {
    let hub = hub_with_control();
    let twice = r#"{"name":"status","status":503,"headers":{"Retry-After":"1"},"times":2}"#;
    assert_eq!(ask(&hub, "POST /misbehave", twice).1["script_left"], 2);
    assert_eq!(
        ask(&hub, "POST /misbehave", r#"{"name":"close-idle"}"#).0,
        200
    );
    let mut client = Client::connect(&hub).unwrap();
    let reply = client.ask(&Post::sample(1)).unwrap();
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(client.ask(&Post::sample(2)).unwrap().status, 503);
    assert_eq!(client.ask(&Post::sample(3)).unwrap().status, 202);
    assert_eq!(client.byte().unwrap(), None);
    assert_eq!(
        ask(&hub, "POST /certificate", r#"{"name":"expired"}"#).1["certificate"],
        "expired"
    );
    assert_eq!(ask(&hub, "POST /tls", r#"{"name":"1.2"}"#).1["tls"], "1.2");
}

#[test]
fn what_is_not_understood_is_refused_with_words() {
    let hub = hub_with_control();
    for (line, body, status, word) in [
        ("POST /misbehave", r#"{"name":"sulk"}"#, 400, "sulk"),
        (
            "POST /misbehave",
            r#"{"name":"silent","ms":3}"#,
            400,
            "silent takes no ms",
        ),
        (
            "POST /misbehave",
            r#"{"name":"silent","colour":3}"#,
            400,
            "colour",
        ),
        ("POST /certificate", r#"{"name":"golden"}"#, 400, "golden"),
        ("POST /samples", "", 404, "/samples"),
    ] {
        let (found, answer) = ask(&hub, line, body);
        assert_eq!(found, status, "{line} {body}");
        assert!(answer["error"].as_str().unwrap().contains(word), "{answer}");
    }
}

#[test]
fn it_is_for_this_machine_only() {
    let control = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
    let error = Hub::start(HubConfig {
        control,
        ..HubConfig::default()
    })
    .unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
}
