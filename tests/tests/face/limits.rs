//! Guests who send too much, too little, too slowly, or something else.

use super::*;

/// The start of a request for health.
const HEAD: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n";

#[track_caller]
fn check_refused(address: SocketAddr, words: &str, status: u16) {
    let shown: String = words.chars().take(60).collect();
    let reply = reply(&talk(address, words));
    assert_eq!(reply.status, status, "{shown}");
    assert_eq!(reply.header("connection"), "close", "{shown}");
    assert!(
        reply.header("content-type").starts_with("text/plain"),
        "{shown}"
    );
    assert!(
        reply.body.ends_with('\n') && reply.body.len() > 10,
        "{shown}: {}",
        reply.body
    );
    // And the next guest is as welcome as ever.
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn what_is_too_long_is_refused_by_its_name() {
    let (_agent, address) = alone();
    let long = "x".repeat(64 * 1024);
    check_refused(
        address,
        &format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        414,
    );
    check_refused(address, &format!("{HEAD}Cookie: {long}\r\n\r\n"), 431);
    check_refused(
        address,
        &format!("{HEAD}{}\r\n", "A: b\r\n".repeat(100)),
        431,
    );
    // Just what there is room for.
    let cookie = "x".repeat(8 * 1024 - HEAD.len() - "Cookie: \r\nConnection: close\r\n\r\n".len());
    let words = format!("{HEAD}Cookie: {cookie}\r\nConnection: close\r\n\r\n");
    assert_eq!(words.len(), 8 * 1024);
    assert_eq!(reply(&talk(address, &words)).status, 200);
}

#[test]
fn a_body_is_refused_before_it_is_read() {
    let (_agent, address) = alone();
    check_refused(
        address,
        &format!("{HEAD}Content-Length: 5\r\n\r\nhello"),
        413,
    );
    check_refused(
        address,
        &format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        413,
    );
    check_refused(address, &format!("{HEAD}Content-Length: x\r\n\r\n"), 400);
    let none = format!("{HEAD}Content-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(reply(&talk(address, &none)).status, 200);
}

#[test]
fn what_is_not_http_is_refused() {
    let (_agent, address) = alone();
    for words in [
        "\x16\x03\x01\x02\x01\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "\0\0\0\0\r\n",
    ] {
        check_refused(address, words, 400);
    }
    check_refused(
        address,
        "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    );
    check_refused(
        address,
        "GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n",
        505,
    );
}

#[test]
fn x3_half_a_request_has_two_seconds() {
    let (_agent, address) = alone();
    check_refused(address, HEAD, 408);
    // Who says nothing at all is not told anything.
    assert_eq!(talk(address, ""), "");
}

#[test]
fn a_guest_who_reads_nothing_is_cut_off() {
    let (agent, address) = alone();
    let mut stream = connect(address);
    let me = stream.local_addr().unwrap();
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Requests one after the other, until the agent cannot write and so reads no more.
    let mut stuck = false;
    for _ in 0..20_000 {
        if stream.write_all(page.as_bytes()).is_err() {
            break;
        }
        let taken = || (unread_bytes(address, me) == Some(0)).then_some(());
        if mote_tests::wait::poll_until("it to be read", Duration::from_secs(1), taken).is_err() {
            stuck = true;
            break;
        }
    }
    assert!(stuck, "the kernel took every answer");
    let gone = || unread_bytes(address, me).is_none().then_some(());
    mote_tests::wait::poll_until("the guest to be cut off", LONG, gone).unwrap();
    assert_eq!(get(address, "/health").status, 200);
    assert_eq!(agent.threads().unwrap(), 1);
}

/// What the guest at `me` sent and the agent did not read; `None` once they are apart. From
/// `/proc/net/tcp`, whose addresses are hex and whose queues are `tx:rx`.
fn unread_bytes(agent: SocketAddr, me: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ports = [
        format!(":{:04X}", agent.port()),
        format!(":{:04X}", me.port()),
    ];
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_theirs = fields[1].ends_with(&ports[0]) && fields[2].ends_with(&ports[1]);
        // Established, or half closed by the guest.
        (is_theirs && ["01", "08"].contains(&fields[3]))
            .then(|| u64::from_str_radix(fields[4].split_once(':').unwrap().1, 16).unwrap())
    })
}
