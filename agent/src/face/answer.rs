//! What an answer is made of, and its head.
//!
//! A body is either text that is part of the program or a page that is written when it is asked
//! for (`routes.rs`). Every head forbids caches and guesses about the content; none allows another
//! origin to read it.

use mote_core::Full;
use mote_core::text::digits;
use mote_core::time::format_http_date;

use super::request::Refusal;
use super::routes::Page;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: Status,
    /// What the body is.
    pub content: Content,
    /// The body.
    pub body: Body,
}

/// A body.
#[derive(Debug)]
pub enum Body {
    /// Part of the program.
    Static(&'static [u8]),
    /// Written when it is asked for.
    Page(Page),
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The page of the device.
    Html,
    /// For programs.
    Json,
    /// The Prometheus text format, version 0.0.4.
    Metrics,
    /// A sentence.
    Text,
}

/// HTTP statuses (RFC 9110, section 15) that there are answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    MisdirectedRequest,
    HeadTooLarge,
    ServiceUnavailable,
    /// The same, and when to come again.
    TooOften,
    VersionNotSupported,
}

impl Status {
    /// The status line's end.
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
            Self::RequestTimeout => "408 Request Timeout",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::UriTooLong => "414 URI Too Long",
            Self::MisdirectedRequest => "421 Misdirected Request",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::TooOften => "503 Service Unavailable\r\nRetry-After: 1",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

impl Content {
    /// The type, and for what a browser shows, all that it may do.
    const fn lines(self) -> &'static str {
        match self {
            Self::Html => {
                "text/html; charset=utf-8\r\n\
                 Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
                 script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            }
            Self::Json => "application/json",
            Self::Metrics => "text/plain; version=0.0.4; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

impl Answer {
    /// A sentence.
    pub const fn words(status: Status, words: &'static str) -> Self {
        Self {
            status,
            content: Content::Text,
            body: Body::Static(words.as_bytes()),
        }
    }

    /// Why a request is not answered.
    pub const fn refusal(refusal: Refusal) -> Self {
        let (status, words) = match refusal {
            Refusal::Malformed => (Status::BadRequest, "this is not an HTTP request\n"),
            Refusal::NoHost => (
                Status::BadRequest,
                "HTTP/1.1 takes exactly one Host header\n",
            ),
            Refusal::Method => (
                Status::MethodNotAllowed,
                "there is only GET and HEAD here\n",
            ),
            Refusal::Timeout => (
                Status::RequestTimeout,
                "the request was not whole within 2 seconds\n",
            ),
            Refusal::Body => (
                Status::ContentTooLarge,
                "a request here has no body: send it without one\n",
            ),
            Refusal::LongLine => (
                Status::UriTooLong,
                "the request line is longer than 8 KiB\n",
            ),
            Refusal::LongHead => (
                Status::HeadTooLarge,
                "the headers are longer than 8 KiB, or more than 64\n",
            ),
            Refusal::Version => (
                Status::VersionNotSupported,
                "there is only HTTP/1.0 and HTTP/1.1 here\n",
            ),
        };
        Self::words(status, words)
    }
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length.
    Length(usize),
    /// Chunks (RFC 9112, section 7.1).
    Chunked,
    /// By the end of the connection.
    Close,
}

/// Room for any head.
pub const HEAD_BYTES: usize = 704;

/// Writes the head; gives its length.
pub fn write_head(
    out: &mut [u8; HEAD_BYTES],
    status: Status,
    content: Content,
    framing: Framing,
    close: bool,
    now_s: u64,
) -> Result<usize, Full> {
    let mut number = [0; 20];
    let framing = match framing {
        Framing::Length(length) => [
            "\r\nContent-Length: ",
            text(digits(length as u64, &mut number)),
        ],
        Framing::Chunked => ["\r\nTransfer-Encoding: ", "chunked"],
        Framing::Close => ["", ""],
    };
    let date = format_http_date(now_s);
    let parts = [
        "HTTP/1.1 ",
        status.line(),
        "\r\nContent-Type: ",
        content.lines(),
        framing[0],
        framing[1],
        "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\
         \r\nCross-Origin-Resource-Policy: same-origin\r\nDate: ",
        text(&date),
        if close {
            "\r\nConnection: close\r\n\r\n"
        } else {
            "\r\n\r\n"
        },
    ];
    let mut used = 0;
    for part in parts {
        let end = used + part.len();
        out.get_mut(used..end)
            .ok_or(Full)?
            .copy_from_slice(part.as_bytes());
        used = end;
    }
    Ok(used)
}

fn text(ascii: &[u8]) -> &str {
    str::from_utf8(ascii).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_head_fits() {
        let mut out = [0; HEAD_BYTES];
        for status in [
            Status::MethodNotAllowed,
            Status::HeadTooLarge,
            Status::TooOften,
        ] {
            let length = Framing::Length(usize::MAX);
            let written = write_head(&mut out, status, Content::Html, length, true, 4_102_444_800);
            assert!(written.is_ok(), "{status:?}");
        }
    }

    #[test]
    fn a_head_says_what_comes_and_that_nobody_keeps_it() {
        let mut out = [0; HEAD_BYTES];
        let length = write_head(
            &mut out,
            Status::Ok,
            Content::Json,
            Framing::Length(12),
            false,
            784_111_777,
        );
        assert_eq!(
            text(&out[..length.unwrap()]),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        );
    }
}
