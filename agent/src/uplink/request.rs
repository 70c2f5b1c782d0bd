//! Sends one request and reads its answer whole.

use std::fmt::{self, Write as _};
use std::rc::Rc;

use http::Uri;
use http::uri::Scheme;
use mote_core::http::{Body, Head as AnswerHead, HttpError};
use mote_core::time::{parse_http_date, retry_after_ms};

use super::connection::Connection;
use super::dial::Dial;
use super::error::{DeliveryError, Phase};
use super::link::Link;
use super::resolver::{Names, port_of, usual_port};
use super::tls::TlsSettings;
use crate::clock;
use crate::config::proxy::Proxies;

/// A body of more than this does not keep its memory until the next: answers are shorter, and a
/// server that once gave a long one is not paid for ever after.
const KEPT_BODY_BYTES: usize = 4 * 1024;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub struct UplinkSettings {
    /// For the name, the connection and TLS together.
    pub connect_timeout_ms: u64,
    /// For the whole request.
    pub timeout_ms: u64,
    /// How long a connection is kept without a request.
    pub keep_ms: u64,
    /// Largest body of an answer that is read.
    pub body_bytes: usize,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// To be told something.
    Get,
    /// To take something.
    Post,
    /// To keep something.
    Put,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// Header fields, as they are sent. One of them may be a secret.
#[derive(Clone, Default)]
pub struct Headers(String);

impl Headers {
    /// Adds a field, unless no header can carry its value: then false.
    pub fn add(&mut self, name: &str, value: &str) -> bool {
        let fits = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        let fits = value.bytes().all(fits);
        if fits {
            self.0.extend([name, ": ", value, "\r\n"]);
        }
        fits
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")
    }
}

/// A request, ready to go. Its bytes are a copy: nothing of the device is borrowed.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub uri: &'a Uri,
    /// What all requests to this server have, but for the body's length.
    pub headers: &'a Headers,
    /// `Idempotency-Key`: a name and a number.
    pub key: Option<&'a str>,
    /// Body; a GET has none.
    pub body: &'a [u8],
}

/// An answer that arrived whole, or the head of one that says when to come again.
#[derive(Debug)]
pub struct Answer<'a> {
    /// HTTP status.
    pub status: u16,
    /// What `Retry-After` asks for, within its limits.
    pub retry_after_ms: Option<u64>,
    /// What time it is by the server's clock (`Date`), Unix milliseconds.
    pub date_ms: Option<u64>,
    /// Body.
    pub body: &'a [u8],
    /// From the first attempt to the end of the answer.
    pub took_ms: u64,
}

/// What the head of an answer says.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    status: u16,
    retry_after_ms: Option<u64>,
    date_ms: Option<u64>,
}

/// The way to the servers.
#[derive(Debug)]
pub struct Uplink {
    names: Names,
    dial: Dial,
    /// What the next request goes out on, if it is to the same server.
    kept: Option<Connection>,
    link: Rc<Link>,
    settings: UplinkSettings,
    /// Less than the settings allow, while there is somebody else to serve.
    patience_ms: u64,
    /// Of the answer under way, as soon as it is there.
    head: Head,
    body: Vec<u8>,
    /// The head of the request under way.
    lines: String,
}

impl Uplink {
    /// Requests that wait on `link`.
    pub fn new(
        link: Rc<Link>,
        tls: TlsSettings,
        proxies: Rc<Proxies>,
        settings: UplinkSettings,
    ) -> Self {
        Self {
            names: Names::new(Rc::clone(&link), Rc::clone(&proxies)),
            dial: Dial::new(Rc::clone(&link), tls, proxies, settings.keep_ms),
            kept: None,
            link,
            settings,
            patience_ms: u64::MAX,
            head: Head::default(),
            body: Vec::new(),
            lines: String::new(),
        }
    }

    /// Gives the last answer's body, or its beginning if it was too large to be read whole, for
    /// memory to read the next into.
    pub fn swap_body(&mut self, with: &mut Vec<u8>) {
        std::mem::swap(&mut self.body, with);
    }

    /// How long the requests from now on may take at most, whatever the settings say.
    pub fn be_patient_for(&mut self, patience_ms: u64) {
        self.patience_ms = patience_ms;
    }

    /// Sends `request`; a good outcome is an answer with any status that arrived whole; one that
    /// asks for a while with `Retry-After` need not.
    ///
    /// A kept connection may have died unnoticed. If it breaks before the first byte of an answer,
    /// the request goes out once more on a new one, within the same deadline, and that is no
    /// failure. A server that is merely slow is not asked twice.
    pub fn send(&mut self, request: &Request<'_>) -> Result<Answer<'_>, DeliveryError> {
        let started_ms = clock::boot_ms();
        let deadline_ms = started_ms + self.settings.timeout_ms.min(self.patience_ms);
        self.link
            .begin(self.settings.connect_timeout_ms, deadline_ms);
        let mut sent = self.attempt(request);
        let was_kept = {
            let attempt = self.link.attempt();
            attempt.phase == Phase::Http && !attempt.connected && !attempt.answered
        };
        let is_final = matches!(
            sent,
            Ok(()) | Err(DeliveryError::Stopped | DeliveryError::Deadline(_))
        );
        if was_kept && !is_final {
            self.link
                .begin_again(self.settings.connect_timeout_ms, deadline_ms);
            sent = self.attempt(request);
        }
        sent?;
        let Head {
            status,
            retry_after_ms,
            date_ms,
        } = self.head;
        let took_ms = clock::boot_ms() - started_ms;
        Ok(Answer {
            status,
            retry_after_ms,
            date_ms,
            body: &self.body,
            took_ms,
        })
    }

    fn attempt(&mut self, request: &Request<'_>) -> Result<(), DeliveryError> {
        self.head = Head::default();
        self.body.clear();
        self.body.shrink_to(KEPT_BODY_BYTES);
        let Err(error) = self.exchange(request) else {
            return Ok(());
        };
        if !matches!(error, DeliveryError::BodyTooLarge(..)) {
            // One large answer does not keep its memory.
            self.body = Vec::new();
        }
        match (self.head.status, self.head.retry_after_ms, &error) {
            // A server that has too much to do said so, and for how long, before its answer broke.
            (429 | 500.., Some(_), error) if !matches!(error, DeliveryError::Stopped) => Ok(()),
            _ => Err(error),
        }
    }

    fn exchange(&mut self, request: &Request<'_>) -> Result<(), DeliveryError> {
        let uri = request.uri;
        let kept = self.kept.take();
        let mut connection = if let Some(kept) = kept.and_then(|kept| kept.for_another(uri)) {
            self.names.refresh(uri);
            kept
        } else {
            let addresses = self.names.resolve(uri)?;
            Connection::new(self.dial.connect(uri, &addresses)?, uri)
        };
        self.link.enter(Phase::Http);
        self.lines.clear();
        // Writing to a String does not fail.
        let _ = write_head(&mut self.lines, request);
        connection.send(self.lines.as_bytes(), request.body)?;
        if self.receive(&mut connection, uri)? && connection.is_open() {
            self.kept = Some(connection);
        }
        Ok(())
    }

    /// Reads the answer; whether the connection is good for another request.
    fn receive(&mut self, connection: &mut Connection, uri: &Uri) -> Result<bool, DeliveryError> {
        let (keep, mut body) = loop {
            if !connection.receive(&self.link)? {
                return Err(DeliveryError::Closed(Phase::Http));
            }
            let heads = self.read_heads(connection);
            if let Some(answer) = heads.map_err(|error| not_http(error, uri))? {
                break answer;
            }
        };
        self.link.enter(Phase::Body);
        while !body.is_done() {
            let read = body.read(connection.input.rest());
            let (used, piece) =
                read.map_err(|error| DeliveryError::Protocol(error.to_string().into()))?;
            let limit = self.settings.body_bytes;
            if self.body.len() + piece.len() > limit {
                return Err(DeliveryError::BodyTooLarge(self.head.status, limit));
            }
            self.body.extend_from_slice(piece);
            connection.input.consume(used);
            if used == 0 && !connection.receive(&self.link)? {
                return if body.ends_with_connection() {
                    Ok(false)
                } else {
                    Err(DeliveryError::Closed(Phase::Body))
                };
            }
        }
        Ok(keep)
    }

    /// Reads the answer's head out of what arrived, and those of interim answers before it; `None`
    /// if it is not whole yet.
    fn read_heads(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Option<(bool, Body)>, HttpError> {
        while let Some((head, length)) = AnswerHead::parse(connection.input.rest())? {
            let is_interim = head.is_interim();
            let (keep, body) = (head.keep, head.body);
            if !is_interim {
                self.head = Head::of(&head);
            }
            connection.input.consume(length);
            if !is_interim {
                return Ok(Some((keep, body)));
            }
        }
        Ok(None)
    }
}

impl Head {
    fn of(head: &AnswerHead<'_>) -> Self {
        let date_ms = head
            .date
            .and_then(|date| parse_http_date(date, clock::trusted_ms() / 1000).ok())
            .map(|date_s| date_s.saturating_mul(1000));
        let retry_after_ms = head.retry_after.and_then(|value| {
            // A date is meant by the server's clock, which the answer tells; ours may not be set.
            retry_after_ms(value, date_ms.unwrap_or_else(clock::wall_ms))
        });
        Self {
            status: head.status,
            retry_after_ms,
            date_ms,
        }
    }
}

fn write_head(lines: &mut String, request: &Request<'_>) -> fmt::Result {
    let Request {
        method,
        uri,
        headers,
        key,
        body,
    } = request;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.host().unwrap_or_default();
    lines.extend([method.as_str(), " ", path, " HTTP/1.1\r\nHost: ", host]);
    let port = port_of(uri);
    if port != usual_port(uri) {
        write!(lines, ":{port}")?;
    }
    lines.extend(["\r\n", &*headers.0]);
    if let Some(key) = key {
        lines.extend(["Idempotency-Key: ", key, "\r\n"]);
    }
    if *method != Method::Get {
        write!(lines, "Content-Length: {}\r\n", body.len())?;
    }
    lines.write_str("\r\n")
}

/// What it is that `uri`'s server answers, if it is no HTTP.
fn not_http(error: HttpError, uri: &Uri) -> DeliveryError {
    let advice = if error.is_other_protocol() && uri.scheme() == Some(&Scheme::HTTP) {
        ": if it speaks TLS there, write https: in front"
    } else {
        ""
    };
    DeliveryError::Protocol(format!("{error}{advice}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_where_it_goes_and_how_long_it_is() {
        let mut headers = Headers::default();
        assert!(headers.add("Authorization", "Bearer k"));
        assert!(!headers.add("User-Agent", "a\r\nb: c"));
        assert_eq!(format!("{headers:?}"), "Headers");
        let uri: Uri = "https://hub:8443/base/agent/metrics".parse().unwrap();
        let mut request = Request {
            method: Method::Post,
            uri: &uri,
            headers: &headers,
            key: Some("gw-7.1-1-5"),
            body: b"{}",
        };
        let head = |request: &Request<'_>| {
            let mut lines = String::new();
            write_head(&mut lines, request).unwrap();
            lines
        };
        let start =
            " /base/agent/metrics HTTP/1.1\r\nHost: hub:8443\r\nAuthorization: Bearer k\r\n";
        let end = "Idempotency-Key: gw-7.1-1-5\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(head(&request), format!("POST{start}{end}"));
        (request.method, request.key, request.body) = (Method::Get, None, b"");
        assert_eq!(head(&request), format!("GET{start}\r\n"));
        for (url, host) in [
            ("https://hub", "hub"),
            ("https://hub:443", "hub"),
            ("http://hub:443", "hub:443"),
            ("http://[::1]:80/", "[::1]"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            let uri = url.parse().unwrap();
            let request = Request {
                uri: &uri,
                ..request
            };
            let start = format!("GET / HTTP/1.1\r\nHost: {host}\r\n");
            assert!(head(&request).starts_with(&start), "{url}");
        }
    }
}
