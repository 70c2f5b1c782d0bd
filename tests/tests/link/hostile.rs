//! What no decent server answers: heads without end, lengths beyond reason, bombs in a zip, words
//! that a terminal would obey. In the clear on loopback, so that every byte is the test's.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use mote_tests::agent::{Signal, left_out};
use serde_json::Value;

use super::*;

/// All that the agent may ever hold in memory, kB.
const RSS_KB: u64 = 2_400;

/// For a whole request.
const TIMEOUT_MS: u64 = 2_000;

/// Starts a server that answers every request with these bytes, over and over if they are to be
/// `endless`.
fn answering(answer: Vec<u8>, endless: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the program.
    thread::spawn(move || {
        for guest in listener.incoming() {
            let (guest, answer) = (guest.unwrap(), answer.clone());
            thread::spawn(move || serve(guest, &answer, endless));
        }
    });
    address
}

fn serve(mut guest: TcpStream, answer: &[u8], endless: bool) -> Option<()> {
    let mut reader = BufReader::new(guest.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        guest.write_all(answer).ok()?;
        if endless {
            loop {
                guest.write_all(answer).ok()?;
            }
        }
    }
}

fn agent_for(server: SocketAddr) -> AgentUnderTest {
    let builder = AgentBuilder::new().unwrap().hurried();
    let builder = builder
        .flag("server-url", format!("http://{server}"))
        .flag("api-key", "key")
        .flag("timeout", format!("{TIMEOUT_MS}ms"));
    builder.start().unwrap()
}

/// The answer delivers nothing, and each failure has these words; gives the agent, stopped.
fn check_refused(answer: impl Into<Vec<u8>>, endless: bool, words: &str) -> AgentUnderTest {
    let mut agent = agent_for(answering(answer.into(), endless));
    let mut from = 0;
    for _ in 0..3 {
        let failed = wait_for_failure(&agent, from, "http");
        assert!(failed.str("error").contains(words), "{}", failed.text);
        from = agent.log().len();
    }
    if !left_out("what the agent holds in memory") {
        let memory = agent.memory().unwrap();
        assert!(memory.peak_rss_kb < RSS_KB, "{memory:?}");
    }
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    let sent = |line: &LogLine| line.msg() == "Metrics sent successfully";
    assert!(!agent.log().iter().any(sent), "{words}");
    agent
}

#[test]
fn n5_interim_answers_one_after_the_other_end_at_the_deadline_of_the_whole() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\n";
    let agent = check_refused(answer, true, "did not answer in time");
    // By the agent's own clock: what is said just before an attempt, and what is said of it.
    let mut begun_ms = None;
    let mut took_ms = Vec::new();
    for line in agent.log() {
        match line.msg() {
            "Retrying metrics send" => begun_ms = line.time_ms(),
            msg if msg.starts_with("Metrics send failed") => {
                let times = begun_ms.take().zip(line.time_ms());
                took_ms.extend(times.map(|(begun_ms, ended_ms)| ended_ms - begun_ms));
            }
            _ => {}
        }
    }
    assert!(took_ms.len() >= 2, "{took_ms:?}");
    for took_ms in took_ms {
        // What a busy machine takes is not the agent's.
        assert!(
            (TIMEOUT_MS - 10..TIMEOUT_MS + 1_000).contains(&took_ms),
            "{took_ms} ms"
        );
    }
}

#[test]
fn n11_two_hundred_headers_are_too_many() {
    let mut answer = String::from("HTTP/1.1 202 Accepted\r\n");
    for n in 0..200 {
        // Writing to a String does not fail.
        write!(answer, "X-{n}: y\r\n").unwrap();
    }
    answer += "Content-Length: 0\r\n\r\n";
    check_refused(answer, false, "more than 128 header fields");
}

#[test]
fn n11_a_length_beyond_reason_is_refused() {
    let no_number = "its Content-Length is no number, or two";
    for (length, words) in [
        ("100000000000000000000", no_number),
        ("-1", no_number),
        ("1e3", no_number),
        ("5\r\nContent-Length: 6", no_number),
        (
            "5\r\nTransfer-Encoding: chunked",
            "a Content-Length and a Transfer-Encoding",
        ),
        // One that could be, and is waited for no longer than any other.
        ("99999999999", "did not end in time"),
    ] {
        let answer = format!("HTTP/1.1 202 Accepted\r\nContent-Length: {length}\r\n\r\nhello");
        check_refused(answer, false, words);
    }
}

#[test]
fn n8_a_server_that_asks_for_a_while_gets_it_however_its_answer_ends() {
    let long = |status: &str| {
        let head =
            format!("HTTP/1.1 {status}\r\nRetry-After: 600\r\nContent-Length: 70000\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; 70_000]].concat()
    };
    let cut = b"HTTP/1.1 429 Slow\r\nRetry-After: 600\r\nContent-Length: 9\r\n\r\nx".to_vec();
    for (answer, status) in [(long("503 Away"), 503), (cut, 429)] {
        let agent = agent_for(answering(answer, false));
        let fails = |line: &LogLine| line.msg().starts_with("Metrics send failed");
        let failed = agent.wait_for_log(fails, LONG).unwrap();
        let number = |name: &str| failed.field(name).and_then(Value::as_u64);
        assert_eq!(number("status_code"), Some(status), "{}", failed.text);
        assert!(number("retry_in_ms") >= Some(600_000), "{}", failed.text);
    }
    // Good news that broke off is none, whatever goes with it.
    check_refused(long("202 Accepted"), false, "larger than 64 KiB");
}

#[test]
fn n11_a_body_of_more_than_64_kib_is_refused() {
    let mut answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 70000\r\n\r\n".to_vec();
    answer.resize(answer.len() + 70_000, b'a');
    check_refused(answer, false, "larger than 64 KiB");
}

/// A gzip of zeros, thousandfold.
fn bomb(packed_bytes: usize) -> Vec<u8> {
    // What it holds does not matter to one who never unpacks it; its head says what it is.
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bomb.resize(packed_bytes, 0xed);
    bomb
}

#[test]
fn n12_a_bomb_in_a_zip_is_never_unpacked() {
    // Small enough to be read: it counts as what its status says, and is thrown away as it is.
    let small = bomb(60_000);
    let mut answer = format!(
        "HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        small.len()
    )
    .into_bytes();
    answer.extend(small);
    let agent = agent_for(answering(answer, false));
    for _ in 0..3 {
        wait_for_message(&agent, 0, "Metrics sent successfully");
    }
    if !left_out("what the agent holds in memory") {
        let memory = agent.memory().unwrap();
        assert!(memory.peak_rss_kb < RSS_KB, "{memory:?}");
    }
    // A larger one is not even read.
    let large = bomb(200_000);
    let mut answer = format!(
        "HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        large.len()
    )
    .into_bytes();
    answer.extend(large);
    check_refused(answer, false, "larger than 64 KiB");
}

#[test]
fn x5_what_a_terminal_would_obey_is_escaped_in_the_log_and_on_the_terminal() {
    let words = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nHTTP/1.1 200 forged\u{9b}31m\u{202e}\u{2066}gnp";
    let answer = format!(
        "HTTP/1.1 400 Bad\r\nContent-Length: {}\r\n\r\n{words}",
        words.len()
    );
    let is_plain = |text: &str| {
        let bidi = ['\u{202e}', '\u{2066}'];
        !text.contains(|c: char| c.is_control() || bidi.contains(&c))
    };
    let server = answering(answer.into_bytes(), false);
    for format in ["json", "text"] {
        let builder = AgentBuilder::new().unwrap().hurried();
        let builder = builder
            .flag("server-url", format!("http://{server}"))
            .flag("api-key", "key")
            .flag("log-format", format)
            .flag("hostname", "dev\u{1b}[31m\u{202e}ice");
        let agent = builder.start().unwrap();
        let refused = |line: &LogLine| line.text.contains("refused by the server");
        agent.wait_for_log(refused, LONG).unwrap();
        for line in agent.log() {
            assert!(is_plain(&line.text), "{format}: {:?}", line.text);
        }
        // One event, one line.
        assert!(
            agent
                .log()
                .iter()
                .all(|line| !line.text.starts_with("HTTP/1.1"))
        );
    }
    let once = AgentBuilder::new().unwrap().command("once");
    let once = once
        .argument("--send")
        .flag("server-url", format!("http://{server}"))
        .flag("api-key", "key");
    let mut agent = once.start().unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(1));
    for line in agent.stderr() {
        assert!(is_plain(&line), "{line:?}");
    }
}
