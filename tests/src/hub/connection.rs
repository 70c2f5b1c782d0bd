//! The life of one connection: handshake, requests, an answer each.

use std::net::TcpStream;
use std::sync::Arc;

use serde_json::json;

use super::Answered;
use super::answer::Answer;
use super::conduct::{ACCEPTED, Exchange};
use super::http::{self, ReadError, Request};
use super::misbehave::Misbehaviour;
use super::orchestrator::Reply;
use super::record::Received;
use super::shared::Shared;
use super::strict::{self, Refusal, Rules};
use super::wire::{Line, Wire};

/// Serves a connection until either side has had enough of it.
pub(super) fn serve(shared: &Arc<Shared>, line: &Line, tcp: TcpStream, number: u64) {
    let conduct = shared.with(|state| state.mood.for_connection());
    let meter = Arc::clone(&shared.meter);
    let wire = Wire::plain(tcp, meter, shared.config.waits);
    match conduct {
        Some(Misbehaviour::RefuseConnections) => wire.reset(),
        Some(_) => wire.ignore(),
        None => {
            if let Some(wire) = shake_hands(shared, wire) {
                converse(shared, line, wire, number);
            }
        }
    }
}

fn shake_hands(shared: &Shared, wire: Wire) -> Option<Wire> {
    if shared.config.plain {
        return Some(wire);
    }
    let config = shared.with(|state| Arc::clone(&state.tls));
    match wire.handshake(config) {
        Ok(wire) => {
            shared.with(|state| {
                state.log.stats.handshakes += 1;
                state.log.stats.resumed += u64::from(wire.is_resumed());
            });
            Some(wire)
        }
        Err(error) => {
            shared.with(|state| state.log.handshake_failed(error.to_string()));
            None
        }
    }
}

fn converse(shared: &Shared, line: &Line, mut wire: Wire, connection: u64) {
    let mut buffer = Vec::new();
    for request_on_connection in 1.. {
        let request = match http::read_request(&mut wire, &mut buffer) {
            Ok(Some(request)) => request,
            // Cut from within: the end is ours, and a goodbye would soften it.
            Ok(None) if line.is_cut() => return,
            Ok(None) => return wire.close(),
            Err(ReadError::Io(_)) => return,
            Err(ReadError::Refused { status, words }) => {
                let attempt = Err(Refusal {
                    status,
                    words,
                    is_violation: true,
                });
                let (attempt, answer) = first_word(shared, attempt);
                let answer = Answer {
                    close: true,
                    ..answer
                };
                let is_reuse = request_on_connection > 1;
                Exchange {
                    shared,
                    line,
                    wire,
                    attempt,
                    answer,
                    is_reuse,
                }
                .carry_out(Misbehaviour::Normal);
                return;
            }
        };
        let is_last = request.last;
        let is_reuse = request_on_connection > 1;
        if let Some(reply) = orchestrate(shared, &request) {
            let answer = Answer {
                close: is_last,
                ..reply.answer
            };
            let exchange = Exchange {
                shared,
                line,
                wire,
                attempt: None,
                answer,
                is_reuse,
            };
            let conduct = if reply.conduct == Misbehaviour::Normal {
                shared.with(|state| state.mood.for_request())
            } else {
                reply.conduct
            };
            match exchange.carry_out(conduct) {
                Some(same) => wire = same,
                None => return,
            }
            continue;
        }
        let checked = check(shared, request).map(|attempt| Received {
            connection,
            request_on_connection,
            tls_version: wire.tls_version(),
            ..attempt
        });
        let (attempt, answer) = first_word(shared, checked);
        let answer = Answer {
            close: is_last,
            ..answer
        };
        let conduct = shared.with(|state| state.mood.for_request());
        let exchange = Exchange {
            shared,
            line,
            wire,
            attempt,
            answer,
            is_reuse,
        };
        match exchange.carry_out(conduct) {
            Some(same) => wire = same,
            None => return,
        }
    }
}

/// The orchestrator's reply, if the request is for that side of the hub.
fn orchestrate(shared: &Shared, request: &Request) -> Option<Reply> {
    let inside = request.path.strip_prefix(&shared.config.prefix)?;
    let rest = inside.strip_prefix("/agents/v1/")?;
    shared.with(|state| {
        let reply = state.book.as_mut()?.reply(request, rest);
        state.log.stats.requests += 1;
        if let Some(words) = &reply.violation {
            state.log.violation(words.clone());
        }
        Some(reply)
    })
}

/// Judges a request. What only its connection knows is left empty.
fn check(shared: &Shared, request: Request) -> Result<Received, Refusal> {
    let config = &shared.config;
    let rules = Rules {
        path: &shared.path,
        api_key: &config.api_key,
        form: config.form,
        absent_figures_allowed: config.absent_figures_allowed,
    };
    let passed = strict::check(&request, rules)?;
    let repeat = shared
        .with(|state| state.log.is_repeat(&passed.key, &request.body))
        .map_err(|words| Refusal {
            status: 409,
            words,
            is_violation: true,
        })?;
    Ok(Received {
        key: passed.key,
        body: passed.body,
        raw: request.body,
        when_ms: 0,
        connection: 0,
        request_on_connection: 0,
        status: 0,
        delivered: false,
        repeat,
        user_agent: passed.user_agent,
        tls_version: None,
    })
}

/// Counts the request, and has the answer of a good server to it.
fn first_word(shared: &Shared, checked: Result<Received, Refusal>) -> (Option<Received>, Answer) {
    shared.with(|state| {
        state.log.stats.requests += 1;
        match checked {
            Ok(attempt) => (Some(attempt), acceptance(shared.config.answer)),
            Err(refusal) => {
                let answer = Answer::json(refusal.status, &json!({ "error": refusal.words }));
                if refusal.is_violation {
                    state
                        .log
                        .violation(format!("{}: {}", refusal.status, refusal.words));
                }
                (None, answer)
            }
        }
    })
}

fn acceptance(answered: Answered) -> Answer {
    let mut answer = Answer::new(202, "");
    if answered == Answered::Accepted {
        answer.body = ACCEPTED.into();
        answer
            .headers
            .push(("Content-Type".into(), "application/json".into()));
    }
    answer
}
