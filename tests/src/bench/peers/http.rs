//! As much HTTP/1.1 as a sink and a scraper on loopback need.
//!
//! Reads whole messages, with a length or in chunks, and throws their bodies away. No redirects,
//! no trailers, no limits: both ends are started by the same measurement.

use std::io::{self, BufRead, Read};

/// What follows a head.
#[derive(Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunks,
}

/// Reads one message; gives its first line. None at the end of the connection.
pub(super) fn read_message(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let first = line(from)?;
    if first.is_empty() {
        return Ok(None);
    }
    let mut body = Body::Length(0);
    loop {
        let field = line(from)?.to_ascii_lowercase();
        match field.split_once(':') {
            None => break,
            Some(("content-length", length)) => body = Body::Length(number(length, 10)?),
            Some(("transfer-encoding", _)) => body = Body::Chunks,
            Some(_) => {}
        }
    }
    match body {
        Body::Length(length) => skip(from, length)?,
        Body::Chunks => loop {
            let length = number(&line(from)?, 16)?;
            skip(from, length)?;
            line(from)?;
            if length == 0 {
                break;
            }
        },
    }
    Ok(Some(first))
}

/// A line without its end. Empty at the end of the connection too.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn number(text: &str, radix: u32) -> io::Result<u64> {
    u64::from_str_radix(text.trim(), radix)
        .map_err(|_| io::Error::other(format!("{text:?} is no length")))
}

fn skip(from: &mut impl BufRead, length: u64) -> io::Result<()> {
    match io::copy(&mut from.by_ref().take(length), &mut io::sink())? {
        skipped if skipped == length => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_the_next_one_begins() {
        let mut stream: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0\r\n45678901a\r\n0\r\n\r\n\
            GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for first in ["POST / HTTP/1.1", "HTTP/1.1 200 OK", "GET / HTTP/1.1"] {
            let message = read_message(&mut stream).unwrap();
            assert_eq!(message.as_deref(), Some(first));
        }
        assert_eq!(read_message(&mut stream).unwrap(), None);
    }

    #[test]
    fn a_cut_message_is_an_error() {
        for cut in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert!(read_message(&mut cut.as_bytes()).is_err(), "{cut}");
        }
    }
}
