//! What an HTTP/1.1 server answers (RFC 9112), as its bytes come in: the head, then the body.
//!
//! In scope: status, the fields that a client of a fixed purpose needs, and where the body ends:
//! `Content-Length`, the chunked coding, or the end of the connection. Out of scope: sockets,
//! requests, other codings, trailers (read over), redirects. The caller owns the bytes and limits
//! how many there are.
//!
//! An answer whose end could be meant in two ways is refused, rather than taken for one of them:
//! what follows could be read as the answer to the next request (RFC 9112, section 11.2).

use core::fmt;
use core::mem::MaybeUninit;

/// More fields than this are refused.
pub const FIELDS: usize = 128;
/// More bytes of chunk extensions and trailers than this are refused: nobody here reads them.
pub const EXTRA_BYTES: u32 = 16 * 1024;

/// Why the bytes are no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpError {
    /// The head is not one, and why.
    Head(httparse::Error),
    /// A status of less than 100.
    Status,
    /// `Content-Length` is no decimal number of 64 bits, or says two things.
    Length,
    /// `Transfer-Encoding` is something else than `chunked`.
    Coding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding,
    /// What should begin or end a chunk does not.
    Chunk,
    /// More than [`EXTRA_BYTES`] of chunk extensions and trailers.
    Extra,
}

impl HttpError {
    /// Whether the first bytes are of something else altogether, as of TLS.
    pub fn is_other_protocol(&self) -> bool {
        *self == Self::Head(httparse::Error::Version)
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head(httparse::Error::TooManyHeaders) => "more than 128 header fields",
            Self::Head(httparse::Error::Status) => "no status in its first line",
            Self::Head(httparse::Error::Version) => "its first line does not begin with HTTP/1",
            Self::Head(_) => "a line of its head is none",
            Self::Status => "its status is below 100",
            Self::Length => "its Content-Length is no number, or two",
            Self::Coding => "its Transfer-Encoding is not chunked",
            Self::LengthAndCoding => "it has a Content-Length and a Transfer-Encoding",
            Self::Chunk => "a chunk of its body is none",
            Self::Extra => "more than 16 KiB beside its body",
        })
    }
}

impl core::error::Error for HttpError {}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// Status, from 100.
    pub status: u16,
    /// `Date`.
    pub date: Option<&'a [u8]>,
    /// `Retry-After`.
    pub retry_after: Option<&'a [u8]>,
    /// The connection may be used again once the body was read.
    pub keep: bool,
    /// Where the body ends.
    pub body: Body,
}

impl<'a> Head<'a> {
    /// Reads a head from the start of `text`, and how many bytes it has; `Ok(None)` if it is not
    /// whole yet.
    pub fn parse(text: &'a [u8]) -> Result<Option<(Self, usize)>, HttpError> {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut answer = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut answer, text, &mut fields)
            .map_err(HttpError::Head)?;
        let (httparse::Status::Complete(length), Some(status)) = (parsed, answer.code) else {
            return Ok(None);
        };
        if status < 100 {
            return Err(HttpError::Status);
        }
        let mut head = Self {
            status,
            date: None,
            retry_after: None,
            keep: answer.version == Some(1),
            body: Body::of_unknown_length(),
        };
        // They have no body, whatever they say of it (RFC 9112, section 6.3).
        let has_body = !matches!(status, 100..=199 | 204 | 304);
        let (mut content_length, mut is_chunked, mut is_closed) = (None, false, false);
        for field in answer.headers.iter() {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("date") {
                head.date.get_or_insert(field.value);
            } else if is("retry-after") {
                head.retry_after.get_or_insert(field.value);
            } else if is("connection") {
                // HTTP/1.0 says so if it is kept, and later versions if it is not.
                head.keep |= has_token(field.value, "keep-alive");
                is_closed |= has_token(field.value, "close");
            } else if is("content-length") && status == 204 {
                // Who says that a body comes may send it (section 8.6).
                is_closed |= decimal(field.value) != Ok(0);
            } else if has_body && is("content-length") {
                let bytes = decimal(field.value)?;
                if content_length.is_some_and(|before| before != bytes) {
                    return Err(HttpError::Length);
                }
                content_length = Some(bytes);
            } else if is("transfer-encoding") && !has_body {
                is_closed = true;
            } else if is("transfer-encoding") {
                // The coding that is none (RFC 2616, section 3.6).
                let is_none = field.value.is_empty() || is_token(field.value, "identity");
                if !is_none && (is_chunked || !is_token(field.value, "chunked")) {
                    return Err(HttpError::Coding);
                }
                is_chunked |= !is_none;
            }
        }
        head.body = match (is_chunked, content_length) {
            _ if !has_body => Body::of_length(0),
            (true, Some(_)) => return Err(HttpError::LengthAndCoding),
            (true, None) => Body::chunked(),
            (false, Some(bytes)) => Body::of_length(bytes),
            (false, None) => Body::of_unknown_length(),
        };
        // HTTP/1.0 has no codings: whoever passed it on may have passed over it (section 6.1).
        is_closed |= is_chunked && answer.version != Some(1);
        // What comes behind 101 is another protocol, which nobody asked for.
        head.keep &= !is_closed && status != 101 && !head.body.ends_with_connection();
        Ok(Some((head, length)))
    }

    /// Whether the answer itself is still to come.
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }
}

/// Whether `token` is in a list with commas.
fn has_token(list: &[u8], token: &str) -> bool {
    let mut tokens = list.split(|byte| *byte == b',');
    tokens.any(|one| is_token(one, token))
}

fn is_token(text: &[u8], token: &str) -> bool {
    text.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
}

/// A number, or the same one several times (RFC 9110, section 8.6).
fn decimal(value: &[u8]) -> Result<u64, HttpError> {
    let mut number = None;
    for one in value.split(|byte| *byte == b',') {
        let one = crate::text::decimal(one.trim_ascii()).ok_or(HttpError::Length)?;
        if number.is_some_and(|before| before != one) {
            return Err(HttpError::Length);
        }
        number = Some(one);
    }
    number.ok_or(HttpError::Length)
}

/// The body of an answer, while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    at: At,
    /// Bytes of extensions and trailers so far.
    extra: u32,
}

/// Where in a body the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the body itself, which goes on to the end of the connection.
    Open,
    /// In the body itself, of which so much is left.
    Length(u64),
    /// In the size of a chunk: so many digits, which say this.
    Size(u8, u64),
    /// Behind the size.
    Extension(u64),
    /// At the line feed behind it.
    SizeEnd(u64),
    /// In a chunk, of which so much is left.
    Chunk(u64),
    /// At the end of a chunk: its carriage return or its line feed.
    ChunkEnd(u8),
    /// At the start of a trailer, or of the line that ends them.
    Trailers,
    /// In a trailer.
    Trailer,
    /// At the last line feed.
    LastEnd,
    /// Behind it.
    Done,
}

impl Body {
    const fn at(at: At) -> Self {
        Self { at, extra: 0 }
    }

    const fn of_length(bytes: u64) -> Self {
        Self::at(if bytes == 0 {
            At::Done
        } else {
            At::Length(bytes)
        })
    }

    const fn chunked() -> Self {
        Self::at(At::Size(0, 0))
    }

    const fn of_unknown_length() -> Self {
        Self::at(At::Open)
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Whether it is whole when the connection ends: a chunked one is behind its last chunk, whatever
    /// of the lines behind that is missing (RFC 9112, section 8).
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.at, At::Open | At::Trailers | At::LastEnd)
    }

    /// Reads from the start of `input`: how many bytes were used, and what of the body is at their
    /// end, in one piece. It has to be called again while there are bytes left and it is not done.
    pub fn read<'b>(&mut self, input: &'b [u8]) -> Result<(usize, &'b [u8]), HttpError> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match &mut self.at {
                At::Open => return Ok((input.len(), &input[used..])),
                At::Length(left) | At::Chunk(left) => {
                    let here = (input.len() - used) as u64;
                    let bytes = here.min(*left) as usize;
                    *left -= bytes as u64;
                    if *left == 0 {
                        self.at = match self.at {
                            At::Length(_) => At::Done,
                            _ => At::ChunkEnd(b'\r'),
                        };
                    }
                    return Ok((used + bytes, &input[used..used + bytes]));
                }
                At::Size(digits, size) => match (byte as char).to_digit(16) {
                    // Sixteen digits are 64 bits.
                    Some(digit) if *digits < 16 => {
                        *digits += 1;
                        *size = *size << 4 | u64::from(digit);
                    }
                    None if *digits > 0 => {
                        self.at = match byte {
                            b'\r' => At::SizeEnd(*size),
                            b';' | b' ' | b'\t' => At::Extension(*size),
                            _ => return Err(HttpError::Chunk),
                        };
                    }
                    _ => return Err(HttpError::Chunk),
                },
                At::Extension(size) => {
                    let size = *size;
                    match byte {
                        b'\r' => self.at = At::SizeEnd(size),
                        b'\n' => return Err(HttpError::Chunk),
                        _ => self.count_extra()?,
                    }
                }
                At::SizeEnd(size) => {
                    self.at = match (byte, *size) {
                        (b'\n', 0) => At::Trailers,
                        (b'\n', size) => At::Chunk(size),
                        _ => return Err(HttpError::Chunk),
                    };
                }
                At::ChunkEnd(expected) => {
                    self.at = match (byte, *expected) {
                        (b'\r', b'\r') => At::ChunkEnd(b'\n'),
                        (b'\n', b'\n') => At::Size(0, 0),
                        _ => return Err(HttpError::Chunk),
                    };
                }
                At::Trailers if byte == b'\r' => self.at = At::LastEnd,
                At::Trailers | At::Trailer => {
                    self.count_extra()?;
                    self.at = if byte == b'\n' {
                        At::Trailers
                    } else {
                        At::Trailer
                    };
                }
                At::LastEnd if byte == b'\n' => self.at = At::Done,
                At::LastEnd => return Err(HttpError::Chunk),
                At::Done => break,
            }
            used += 1;
        }
        Ok((used, &[]))
    }

    fn count_extra(&mut self) -> Result<(), HttpError> {
        self.extra += 1;
        if self.extra > EXTRA_BYTES {
            return Err(HttpError::Extra);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(Head<'_>, usize)>, HttpError> {
        Head::parse(text.as_bytes())
    }

    /// The body and what is left behind it, of input that comes in pieces of `piece` bytes.
    fn read(text: &str, piece: usize) -> Result<(Vec<u8>, usize, bool), HttpError> {
        let (head, mut at) = head(text)?.unwrap();
        let (mut body, mut out) = (head.body, Vec::new());
        while at < text.len() && !body.is_done() {
            let until = text.len().min(at + piece);
            let (used, bytes) = body.read(&text.as_bytes()[at..until])?;
            assert!(used > 0 || body.is_done());
            out.extend_from_slice(bytes);
            at += used;
        }
        Ok((out, text.len() - at, body.is_done()))
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text =
            "HTTP/1.1 503 Busy\r\nDATE: now\r\nRetry-After: 7\r\ncontent-length: 3\r\n\r\nabc";
        for cut in 0..text.len() - 3 {
            assert_eq!(head(&text[..cut]), Ok(None), "{cut}");
        }
        let (head, length) = head(text).unwrap().unwrap();
        assert_eq!(length, text.len() - 3);
        assert_eq!((head.status, head.keep), (503, true));
        assert_eq!(head.date, Some(&b"now"[..]));
        assert_eq!(head.retry_after, Some(&b"7"[..]));
        assert!(!head.is_interim());
    }

    #[test]
    fn a_body_ends_where_its_head_says_in_pieces_of_any_size() {
        for (fields, rest, expected, left, done) in [
            ("Content-Length: 3", "abcd", "abc", 1, true),
            (
                "Content-Length: 3, 3\r\nContent-Length: 3",
                "ab",
                "ab",
                0,
                false,
            ),
            ("Content-Length: 0", "next", "", 4, true),
            (
                "Transfer-Encoding: Identity\r\nContent-Length: 3",
                "abc",
                "abc",
                0,
                true,
            ),
            ("X: y", "all of it", "all of it", 0, false),
            (
                "Transfer-Encoding: Chunked",
                "3\r\nabc\r\n0\r\n\r\nn",
                "abc",
                1,
                true,
            ),
            (
                "Transfer-Encoding: chunked",
                "2;x=\"y\"\r\nab\r\n0A \r\n0123456789\r\n00\r\nX: y\r\nZ:\r\n\r\n",
                "ab0123456789",
                0,
                true,
            ),
            ("Transfer-Encoding: chunked", "3\r\nab", "ab", 0, false),
            (
                "Transfer-Encoding: chunked",
                "1\r\na\r\n0\r\nX: y\r\n",
                "a",
                0,
                false,
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{rest}");
            for piece in 1..text.len() {
                let expected = Ok((expected.as_bytes().to_vec(), left, done));
                assert_eq!(read(&text, piece), expected, "{text:?} in {piece}");
            }
        }
    }

    #[test]
    fn behind_its_last_chunk_a_body_may_end_with_the_connection() {
        let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (chunks, ends) in [
            ("3\r\nabc\r\n", false),
            ("3\r\nabc\r\n0", false),
            ("3\r\nabc\r\n0\r\n", true),
            ("0\r\nX: ", false),
            ("0\r\nX: y\r\n", true),
            ("0\r\n\r", true),
        ] {
            let mut body = head(start).unwrap().unwrap().0.body;
            let mut rest = chunks.as_bytes();
            while !rest.is_empty() {
                let (used, _) = body.read(rest).unwrap();
                rest = &rest[used..];
            }
            assert_eq!(body.ends_with_connection(), ends, "{chunks:?}");
        }
    }

    #[test]
    fn what_could_be_meant_in_two_ways_is_refused() {
        for (fields, error) in [
            ("Content-Length: 3\r\nContent-Length: 4", HttpError::Length),
            ("Content-Length: 3, 4", HttpError::Length),
            ("Content-Length: -1", HttpError::Length),
            ("Content-Length: ", HttpError::Length),
            ("Content-Length: 18446744073709551616", HttpError::Length),
            ("Transfer-Encoding: gzip, chunked", HttpError::Coding),
            ("Transfer-Encoding: chunked, identity", HttpError::Coding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                HttpError::Coding,
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 3",
                HttpError::LengthAndCoding,
            ),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
            assert_eq!(head(&text), Err(error), "{fields}");
        }
        for chunks in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "11111111111111111\r\n",
            "1\n",
            "1;a\nb",
            "1\ra",
            "1\r\nab",
            "1\r\na\ra",
            "0\r\n\ra",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
            assert_eq!(read(&text, 100), Err(HttpError::Chunk), "{chunks:?}");
        }
    }

    #[test]
    fn what_nobody_reads_has_a_limit() {
        let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let many = "x".repeat(EXTRA_BYTES as usize);
        for text in [
            format!("{start}0;{many}y\r\n"),
            format!("{start}0\r\n{many}y\r\n"),
        ] {
            assert_eq!(read(&text, 999), Err(HttpError::Extra));
        }
        let fields = "a: b\r\n".repeat(FIELDS);
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).is_ok());
        let error = head(&format!("HTTP/1.1 200 OK\r\n{fields}c: d\r\n\r\n")).unwrap_err();
        assert_eq!(error.to_string(), "more than 128 header fields");
    }

    #[test]
    fn a_connection_is_kept_if_nobody_says_otherwise_and_its_end_means_nothing() {
        for (text, keep) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            ("HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", false),
            ("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", true),
            ("HTTP/1.1 304 No\r\n\r\n", true),
            ("HTTP/1.1 101 Other\r\n\r\n", false),
            ("HTTP/1.1 100 Go on\r\n\r\n", true),
        ] {
            let (head, _) = head(text).unwrap().unwrap();
            assert_eq!(head.keep, keep, "{text:?}");
            assert_eq!(head.is_interim(), head.status == 100, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_said_in_words() {
        for (text, words) in [
            (
                "SSH-2.0-x\r\n\r\n",
                "its first line does not begin with HTTP/1",
            ),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "no status in its first line"),
            ("HTTP/1.1 099 OK\r\n\r\n", "its status is below 100"),
            (
                "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
                "a line of its head is none",
            ),
        ] {
            let error = head(text).unwrap_err();
            assert_eq!(error.to_string(), words, "{text:?}");
            assert_eq!(error.is_other_protocol(), text.starts_with("SSH"));
        }
    }
}
