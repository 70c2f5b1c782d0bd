//! HTTP as `WebDriver` has it: JSON to the driver on loopback, JSON back.
//!
//! One connection a command. An answer is `{"value": …}`; that of a command that failed has an error
//! and words in it, and is an error here too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any command takes; starting Chromium on a busy machine is the longest.
const LONGEST: Duration = Duration::from_mins(1);

/// Where the driver listens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wire {
    port: u16,
}

impl Wire {
    pub(super) fn to_port(port: u16) -> Self {
        Self { port }
    }

    pub(super) fn get(self, path: &str) -> io::Result<Value> {
        self.exchange("GET", path, "")
    }

    pub(super) fn post(self, path: &str, body: &Value) -> io::Result<Value> {
        self.exchange("POST", path, &body.to_string())
    }

    pub(super) fn delete(self, path: &str) -> io::Result<Value> {
        self.exchange("DELETE", path, "")
    }

    fn exchange(self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(LONGEST))?;
        let (port, length) = (self.port, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
             Content-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        value(&answer(BufReader::new(stream))?)
    }
}

/// The body of an answer with a length.
fn answer(mut from: impl BufRead) -> io::Result<Vec<u8>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let Some((name, text)) = line.split_once(':') else {
            // The first line has no colon, the last none either.
            if line.starts_with("HTTP/1.1 ") {
                continue;
            }
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = text.trim().parse::<u64>().ok();
        }
    }
    let length = length.ok_or_else(|| io::Error::other("chromedriver's answer has no length"))?;
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    Ok(body)
}

fn value(body: &[u8]) -> io::Result<Value> {
    let mut answer: Value = serde_json::from_slice(body)?;
    let value = answer.get_mut("value").map(Value::take).unwrap_or_default();
    match (value.get("error"), value.get("message")) {
        (Some(error), Some(message)) => Err(io::Error::other(format!("{error}: {message}"))),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_value_and_a_failure_an_error() {
        let told = |body: &str| {
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\ncache-control: no-cache\r\n\r\n{body}more",
                body.len()
            );
            answer(text.as_bytes()).and_then(|body| value(&body))
        };
        assert_eq!(told(r#"{"value":5}"#).unwrap(), 5);
        assert_eq!(told(r#"{"value":null}"#).unwrap(), Value::Null);
        let failed = told(r#"{"value":{"error":"no such element","message":"m"}}"#);
        assert!(
            failed.unwrap_err().to_string().contains("no such element"),
            "the error is lost"
        );
        assert!(told("{").is_err());
        assert!(answer("HTTP/1.1 200 OK\r\n\r\n".as_bytes()).is_err());
    }
}
