//! What a server answers, as the real uplink reads it from a real socket, and as its reader does.
//!
//! A thread takes one connection after the other on a loopback address, waits for the request and
//! answers with the fuzzer's bytes and the end of the stream. The uplink is the agent's, with its
//! reactor.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;

use http::Uri;
use mote::agent::start_reactor;
use mote::config::Secret;
use mote::config::proxy::Proxies;
use mote::config::settings::Settings;
use mote::service::said;
use mote::uplink::link::Link;
use mote::uplink::tls::{TlsChoice, TlsSettings};
use mote::uplink::{DeliveryError, Headers, Method, Request, Uplink, UplinkSettings};
use mote_core::http::{Body, Head, HttpError};
use mote_core::wire::lunasentri::is_documented_acceptance;

use crate::planted_bug;

/// Longer answers are no other answers, only slower.
const ANSWER_BYTES: usize = 64 * 1024;

/// What no answer may get into a log.
const KEY: &str = "k/y\"";

struct Way {
    key: Secret,
    uplink: Uplink,
    uri: Uri,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Way {
    /// Nothing here can fail on a machine that can fuzz.
    fn open() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").ok()?;
        let uri = format!("http://{}/agent/metrics", listener.local_addr().ok()?);
        let answer = Arc::new(Mutex::new(Vec::new()));
        let to_give = Arc::clone(&answer);
        thread::spawn(move || serve(&listener, &to_give));
        let settings = Settings::default();
        let tls = TlsSettings::new(TlsChoice::default()).ok()?;
        let link = Rc::new(Link::new(start_reactor(&settings).ok()?));
        let times = UplinkSettings {
            connect_timeout_ms: 1_000,
            timeout_ms: 2_000,
            keep_ms: 1_000,
            body_bytes: ANSWER_BYTES,
        };
        Some(Self {
            key: Secret::new(KEY.into()),
            uplink: Uplink::new(link, tls, Rc::new(Proxies::new(None, Vec::new())), times),
            uri: uri.parse().ok()?,
            answer,
        })
    }
}

fn serve(listener: &TcpListener, answer: &Mutex<Vec<u8>>) {
    for mut stream in listener.incoming().flatten() {
        let mut request = [0; 1024];
        // The request is one small write.
        if stream.read(&mut request).is_ok()
            && let Ok(answer) = answer.lock()
        {
            // A client that has seen enough hangs up.
            let _ = stream.write_all(&answer);
        }
    }
}

thread_local! {
    static WAY: RefCell<Option<Way>> = const { RefCell::new(None) };
}

pub(crate) fn answer(bytes: &[u8]) {
    if bytes.len() > ANSWER_BYTES {
        return;
    }
    WAY.with_borrow_mut(|way| {
        if way.is_none() {
            *way = Way::open();
        }
        let Some(way) = way else {
            panic!("no loopback connection");
        };
        if let Ok(mut answer) = way.answer.lock() {
            answer.clear();
            answer.extend(bytes);
        }
        let request = Request {
            method: Method::Post,
            uri: &way.uri,
            headers: &Headers::default(),
            key: None,
            body: b"{}",
        };
        match way.uplink.send(&request) {
            Ok(answer) => {
                // 101 is final too (RFC 9110, section 15.2.2); nobody asked for it, and nothing is delivered.
                assert!((101..=999).contains(&answer.status), "{}", answer.status);
                assert!(answer.body.len() <= bytes.len());
                let words = said(answer.body, Some(&way.key));
                assert!(words.len() <= 200 && !words.contains(KEY), "{words}");
                let asked = answer.retry_after_ms;
                assert!(
                    asked.is_none_or(|ms| (1_000..=3_600_000).contains(&ms)),
                    "{asked:?}"
                );
                planted_bug(answer.status == 204);
            }
            // The server is there and answers at once.
            Err(DeliveryError::Stopped) => panic!("nobody stops it"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}

/// Where an answer ends, by core's reader alone: in pieces of any size it says the same.
pub(crate) fn framing(bytes: &[u8]) {
    let Some((&piece, text)) = bytes.split_first() else {
        return;
    };
    let Ok(Some((head, length))) = Head::parse(text) else {
        return;
    };
    assert!((100..=999).contains(&head.status) && length <= text.len());
    let rest = &text[length..];
    let whole = read_body(head.body, rest, rest.len());
    assert_eq!(read_body(head.body, rest, usize::from(piece) + 1), whole);
    if let Ok((body, left, is_done)) = whole {
        assert!(body.len() + left <= rest.len());
        assert!(is_done || left == 0);
        planted_bug(is_done && body.len() == 1);
    }
}

/// The body, how many bytes are left behind it, and whether it is whole; of input that comes in
/// pieces.
fn read_body(
    mut body: Body,
    rest: &[u8],
    piece: usize,
) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < rest.len() && !body.is_done() {
        let input = &rest[at..rest.len().min(at + piece)];
        let (used, bytes) = body.read(input)?;
        assert!(used > 0 && used <= input.len());
        out.extend_from_slice(bytes);
        at += used;
    }
    Ok((out, rest.len() - at, body.is_done()))
}

/// The documented answer is a JSON object that says so, to any other reader too.
pub(crate) fn acceptance(bytes: &[u8]) {
    if is_documented_acceptance(bytes) {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
            assert_eq!(value["status"], "accepted");
        }
        planted_bug(bytes.contains(&b'['));
    }
}
