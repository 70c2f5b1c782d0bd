//! What follows from an answer, or from none, for the calls after it: when the next may be made, and
//! what is said of it.
//!
//! A failure is waited out, longer each time, and never shorter than the server asks for. A key that
//! is refused is read again where it came from. Delays are milliseconds, moments `CLOCK_BOOTTIME`.

use mote_core::log_line::Value;
use mote_core::outage::{Failure, Layer};

use super::{Server, Standing};
use crate::clock;
use crate::log;
use crate::service::said;

/// Refused calls that are remembered: as many as there are kinds of them.
const REFUSED_MOST: usize = 6;

impl Server {
    /// It answers.
    pub(super) fn answered(&mut self) {
        let now_ms = clock::boot_ms();
        self.last_answer_ms = Some(now_ms);
        if let Some(outage) = self.outages.delivered(now_ms) {
            log::info(
                "Orchestrator is back",
                &[
                    ("failures", Value::Uint(outage.failures.into())),
                    ("away_ms", Value::Uint(outage.duration_ms())),
                    ("layers", Value::Str(&outage.layers().to_string())),
                ],
            );
        }
        self.standing = Standing::Answering;
        self.backoff.reset();
        self.not_before_ms = 0;
        self.trouble.clear();
    }

    /// Says that this call is refused, once.
    pub(super) fn say_refused(&mut self, path: &str, status: u16) {
        let is_it = |(refused, before): &(Box<str>, u16)| **refused == *path && *before == status;
        if self.refused.iter().any(is_it) {
            return;
        }
        if self.refused.len() >= REFUSED_MOST {
            self.refused.remove(0);
        }
        self.refused.push((path.into(), status));
        let words = self.words();
        log::warn(
            "Orchestrator refuses a call",
            &[
                ("path", Value::Str(path)),
                ("status_code", Value::Uint(status.into())),
                ("answer", Value::Str(&words)),
            ],
        );
    }

    /// It did not answer, or not usefully; `asked_ms` is how long it wants to be left alone.
    pub(super) fn failed(&mut self, asked_ms: Option<u64>, layer: &str, words: &str) {
        let now_ms = clock::boot_ms();
        self.standing = Standing::Away;
        let backoff_ms = self.backoff.fail(&mut self.rng);
        // Later than asked, never earlier, and not all in the same moment.
        let in_ms = asked_ms.map_or(backoff_ms, |asked| asked + self.rng.below(asked / 5 + 1));
        self.not_before_ms = now_ms + in_ms;
        words.clone_into(&mut self.trouble);
        let attempt = self.backoff.failures();
        let fields = [
            ("layer", Value::Str(layer)),
            ("error", Value::Str(words)),
            ("attempt", Value::Uint(attempt.into())),
            ("retry_in_ms", Value::Uint(in_ms)),
        ];
        if attempt > self.max_attempts {
            log::error("Orchestrator is away", &fields);
        } else {
            log::warn("Orchestrator not reached", &fields);
        }
    }

    /// Keys are changed on servers first; where this one came from may have the new one by now.
    pub(super) fn key_refused(&mut self, status: u16) {
        if self.credential.read_again() {
            self.renew_headers();
            self.not_before_ms = 0;
            return;
        }
        let now_ms = clock::boot_ms();
        self.note_failure(Some(Layer::Http), status);
        let in_ms = self.backoff.capped(&mut self.rng);
        self.not_before_ms = now_ms + in_ms;
        self.trouble = format!("it refuses the key ({status})");
        if self.standing != Standing::KeyRefused {
            self.standing = Standing::KeyRefused;
            let words = self.words();
            log::error(
                "Orchestrator refuses the key: check api.auth",
                &[
                    ("status_code", Value::Uint(status.into())),
                    ("answer", Value::Str(&words)),
                    ("retry_in_ms", Value::Uint(in_ms)),
                ],
            );
        }
    }

    /// Tells the black box of the outage.
    pub(super) fn note_failure(&mut self, layer: Option<Layer>, code: u16) {
        if let Some(layer) = layer {
            let boot_ms = clock::boot_ms();
            self.outages.failed(Failure {
                layer,
                code,
                boot_ms,
            });
        }
    }

    /// What the server said in its last answer, cut, and without the key if it repeats it.
    pub(in crate::service::orchestrator) fn words(&self) -> String {
        said(&self.answer, self.credential.secret())
    }
}
