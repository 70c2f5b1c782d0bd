//! Sends one request and reads its answer whole.

use std::sync::Arc;
use std::time::Duration;

use mote_core::time::{parse_http_date, retry_after_ms};
use ureq::http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Request as HttpRequest, Uri};

use super::buffers::INPUT_MAX_BYTES;
use super::dial::Dial;
use super::error::{DeliveryError, Phase};
use super::link::Link;
use super::resolver::Names;
use super::tls::TlsSettings;
use crate::clock;
use crate::config::proxy::Proxies;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// A body of more than this does not keep its memory until the next: answers are shorter, and a
/// server that once gave a long one is not paid for ever after.
const KEPT_BODY_BYTES: usize = 4 * 1024;
/// Bodies are read in pieces of this: that of most answers is shorter.
const PIECE_BYTES: usize = 256;

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

/// A request, ready to go. Its bytes are a copy: nothing of the device is borrowed.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub uri: &'a Uri,
    /// What all requests to this server have, but for the body's length.
    pub headers: &'a HeaderMap,
    /// `Idempotency-Key`.
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
    agent: ureq::Agent,
    link: Arc<Link>,
    settings: UplinkSettings,
    /// Less than the settings allow, while there is somebody else to serve.
    patience_ms: u64,
    /// Of the answer under way, as soon as it is there.
    head: Head,
    body: Vec<u8>,
}

impl Uplink {
    /// Requests that wait on `link`.
    pub fn new(
        link: Arc<Link>,
        tls: TlsSettings,
        proxies: Arc<Proxies>,
        settings: UplinkSettings,
    ) -> Self {
        let config = ureq::Agent::config_builder()
            // Proxies are ours to speak to: the default is whatever the environment says.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept("")
            .accept_encoding("")
            .user_agent("")
            .max_response_header_size(INPUT_MAX_BYTES - 1)
            // One connection for each of two servers at most.
            .max_idle_connections(2)
            .max_idle_connections_per_host(1)
            .max_idle_age(Duration::from_millis(settings.keep_ms))
            .timeout_await_100(None)
            .build();
        let dial = Dial::new(
            Arc::clone(&link),
            tls,
            Arc::clone(&proxies),
            settings.keep_ms,
        );
        let names = Names::new(Arc::clone(&link), proxies);
        Self {
            agent: ureq::Agent::with_parts(config, dial, names),
            link,
            settings,
            patience_ms: u64::MAX,
            head: Head::default(),
            body: Vec::new(),
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
        let Err(ureq_error) = self.exchange(request) else {
            return Ok(());
        };
        let error = self.link.take_error();
        let error = error.unwrap_or_else(|| self.explain(ureq_error, request.uri));
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

    fn exchange(&mut self, request: &Request<'_>) -> Result<(), ureq::Error> {
        let answer = if request.method == Method::GET {
            self.agent.run(dressed(request, ()))?
        } else {
            self.agent.run(dressed(request, request.body))?
        };
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).map(HeaderValue::as_bytes);
        let date_ms = header(DATE)
            .and_then(|date| parse_http_date(date, clock::trusted_ms() / 1000).ok())
            .map(|date_s| date_s.saturating_mul(1000));
        let retry_after_ms = header(RETRY_AFTER).and_then(|value| {
            // A date is meant by the server's clock, which the answer tells; ours may not be set.
            retry_after_ms(value, date_ms.unwrap_or_else(clock::wall_ms))
        });
        self.head = Head {
            status,
            retry_after_ms,
            date_ms,
        };
        self.link.enter(Phase::Body);
        let mut reader = answer.into_body().into_reader();
        let mut piece = [0; PIECE_BYTES];
        loop {
            let bytes = std::io::Read::read(&mut reader, &mut piece)?;
            if bytes == 0 {
                return Ok(());
            }
            let limit = self.settings.body_bytes;
            if self.body.len() + bytes > limit {
                return Err(self.link.fail(DeliveryError::BodyTooLarge(status, limit)));
            }
            self.body.extend_from_slice(&piece[..bytes]);
        }
    }

    /// What an error is that `ureq` found by itself.
    fn explain(&self, error: ureq::Error, uri: &Uri) -> DeliveryError {
        let phase = self.link.attempt().phase;
        match error {
            ureq::Error::LargeResponseHeader(..) => DeliveryError::HeadTooLarge,
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                DeliveryError::Closed(phase)
            }
            ureq::Error::Io(error) => match error.into_inner() {
                // The body's reader wraps ureq's own errors.
                Some(inner) => DeliveryError::Protocol(inner.to_string().into()),
                None => DeliveryError::Closed(phase),
            },
            other if uri.scheme_str() == Some("http") => DeliveryError::Protocol(
                format!("{other}: if it speaks TLS there, write https: in front").into(),
            ),
            other => DeliveryError::Protocol(other.to_string().into()),
        }
    }
}

fn dressed<B>(request: &Request<'_>, body: B) -> HttpRequest<B> {
    let mut http = HttpRequest::new(body);
    *http.method_mut() = request.method.clone();
    *http.uri_mut() = request.uri.clone();
    *http.headers_mut() = request.headers.clone();
    // It is made of a name and a number, and so it is a value.
    if let Some(Ok(key)) = request.key.map(HeaderValue::from_str) {
        http.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    http
}
