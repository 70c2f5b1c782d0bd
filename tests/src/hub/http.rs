//! Requests of HTTP/1.1, as far as a server of one path needs them, each read whole.
//!
//! Limits, in bytes: a head of 16 KiB with 64 headers, a body of 64 KiB. Bodies come with a length
//! or chunked. What is not clean is refused with a status and words, never guessed at. Connections
//! are kept as HTTP demands; when to close is the caller's business.

use std::io::{self, Read, Write};

/// The longest head that is read.
const HEAD_LIMIT: usize = 16 * 1024;
/// The longest body that is taken.
pub(super) const BODY_LIMIT: usize = 64 * 1024;
/// The longest result of an instruction, or batch of events.
const LARGE_BODY_LIMIT: usize = 256 * 1024;
/// The longest line of a chunk's size or of a trailer.
const LINE_LIMIT: usize = 1024;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case, in their order.
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The client will not send another one.
    pub(super) last: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The connection broke, or ended inside a request.
    Io(io::Error),
    /// The bytes are refused; the connection cannot be used any further.
    Refused { status: u16, words: String },
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn refused<T>(status: u16, words: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Refused {
        status,
        words: words.into(),
    })
}

impl Request {
    /// The header of this name. A header that came twice is refused: the two halves of a system
    /// that disagree about which one counts are a classic hole.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.headers.iter().filter(|(found, _)| found == name);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(format!("header {name} came twice")),
            (first, _) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }
}

/// Reads one request. `buffer` holds what was read beyond the last one. `Ok(None)` is a client that
/// left between requests.
pub(super) fn read_request(
    stream: &mut (impl Read + Write),
    buffer: &mut Vec<u8>,
) -> Result<Option<Request>, ReadError> {
    let head_length = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > HEAD_LIMIT {
            return refused(431, format!("the head is longer than {HEAD_LIMIT} bytes"));
        }
        if !fill(stream, buffer)? {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(ended("the head"))
            };
        }
    };
    let (mut request, is_http_11) = parse_head(&buffer[..head_length])?;
    buffer.drain(..head_length);

    let as_refusal = |words| ReadError::Refused { status: 400, words };
    let length = request
        .header("content-length")
        .map_err(as_refusal)?
        .map(str::to_owned);
    let coding = request
        .header("transfer-encoding")
        .map_err(as_refusal)?
        .map(str::to_owned);
    if let Some(expected) = request.header("expect").map_err(as_refusal)? {
        if !expected.eq_ignore_ascii_case("100-continue") {
            return refused(417, format!("cannot meet the expectation {expected:?}"));
        }
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    let limit = if request.path.contains("/agents/v1/") {
        LARGE_BODY_LIMIT
    } else {
        BODY_LIMIT
    };
    request.body = match (length, coding) {
        (Some(_), Some(_)) => return refused(400, "both content-length and transfer-encoding"),
        (Some(length), None) => read_sized(stream, buffer, &length, limit)?,
        (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => {
            read_chunked(stream, buffer, limit)?
        }
        (None, Some(coding)) => return refused(501, format!("unknown coding {coding:?}")),
        (None, None) if matches!(request.method.as_str(), "POST" | "PUT") => {
            return refused(411, "neither content-length nor chunked");
        }
        (None, None) => Vec::new(),
    };
    let connection = request
        .header("connection")
        .map_err(as_refusal)?
        .unwrap_or_default();
    let says = |word: &str| {
        connection
            .split(',')
            .any(|w| w.trim().eq_ignore_ascii_case(word))
    };
    request.last = says("close") || (!is_http_11 && !says("keep-alive"));
    Ok(Some(request))
}

/// The request without its body, and whether it is HTTP/1.1.
fn parse_head(head: &[u8]) -> Result<(Request, bool), ReadError> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut slots);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return refused(400, "an empty line inside the head"),
        Err(error) => return refused(400, format!("not an HTTP request: {error}")),
    }
    let mut headers = Vec::new();
    for header in parsed.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else {
            return refused(400, format!("header {} is not UTF-8", header.name));
        };
        headers.push((header.name.to_ascii_lowercase(), value.to_owned()));
    }
    let is_http_11 = parsed.version == Some(1);
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
        last: false,
    };
    match request.header("host") {
        Ok(Some(_)) => Ok((request, is_http_11)),
        Ok(None) if !is_http_11 => Ok((request, is_http_11)),
        Ok(None) => refused(400, "HTTP/1.1 without a host header"),
        Err(words) => refused(400, words),
    }
}

fn read_sized(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    length: &str,
    limit: usize,
) -> Result<Vec<u8>, ReadError> {
    let is_digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let Some(length) = length.parse::<usize>().ok().filter(|_| is_digits) else {
        return refused(400, format!("content-length {length:?} is not a number"));
    };
    if length > limit {
        return refused(
            413,
            format!("the body is {length} bytes, more than {limit}"),
        );
    }
    take(stream, buffer, length)
}

fn read_chunked(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    loop {
        let line = take_line(stream, buffer)?;
        let Ok(httparse::Status::Complete((_, length))) = httparse::parse_chunk_size(&line) else {
            return refused(400, "a chunk without a clean size");
        };
        let room = (limit - body.len()) as u64;
        if length > room {
            return refused(413, format!("the chunked body is more than {limit} bytes"));
        }
        if length == 0 {
            // Trailers mean nothing here, but they belong to this request.
            while take_line(stream, buffer)? != b"\r\n" {}
            return Ok(body);
        }
        body.extend(take(stream, buffer, length as usize)?);
        if take(stream, buffer, 2)? != b"\r\n" {
            return refused(400, "a chunk that is longer than its size");
        }
    }
}

/// Takes exactly `length` bytes.
fn take(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> Result<Vec<u8>, ReadError> {
    while buffer.len() < length {
        if !fill(stream, buffer)? {
            return Err(ended("the body"));
        }
    }
    Ok(buffer.drain(..length).collect())
}

/// Takes a line with its line end.
fn take_line(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Result<Vec<u8>, ReadError> {
    loop {
        if let Some(at) = buffer.windows(2).position(|two| two == b"\r\n") {
            return Ok(buffer.drain(..at + 2).collect());
        }
        if buffer.len() > LINE_LIMIT {
            return refused(400, format!("a chunk line longer than {LINE_LIMIT} bytes"));
        }
        if !fill(stream, buffer)? {
            return Err(ended("the body"));
        }
    }
}

/// Reads some more. False at the end of the stream.
fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 8192];
    let got = loop {
        match stream.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    buffer.extend_from_slice(&part[..got]);
    Ok(got > 0)
}

fn ended(what: &str) -> ReadError {
    let words = format!("the client left inside {what}");
    ReadError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what it was given and forgets what it is told.
    struct Tape(io::Cursor<Vec<u8>>);

    impl Read for Tape {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            // Small bites, so that every boundary inside a request is crossed by some read.
            let end = into.len().min(7);
            self.0.read(&mut into[..end])
        }
    }

    impl Write for Tape {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn read(text: &str) -> Result<Option<Request>, ReadError> {
        read_request(&mut Tape(io::Cursor::new(text.into())), &mut Vec::new())
    }

    fn check_refused(text: &str, expected: u16) {
        match read(text) {
            Err(ReadError::Refused { status, .. }) => assert_eq!(status, expected, "{text:?}"),
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn two_requests_of_one_stream_are_told_apart() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc\
                    POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                    2\r\nde\r\n1;x=y\r\nf\r\n0\r\nTrailer: t\r\n\r\n";
        let mut tape = Tape(io::Cursor::new(text.into()));
        let mut buffer = Vec::new();
        let first = read_request(&mut tape, &mut buffer).unwrap().unwrap();
        let second = read_request(&mut tape, &mut buffer).unwrap().unwrap();
        assert_eq!(
            (first.path.as_str(), first.body.as_slice()),
            ("/a", b"abc".as_slice())
        );
        assert_eq!(
            (second.path.as_str(), second.body.as_slice()),
            ("/b", b"def".as_slice())
        );
        assert!(read_request(&mut tape, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn what_is_not_clean_is_refused() {
        check_refused("\u{1}\u{2}\r\n\r\n", 400);
        check_refused("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400);
        check_refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411);
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
            400,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n",
            413,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            400,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n",
            400,
        );
        check_refused(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            400,
        );
        check_refused(
            &format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD_LIMIT)),
            431,
        );
    }

    #[test]
    fn every_cut_of_a_request_is_an_error() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 1..text.len() {
            assert!(
                matches!(read(&text[..cut]), Err(ReadError::Io(_))),
                "cut at byte {cut}"
            );
        }
    }
}
