//! Proxies: asked to connect through, with their password and without, and never to be trusted.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use mote_tests::agent::left_out;

use super::*;

/// What the agent calls the server; only the proxy knows where that is.
const NAME: &str = "hub.beyond.test";
const CANARY: &str = "canary-5e0d2c";
/// `user:canary-5e0d2c` in base64.
const AUTHORIZATION: &str = "Proxy-Authorization: Basic dXNlcjpjYW5hcnktNWUwZDJj";

/// A proxy that leads everything to one server.
struct Proxy {
    address: SocketAddr,
    /// The heads of the requests that came.
    asked: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Proxy {
    /// Answers each CONNECT with `answer`, and connects through if that is a good one.
    fn start(server: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        // It ends with the program: nothing that it holds outlives that.
        thread::spawn(move || {
            for guest in listener.incoming() {
                let (guest, heads) = (guest.unwrap(), Arc::clone(&heads));
                thread::spawn(move || serve(guest, server, answer, &heads));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Vec<String>> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut guest: TcpStream,
    server: SocketAddr,
    answer: &str,
    heads: &Mutex<Vec<Vec<String>>>,
) -> Option<()> {
    let mut reader = BufReader::new(guest.try_clone().ok()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    heads.lock().unwrap().push(head);
    guest.write_all(answer.as_bytes()).ok()?;
    if !answer.starts_with("HTTP/1.1 200 ") || answer.contains("server says") {
        // The guest goes first, or what it says in vain would reset the connection.
        std::io::copy(&mut guest, &mut std::io::sink()).ok()?;
        return None;
    }
    let mut beyond = TcpStream::connect(server).ok()?;
    let (mut back, mut to_guest) = (beyond.try_clone().ok()?, guest.try_clone().ok()?);
    thread::spawn(move || std::io::copy(&mut back, &mut to_guest));
    std::io::copy(&mut reader, &mut beyond).ok()?;
    beyond.shutdown(std::net::Shutdown::Both).ok()
}

const GOOD: &str = "HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n";

/// A hub that only a proxy can find, and an agent that is yet to be told which.
fn hidden_hub() -> (Hub, AgentBuilder) {
    let hub = Hub::start(HubConfig {
        extra_names: vec![NAME.into()],
        ..HubConfig::default()
    })
    .unwrap();
    let builder = hurried(&hub).flag("server-url", format!("https://{NAME}"));
    (hub, builder)
}

fn everything(agent: &AgentUnderTest) -> String {
    let lines = agent.log().into_iter().map(|line| line.text);
    lines.chain(agent.stderr()).collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_goes_through_the_proxy_of_the_environment() {
    let (hub, builder) = hidden_hub();
    let proxy = Proxy::start(hub.address(), GOOD);
    let url = format!("http://user:{CANARY}@{}", proxy.address);
    let agent = builder.env("HTTPS_PROXY", url).start().unwrap();
    wait_for_each(&hub, 1..=5);
    assert_eq!(
        proxy.asked(),
        [[
            format!("CONNECT {NAME}:443 HTTP/1.1"),
            format!("Host: {NAME}:443"),
            AUTHORIZATION.to_owned()
        ]]
    );
    assert_eq!(failures(&agent).len(), 0);
    // It is told once, and never with its password; /proc does not have it either.
    let started = wait_for_message(&agent, 0, "LunaSentri agent starting");
    assert_eq!(started.str("proxy"), proxy.address.to_string());
    assert!(!everything(&agent).contains(CANARY));
    if !left_out("a password that is hidden from /proc") {
        let environ = std::fs::read(format!("/proc/{}/environ", agent.pid())).unwrap();
        assert!(!String::from_utf8_lossy(&environ).contains(CANARY));
    }
}

#[test]
fn a_flag_goes_before_the_environment_and_an_exempt_host_is_reached_directly() {
    let (hub, builder) = hidden_hub();
    let proxy = Proxy::start(hub.address(), GOOD);
    let wrong = Proxy::start(hub.address(), "HTTP/1.1 403 Forbidden\r\n\r\n");
    let builder = builder
        .env("https_proxy", wrong.address.to_string())
        .flag("proxy", format!("http://{}/", proxy.address));
    let agent = builder.start().unwrap();
    wait_for_each(&hub, 1..=3);
    assert_eq!(wrong.asked().len(), 0);
    assert_eq!(failures(&agent).len(), 0);
    drop(agent);
    // Directly there is no such name.
    let asked = proxy.asked().len();
    let agent = builder
        .env("NO_PROXY", "other,.beyond.test")
        .start()
        .unwrap();
    agent.wait_for_log(is_failure, LONG).unwrap();
    assert_eq!(proxy.asked().len(), asked);
    // This device itself is never reached through a proxy.
    let own = hurried(&hub).flag("proxy", proxy.address.to_string());
    let agent = own.start().unwrap();
    hub.wait_for(hub.stats().delivered + 3, LONG).unwrap();
    assert_eq!(proxy.asked().len(), asked);
    assert_eq!(failures(&agent).len(), 0);
}

#[test]
fn a_proxy_that_refuses_lies_or_falls_silent_is_told_as_such() {
    for (answer, words) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "wants a user and a password",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502"),
        ("220 smtp ready\r\n", "in place of the proxy is none"),
        (
            "HTTP/1.1 200 OK\r\n\r\nserver says hello",
            "in place of the proxy is none",
        ),
        ("HTTP/1.1 200 OK\r\nserver says", "did not answer in time"),
    ] {
        let (hub, builder) = hidden_hub();
        let proxy = Proxy::start(hub.address(), answer);
        let builder = builder
            .flag("proxy", format!("http://user:{CANARY}@{}", proxy.address))
            .flag("connect-timeout", "500ms");
        let agent = builder.start().unwrap();
        let failed = wait_for_failure(&agent, 0, "proxy");
        assert!(failed.str("error").contains(words), "{}", failed.text);
        assert_eq!(agent.threads().unwrap(), 1);
        assert_eq!(hub.connections(), 0, "{answer}");
        assert!(!everything(&agent).contains(CANARY));
    }
}

#[test]
fn a_proxy_does_not_stand_for_the_server() {
    // It leads to another server than the one that was asked for: TLS finds out.
    let (hub, builder) = hidden_hub();
    let other = good_hub();
    let proxy = Proxy::start(other.address(), GOOD);
    let builder = builder.flag("proxy", proxy.address.to_string());
    let agent = builder.start().unwrap();
    wait_for_failure(&agent, 0, "tls");
    assert_eq!((hub.stats().requests, other.stats().requests), (0, 0));
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_without_its_password() {
    let (_hub, builder) = hidden_hub();
    let url = format!("socks5://user:{CANARY}@127.0.0.1:1080");
    let mut agent = builder.env("HTTPS_PROXY", url).start().unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(78));
    let words = everything(&agent);
    assert!(words.contains("speaks to no other"), "{words}");
    assert!(!words.contains(CANARY), "{words}");
}
