//! The local listener as its guests see it: browsers, Prometheus, health checks, and those who mean
//! no good.
//!
//! Each agent picks a free port and says so in its log.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod alone;
mod commands;
mod flood;
mod limits;
mod others;
mod ports;
mod readiness;
mod routes;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal, left_out};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour};
use mote_tests::suite::{LONG, good_hub, hurried};
use serde_json::Value;

/// An agent without a server, in a hurry, and where it listens.
fn alone() -> (AgentUnderTest, SocketAddr) {
    start(&AgentBuilder::new().unwrap().flag("interval", "100ms"))
}

/// Starts it, and waits for its first sample.
fn start(builder: &AgentBuilder) -> (AgentUnderTest, SocketAddr) {
    let agent = builder.start().unwrap();
    let address = agent.listens_at("/health", LONG).unwrap();
    wait_for_status(address, "a sample", |status| !status["sample"].is_null());
    (agent, address)
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// A header's value; empty if it is not there.
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// Everything that comes until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&bytes)),
    }
    String::from_utf8(bytes).unwrap()
}

/// Sends these bytes, and gives all that comes back.
fn talk(address: SocketAddr, words: &str) -> String {
    let mut stream = connect(address);
    // Who is refused early may not be heard out.
    stream.write_all(words.as_bytes()).ok();
    rest(&mut stream)
}

fn reply(text: &str) -> Reply {
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3]
        .parse()
        .unwrap();
    let mut reply = Reply {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    };
    if reply.header("transfer-encoding") == "chunked" && !body.is_empty() {
        reply.body = unchunked(body);
    }
    reply
}

/// The content of chunks, which must end as they should.
fn unchunked(mut rest: &str) -> String {
    let mut whole = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        let (chunk, after) = after.split_at(length);
        rest = after.strip_prefix("\r\n").unwrap();
        if length == 0 {
            assert_eq!(rest, "");
            return whole;
        }
        whole.push_str(chunk);
    }
}

fn request(method: &str, path: &str, host: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

fn get(address: SocketAddr, path: &str) -> Reply {
    let reply = reply(&talk(address, &request("GET", path, &address.to_string())));
    if let Ok(length) = reply.header("content-length").parse::<usize>() {
        assert_eq!(length, reply.body.len(), "{path}: {}", reply.head);
    }
    reply
}

/// Asks for the status until it is as wanted.
fn wait_for_status(address: SocketAddr, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = || {
        let status = get(address, "/api/status").json();
        wanted(&status).then_some(status)
    };
    mote_tests::wait::poll_until(what, LONG, look).unwrap()
}

/// Asks until the answer has this status, at a port that may not be open yet.
fn wait_for_answer(address: SocketAddr, path: &str, status: u16) -> Reply {
    let look = || {
        TcpStream::connect(address).ok()?;
        Some(get(address, path)).filter(|reply| reply.status == status)
    };
    mote_tests::wait::poll_until(&format!("{path} to say {status}"), LONG, look).unwrap()
}
