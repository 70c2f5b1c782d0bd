//! One GET over a blocking socket, with limits: 2 s to connect, 5 s in all, 256 KiB.
//!
//! HTTP/1.0, so that the answer ends with the connection and is never in chunks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mote_core::text::is_steering;

const CONNECT: Duration = Duration::from_secs(2);
const WHOLE: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 256 * 1024;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub from: SocketAddr,
    pub status: u16,
    pub body: String,
}

/// Asks for `path`; the error says what to do.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<Answer, String> {
    let absent = |error: std::io::Error| {
        format!(
            "no agent answers at {address} ({error}): start it with mote run, or give its address \
             with --health-bind and --health-port"
        )
    };
    let end = Instant::now() + WHOLE;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT).map_err(absent)?;
    stream.set_write_timeout(Some(WHOLE)).map_err(absent)?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(absent)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > ANSWER_BYTES {
            return Err(format!("what answers at {address} does not come to an end"));
        }
        stream.set_read_timeout(Some(left)).map_err(absent)?;
        match stream.read(&mut piece).map_err(absent)? {
            0 => break,
            length => bytes.extend_from_slice(&piece[..length]),
        }
    }
    read(address, &bytes).ok_or_else(|| format!("what answers at {address} is not mote"))
}

/// The status and the body. `None` if it is no whole HTTP answer, no text, or has what a terminal
/// obeys: the agent escapes all of that.
fn read(from: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
        return None;
    };
    let body = str::from_utf8(&bytes[head..]).ok()?;
    if body.chars().any(|c| is_steering(c) && c != '\n') {
        return None;
    }
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    if let Some(length) = length {
        let length: usize = str::from_utf8(length.value).ok()?.parse().ok()?;
        (length == body.len()).then_some(())?;
    }
    Some(Answer {
        from,
        status: response.code?,
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Option<(u16, String)> {
        let answer = read("127.0.0.1:1".parse().unwrap(), text.as_bytes())?;
        Some((answer.status, answer.body))
    }

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(body(text), Some((503, "abc".into())));
        for cut in 0..text.len() {
            assert_eq!(body(&text[..cut]), None, "{cut}");
        }
        assert_eq!(
            body("HTTP/1.1 200 OK\r\n\r\nabc"),
            Some((200, "abc".into()))
        );
        assert_eq!(body("SSH-2.0-OpenSSH_9.2\r\n"), None);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_ours_and_gets_no_further() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        assert!(body(&answer("{\"a\":\"\\u001b[2J\"}\n")).is_some());
        for letter in ["\x1b", "\x07", "\r", "\u{9b}", "\u{202e}", "\0"] {
            let text = format!("{{\"plugins\":[{{\"runs\":{letter}[2J}}]}}\n");
            assert_eq!(body(&answer(&text)), None, "{letter:?}");
        }
    }
}
