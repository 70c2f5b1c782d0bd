//! The hub's side door for people with curl: what it got, how it is, what it should do next.
//!
//! Plain HTTP on a loopback address, one request a connection. `GET /samples`, `GET /stats`,
//! `POST /misbehave` (`{"name":"status","status":503,"times":2}`), `POST /certificate`
//! (`{"name":"expired"}`), `POST /tls` (`{"name":"1.2"}`). An orchestrator has `GET /messages` and
//! `POST /instructions` (an instruction) besides, and a `route` in `/misbehave`: register,
//! heartbeat, poll, executing, result, events. Asks for no key, hence no other address.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::Answer;
use super::http::{self, ReadError, Request};
use super::misbehave::{Misbehaviour, Order};
use super::orchestrator::{Book, Route};
use super::shared::Shared;
use super::tls::{Certificate, TlsVersions};

/// How long a client may take; there is one thread for all of them.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running side door.
#[derive(Debug)]
pub(super) struct Control {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    pub(super) fn start(wanted: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        if !wanted.ip().is_loopback() {
            let words = format!("control listens on loopback only, not on {}", wanted.ip());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        let listener = TcpListener::bind(wanted)?;
        let address = listener.local_addr()?;
        let serve = move || {
            for guest in listener.incoming().flatten() {
                if shared.is_stopping() {
                    return;
                }
                // A client that breaks off has only itself to tell.
                answer(&shared, guest).ok();
            }
        };
        let thread = thread::Builder::new()
            .name("hub control".into())
            .spawn(serve)?;
        Ok(Self {
            address,
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the thread. The hub must be stopping already.
    pub(super) fn join(&mut self) {
        // Wakes the thread from its accept; fails only if it has gone.
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn answer(shared: &Shared, mut guest: TcpStream) -> io::Result<()> {
    guest.set_read_timeout(Some(PATIENCE))?;
    guest.set_write_timeout(Some(PATIENCE))?;
    let answer = match http::read_request(&mut guest, &mut Vec::new()) {
        Ok(Some(request)) => route(shared, &request)
            .unwrap_or_else(|(status, words)| Answer::json(status, &json!({ "error": words }))),
        Ok(None) => return Ok(()),
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Refused { status, words }) => {
            Answer::json(status, &json!({ "error": words }))
        }
    };
    guest.write_all(
        &Answer {
            close: true,
            ..answer
        }
        .to_bytes(),
    )?;
    guest.shutdown(Shutdown::Write)
}

/// `{"name":"..."}` of one of the names of `T`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<T> {
    name: T,
}

fn route(shared: &Shared, request: &Request) -> Result<Answer, (u16, String)> {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/samples") => {
            let samples = shared.with(|state| json!(state.log.attempts));
            Ok(Answer::json(200, &samples))
        }
        ("GET", "/stats") => Ok(Answer::json(200, &stats(shared))),
        ("POST", "/misbehave") => {
            let order: Order = read(&request.body)?;
            let (times, route) = (order.times, order.route);
            let misbehaviour = order.into_misbehaviour().map_err(|words| (400, words))?;
            if let Some(route) = route {
                misbehave_at(shared, route, misbehaviour, times)?;
                return Ok(Answer::json(200, &stats(shared)));
            }
            match times {
                Some(times) => shared.with(|state| {
                    let again = std::iter::repeat_n(misbehaviour, times.into());
                    state.mood.script.extend(again);
                }),
                None => shared.misbehave(misbehaviour),
            }
            Ok(Answer::json(200, &stats(shared)))
        }
        ("GET", "/messages") => {
            let messages = with_book(shared, |book| json!(book.messages))?;
            Ok(Answer::json(200, &messages))
        }
        ("POST", "/instructions") => {
            let instruction: Value = read(&request.body)?;
            let waiting = with_book(shared, |book| {
                book.give(instruction);
                book.waiting()
            })?;
            Ok(Answer::json(200, &json!({ "waiting": waiting })))
        }
        ("POST", "/certificate") => {
            let Named { name } = read::<Named<Certificate>>(&request.body)?;
            shared
                .set_tls(Some(name), None)
                .map_err(|error| (500, error.to_string()))?;
            Ok(Answer::json(200, &stats(shared)))
        }
        ("POST", "/tls") => {
            let Named { name } = read::<Named<TlsVersions>>(&request.body)?;
            shared
                .set_tls(None, Some(name))
                .map_err(|error| (500, error.to_string()))?;
            Ok(Answer::json(200, &stats(shared)))
        }
        (method, path) => Err((404, format!("{method} {path} does nothing here"))),
    }
}

fn misbehave_at(
    shared: &Shared,
    route: Route,
    misbehaviour: Misbehaviour,
    times: Option<u16>,
) -> Result<(), (u16, String)> {
    with_book(shared, |book| {
        if let Some(times) = times {
            let again = std::iter::repeat_n(misbehaviour, times.into());
            book.scripts.entry(route).or_default().extend(again);
        } else {
            book.standing.insert(route, misbehaviour);
        }
    })
}

fn with_book<T>(shared: &Shared, change: impl FnOnce(&mut Book) -> T) -> Result<T, (u16, String)> {
    let done = shared.with(|state| state.book.as_mut().map(change));
    done.ok_or_else(|| (404, "this hub is no orchestrator".to_owned()))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|error| (400, error.to_string()))
}

fn stats(shared: &Shared) -> Value {
    shared.with(|state| {
        let mut stats = json!(shared.stats_of(state));
        if let Value::Object(fields) = &mut stats {
            fields.insert("violation_texts".into(), json!(state.log.violations));
            fields.insert("handshake_errors".into(), json!(state.log.handshake_errors));
            fields.insert(
                "misbehaviour".into(),
                format!("{:?}", state.mood.standing).into(),
            );
            fields.insert("script_left".into(), state.mood.script.len().into());
            fields.insert("certificate".into(), json!(state.certificate));
            fields.insert("tls".into(), json!(state.tls_versions));
        }
        stats
    })
}
