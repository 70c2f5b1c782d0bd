//! From bytes to a request that may be answered, or to the refusal.
//!
//! A pure function over the bytes that came so far: HTTP/1.0 and 1.1 (RFC 9112), GET and HEAD, no
//! bodies. Whose name the request is for is decided in `host.rs`, what is at its path in
//! `routes.rs`.

use httparse::{EMPTY_HEADER, Error, Header, Status};

/// More headers than a browser sends.
const HEADERS: usize = 64;

/// What the bytes that came so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// The beginning of a request.
    Partial,
    /// A request, and how many bytes of the input it took.
    Whole(Request<'b>, usize),
    /// To be answered so, and then closed: where the next request would begin is not known.
    Refused(Refusal),
}

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'b> {
    /// HEAD: the answer without its body.
    pub head_only: bool,
    /// As it was sent, without the query.
    pub path: &'b str,
    /// What stands behind the question mark.
    pub query: &'b str,
    /// The server that is meant: a name or an address, with or without a port. None in HTTP/1.0.
    pub host: Option<&'b str>,
    /// HTTP/1.1, which knows chunks.
    pub is_1_1: bool,
    /// No further request will come.
    pub close: bool,
}

/// Why there is no answer but this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400: not HTTP.
    Malformed,
    /// 400: HTTP/1.1 without a host, or with several.
    NoHost,
    /// 405: neither GET nor HEAD.
    Method,
    /// 408: not whole in time.
    Timeout,
    /// 413: with a body.
    Body,
    /// 414: the request line alone is too long.
    LongLine,
    /// 431: all headers together are too long, or too many.
    LongHead,
    /// 505: not HTTP/1.0 or 1.1.
    Version,
}

/// Reads the request at the start of `bytes`. `is_full` says that there is room for no more.
pub fn parse(bytes: &[u8], is_full: bool) -> Parsed<'_> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(length)) => match understand(&request) {
            Ok(request) => Parsed::Whole(request, length),
            Err(refusal) => Parsed::Refused(refusal),
        },
        Ok(Status::Partial) if !is_full => Parsed::Partial,
        Ok(Status::Partial) => {
            // Line feeds in front of a request do not end its first line.
            let line = bytes.trim_ascii_start();
            let is_line_alone = !line.contains(&b'\n');
            Parsed::Refused(if is_line_alone {
                Refusal::LongLine
            } else {
                Refusal::LongHead
            })
        }
        Err(Error::TooManyHeaders) => Parsed::Refused(Refusal::LongHead),
        Err(Error::Version) => Parsed::Refused(Refusal::Version),
        Err(_) => Parsed::Refused(Refusal::Malformed),
    }
}

fn understand<'b>(request: &httparse::Request<'_, 'b>) -> Result<Request<'b>, Refusal> {
    let is_1_1 = request.version == Some(1);
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::Method),
    };
    refuse_body(request.headers)?;
    let mut hosts = named(request.headers, "host");
    let host = hosts.next().map(text).transpose()?;
    if hosts.next().is_some() || (is_1_1 && host.is_none()) {
        return Err(Refusal::NoHost);
    }
    let target = request.path.unwrap_or_default();
    let (host, target) = match target.strip_prefix("http://") {
        // The absolute form: what it names counts, not the header.
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            (Some(authority), if path.is_empty() { "/" } else { path })
        }
        None => (host, target),
    };
    if !target.starts_with('/') {
        return Err(Refusal::Malformed);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut connection = named(request.headers, "connection");
    let says_close = |value: &[u8]| {
        value
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    };
    Ok(Request {
        head_only,
        path,
        query,
        host,
        is_1_1,
        close: !is_1_1 || connection.any(says_close),
    })
}

/// A body would have to be read to find what comes behind it.
fn refuse_body(headers: &[Header<'_>]) -> Result<(), Refusal> {
    if named(headers, "transfer-encoding").next().is_some() {
        return Err(Refusal::Body);
    }
    for length in named(headers, "content-length") {
        if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::Malformed);
        }
        if length.iter().any(|digit| *digit != b'0') {
            return Err(Refusal::Body);
        }
    }
    Ok(())
}

fn named<'h, 'b>(
    headers: &'h [Header<'b>],
    name: &'static str,
) -> impl Iterator<Item = &'b [u8]> + use<'h, 'b> {
    let is_it = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
    headers.iter().filter(is_it).map(|header| header.value)
}

fn text(value: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(value)
        .ok()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .ok_or(Refusal::NoHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: h:1\r\n\r\n";

    fn refused(text: &str) -> Option<Refusal> {
        match parse(text.as_bytes(), false) {
            Parsed::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    fn whole(text: &str) -> Request<'_> {
        match parse(text.as_bytes(), false) {
            Parsed::Whole(request, length) => {
                assert_eq!(length, text.len());
                request
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_to_its_end_and_no_further() {
        let request = Request {
            head_only: false,
            path: "/a",
            query: "b=c",
            host: Some("h:1"),
            is_1_1: true,
            close: false,
        };
        assert_eq!(whole(GET), request);
        let two = format!("{GET}{GET}");
        assert_eq!(
            parse(two.as_bytes(), true),
            Parsed::Whole(request, GET.len())
        );
    }

    #[test]
    fn every_cut_of_a_request_is_partial() {
        for cut in 0..GET.len() {
            assert_eq!(
                parse(&GET.as_bytes()[..cut], false),
                Parsed::Partial,
                "{cut}"
            );
        }
    }

    #[test]
    fn http_1_0_needs_no_host_and_is_closed() {
        let request = whole("HEAD /health HTTP/1.0\r\n\r\n");
        assert!(request.head_only && request.close && !request.is_1_1);
        assert_eq!(request.host, None);
        assert!(whole("GET / HTTP/1.1\r\nhost: x\r\nconnection: TE, Close\r\n\r\n").close);
    }

    #[test]
    fn the_absolute_form_names_the_host() {
        let request = whole("GET http://other:9/x HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((request.host, request.path), (Some("other:9"), "/x"));
        let request = whole("GET http://other HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((request.host, request.path), (Some("other"), "/"));
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_its_reason() {
        for (text, refusal) in [
            ("GET / HTTP/1.1\r\n\r\n", Refusal::NoHost),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal::NoHost),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                Refusal::NoHost,
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
                Refusal::Method,
            ),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Malformed),
            (
                "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
                Refusal::Body,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::Body,
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Version),
            ("GET / HTTP/3\r\n\r\n", Refusal::Version),
            ("\x16\x03\x01\x02", Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::Malformed),
        ] {
            assert_eq!(refused(text), Some(refusal), "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        assert_eq!(refused(&many), Some(Refusal::LongHead));
    }

    #[test]
    fn a_full_buffer_tells_a_long_line_from_long_headers() {
        let line = format!("\r\nGET /{}", "x".repeat(9_000));
        let Parsed::Refused(refusal) = parse(line.as_bytes(), true) else {
            panic!("taken")
        };
        assert_eq!(refusal, Refusal::LongLine);
        let head = format!("GET / HTTP/1.1\r\na: {}", "x".repeat(9_000));
        assert_eq!(
            parse(head.as_bytes(), true),
            Parsed::Refused(Refusal::LongHead)
        );
    }

    #[test]
    fn whatever_comes_is_taken_or_refused() {
        use mote_core::rng::Rng;
        let seed = u64::from(std::process::id());
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..20_000 {
            let mut bytes = GET.as_bytes().to_vec();
            for _ in 0..=rng.below(6) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.below(256) as u8;
            }
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            if let Parsed::Whole(request, length) = parse(&bytes, rng.below(2) == 0) {
                assert!(length <= bytes.len() && request.path.starts_with('/'));
            }
        }
    }
}
