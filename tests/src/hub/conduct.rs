//! What each misbehaviour does on the wire, once a request was read whole.
//!
//! Every conduct ends in bounded time after its connection was cut or the hub stopped. What never
//! ends is written a few kilobytes a millisecond: it is to try the client's patience, not the
//! machine's.

use std::io::{self, Write};

use super::answer::Answer;
use super::misbehave::Misbehaviour;
use super::record::Received;
use super::shared::{Shared, now_ms};
use super::wire::{Line, Wire};

/// The body of the documented answer.
pub(super) const ACCEPTED: &str = r#"{"status":"accepted"}"#;

/// A request that waits for its answer.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) line: &'a Line,
    pub(super) wire: Wire,
    /// None if the request was refused.
    pub(super) attempt: Option<Received>,
    /// What a good server would say.
    pub(super) answer: Answer,
    /// It is not the connection's first.
    pub(super) is_reuse: bool,
}

impl Exchange<'_> {
    /// Answers in the given way. Gives the connection back if it goes on.
    pub(super) fn carry_out(mut self, conduct: Misbehaviour) -> Option<Wire> {
        use Misbehaviour as M;
        match conduct {
            M::Normal | M::SilentTls => self.finish(),
            M::Status {
                status,
                headers,
                body,
            } => {
                let answer = Answer {
                    headers,
                    ..Answer::new(status, body)
                };
                self.finish_with(answer)
            }
            M::RedirectTo { url } => {
                let headers = vec![("Location".to_owned(), url)];
                self.finish_with(Answer {
                    headers,
                    ..Answer::new(302, "")
                })
            }
            M::Delay { ms } => match self.shared.pause(ms, self.line) {
                Ok(()) => self.finish(),
                Err(_) => self.leave(),
            },
            M::Silent => {
                self.note(0, false);
                self.wire.ignore();
                None
            }
            M::SlowBody { byte_ms } => self.answer_slowly(byte_ms, true),
            M::SlowHeaders { byte_ms } => self.answer_slowly(byte_ms, false),
            M::ResetMidBody => {
                self.begin("Content-Length: 1000\r\n\r\n{\"status\":");
                self.wire.reset();
                None
            }
            M::CutBody => {
                self.begin("Content-Length: 1000\r\n\r\n{\"status\":");
                self.wire.close_without_goodbye();
                None
            }
            M::CutOpenBody => {
                self.begin("Connection: close\r\n\r\n{\"status\":\"acc");
                self.wire.close_without_goodbye();
                None
            }
            M::Garbage => {
                self.note(0, false);
                let garbage = b"\x00\xff\x13\x37 this is not HTTP\r\n\r\n\xfe\xfe";
                // If the client has gone, it has had its garbage.
                self.write(garbage).ok();
                self.wire.close();
                None
            }
            M::HugeHeader => {
                self.begin("X-Endless: ");
                self.repeat("and so on, ".repeat(372).as_bytes())
            }
            M::EndlessBody => {
                self.begin("Transfer-Encoding: chunked\r\n\r\n");
                self.repeat(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes())
            }
            M::Endless100 => {
                self.note(100, false);
                self.repeat("HTTP/1.1 100 Continue\r\n\r\n".repeat(160).as_bytes())
            }
            M::CloseIdle => {
                // Nothing is said of closing; that the client did not ask for it is the point.
                self.answer.close = false;
                self.finish()?.close();
                None
            }
            M::CloseOnReuse if !self.is_reuse => self.finish(),
            M::CloseOnReuse => self.leave(),
            M::RefuseConnections => {
                self.note(0, false);
                self.wire.reset();
                None
            }
        }
    }

    /// Remembers what was answered.
    fn note(&mut self, status: u16, is_whole: bool) {
        let attempt = self.attempt.take();
        self.shared.with(|state| {
            state.log.answered(status);
            if let Some(attempt) = attempt {
                let delivered = is_whole && (200..300).contains(&status);
                state.log.attempt(Received {
                    status,
                    delivered,
                    when_ms: now_ms(),
                    ..attempt
                });
            }
        });
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    fn finish_with(mut self, answer: Answer) -> Option<Wire> {
        self.answer = Answer {
            close: self.answer.close,
            ..answer
        };
        self.finish()
    }

    /// The answer, whole. It is remembered before it is sent: who has the answer in hand may ask
    /// the hub what it knows.
    fn finish(mut self) -> Option<Wire> {
        self.note(self.answer.status, true);
        self.write(&self.answer.to_bytes()).ok()?;
        if self.answer.close {
            self.wire.close();
            return None;
        }
        Some(self.wire)
    }

    /// Goes without a word.
    fn leave(mut self) -> Option<Wire> {
        self.note(0, false);
        self.wire.close();
        None
    }

    /// The head of a 202 and what follows it, of which the rest will never come.
    fn begin(&mut self, rest: &str) {
        self.note(202, false);
        let head = Answer::new(202, "").head();
        // A client that has gone already misses the rest as well.
        self.write((head + rest).as_bytes()).ok();
    }

    /// The same piece for ever.
    fn repeat(mut self, piece: &[u8]) -> Option<Wire> {
        while self.write(piece).is_ok() && self.shared.pause(1, self.line).is_ok() {}
        None
    }

    /// The answer a byte at a time; its head at once if only the body is to be slow.
    fn answer_slowly(mut self, byte_ms: u64, head_at_once: bool) -> Option<Wire> {
        if self.answer.body.is_empty() {
            self.answer.body = ACCEPTED.into();
        }
        let bytes = self.answer.to_bytes();
        let at_once = if head_at_once {
            bytes.len() - self.answer.body.len()
        } else {
            0
        };
        let mut all = self.write(&bytes[..at_once]);
        for byte in bytes[at_once..].chunks(1) {
            all = all
                .and_then(|()| self.shared.pause(byte_ms, self.line))
                .and_then(|()| self.write(byte));
        }
        self.note(self.answer.status, all.is_ok());
        all.ok()?;
        if self.answer.close {
            self.wire.close();
            return None;
        }
        Some(self.wire)
    }
}
