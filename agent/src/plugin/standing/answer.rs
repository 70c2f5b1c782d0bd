//! What a standing plugin answers, and what that means.
//!
//! Whatever is no answer to what was asked ends the process: after it nobody knows which answer
//! belongs to which request. An answer that says no does so only while the plugin gets ready.

use mote_core::json::{self, Object, Value};
use mote_core::{log_line, text};

use super::super::harvest::Harvest;
use super::super::live::Verdict;
use super::super::pipe::MAX_LINE_BYTES;
use super::Standing;
use super::ask::{Ask, HEALTH_EVERY_MS};
use crate::log;

/// From a closed output to the end of whoever should have ended by then.
const MUTE_MS: u64 = 1_000;
/// How much is kept of each thing that it says of its health.
const HEALTH_BYTES: usize = 200;
/// Events in one answer.
const MAX_EVENTS: usize = 256;

impl Standing {
    /// Takes in what it wrote since the last turn.
    pub(super) fn take_answers(&mut self, now_ms: u64, harvest: &mut Harvest) {
        while let Some(live) = &mut self.live {
            let Some(line) = live.answers.take() else {
                if live.answers.is_overlong() {
                    let words = format!("wrote a line of more than {MAX_LINE_BYTES} bytes");
                    live.end(Verdict::Misbehaved(words), now_ms);
                    live.process.kill(now_ms);
                }
                return;
            };
            if let Some(lines) = &mut self.transcript {
                lines.push(('<', line.clone()));
            }
            if line.trim_ascii().is_empty() || live.process.is_ending() {
                continue;
            }
            let Some(call) = self.call.take() else {
                // The answer to its last request, which nobody waits for.
                if self.stop_ms.is_none() {
                    let words = "wrote a line without being asked".to_owned();
                    live.end(Verdict::Misbehaved(words), now_ms);
                }
                continue;
            };
            let outcome = match json::read(&line, MAX_LINE_BYTES) {
                Ok(answer) => self.take_answer(call.ask, answer, now_ms, harvest),
                Err(error) => Err(format!(
                    "gave an answer to {} that is not JSON: {error}",
                    call.ask.action()
                )),
            };
            if let Err(words) = outcome
                && let Some(live) = &mut self.live
            {
                if call.ask == Ask::Execute {
                    // It is over as the process is.
                    self.call = Some(call);
                }
                live.end(Verdict::Misbehaved(words), now_ms);
            }
        }
    }

    /// Who closed its standard output and goes on will give no answer any more; returns when that
    /// is sure.
    pub(super) fn end_if_mute(&mut self, now_ms: u64) -> u64 {
        let Some(live) = &mut self.live else {
            return u64::MAX;
        };
        let is_awaited = live.process.end.is_none() && !live.process.is_ending();
        match live.closed_ms.map(|ms| ms.saturating_add(MUTE_MS)) {
            Some(mute_ms) if is_awaited && self.stop_ms.is_none() => {
                if now_ms >= mute_ms {
                    let words = "closed its standard output".to_owned();
                    live.end(Verdict::Misbehaved(words), now_ms);
                }
                mute_ms
            }
            _ => u64::MAX,
        }
    }

    /// The error is one that ends the process.
    fn take_answer(
        &mut self,
        ask: Ask,
        answer: Object<'_>,
        now_ms: u64,
        harvest: &mut Harvest,
    ) -> Result<(), String> {
        let is_good = answer.get("success").and_then(Value::as_bool) == Some(true);
        let why = || match answer.present("error").and_then(Value::as_str) {
            Some(error) => error.chars().take(500).collect(),
            None => "it gives no reason".to_owned(),
        };
        match ask {
            Ask::Info | Ask::Initialize | Ask::Start => {
                if !is_good {
                    return Err(format!("refused to {}: {}", ask.action(), why()));
                }
                if ask == Ask::Start {
                    (self.detect_ms, self.health_ms) = (now_ms, now_ms + HEALTH_EVERY_MS);
                    let fields = [("plugin", log_line::Value::Str(&self.id))];
                    log::info("Plugin started", &fields);
                }
            }
            Ask::Detect if is_good => self.take_events(answer, harvest),
            Ask::Detect => {
                self.tally.failures += 1;
                self.say(&format!("cannot detect: {}", why()));
            }
            Ask::Health => self.take_health(answer),
            Ask::Execute => {
                if let Some(job) = self.current.take() {
                    self.finish_by_answer(&job, answer, is_good, why(), now_ms, harvest);
                }
            }
        }
        self.reached = Some(if self.reached_start() {
            Ask::Start
        } else {
            ask
        });
        Ok(())
    }

    fn reached_start(&self) -> bool {
        self.reached == Some(Ask::Start)
    }

    fn take_events(&mut self, answer: Object<'_>, harvest: &mut Harvest) {
        let mut faults = None;
        let mut take = |value: Value<'_>| match value {
            Value::Object(object) => match harvest.take_event(object, &self.manifest.id) {
                Ok(true) => self.tally.events += 1,
                Ok(false) => {}
                Err(words) => faults = Some(words),
            },
            Value::Null => {}
            _ => faults = Some("an event that is no object"),
        };
        match answer.get("data") {
            Some(Value::Array(list)) => {
                list.elements().take(MAX_EVENTS).for_each(&mut take);
                if list.elements().nth(MAX_EVENTS).is_some() {
                    faults = Some("more than 256 events at once: the rest is dropped");
                }
            }
            Some(value) => take(value),
            None => {}
        }
        if let Some(words) = faults {
            self.tally.failures += 1;
            self.say(&format!("reported {words}"));
        } else {
            self.fault.clear();
        }
    }

    fn take_health(&mut self, answer: Object<'_>) {
        let data = answer.present("data").and_then(Value::as_object);
        let word = |key: &str| -> Option<String> {
            let text = data?.present(key)?.as_str()?;
            let text: String = text.chars().collect();
            // Cut after that: of a value that is not to be shown, no half is either.
            let shown = self.hidden.mask(&text);
            Some(text::cut(&shown, HEALTH_BYTES).to_owned())
        };
        let health = word("status").unwrap_or_else(|| "unknown".to_owned());
        if self.health.as_ref() != Some(&health) && (health != "healthy" || self.health.is_some()) {
            let fields = [
                ("plugin", log_line::Value::Str(&self.id)),
                ("health", log_line::Value::Str(&health)),
                (
                    "message",
                    log_line::Value::Str(&word("message").unwrap_or_default()),
                ),
            ];
            log::info("Plugin health", &fields);
        }
        self.health = Some(health);
    }
}
