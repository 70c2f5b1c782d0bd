//! Results and events: offered to the orchestrator until it has them.
//!
//! The journal holds them (`state/journal.rs`); oldest first, one result or a batch of events at a
//! time. A 2xx is a yes unless its body says no, and so is 409 to a result. What is refused is
//! offered again later (`postponed.rs`), and dropped when that was done often enough: what is refused
//! for its contents sooner than what is refused for reasons that may pass. Of a batch that is refused
//! for its contents, smaller ones tell which event is at fault.

use mote_core::json;
use mote_core::log_line::Value;
use mote_core::wire::orchestrator::{EventsAnswer, ResultAnswer, write_events};

use super::Orchestrator;
use super::desk::split;
use super::server::Said;
use crate::board::Figure;
use crate::clock;
use crate::log;
use crate::state::Now;
use crate::state::journal::Kind;
use crate::uplink::Method;

/// Events in one request, in bytes; one that is longer goes alone.
const BATCH_BYTES: usize = 48 * 1024;
/// An event of a plugin is a line of at most so many bytes.
const EVENT_BYTES: usize = 64 * 1024;
/// How often a message is offered that the orchestrator refuses for what it says.
const TRIES_BAD: u32 = 3;
/// And one that it refuses for reasons that may pass.
const TRIES: u32 = 20;

impl Orchestrator {
    /// The oldest entry that may go.
    pub(super) fn next_of(&self, kind: Kind, now_ms: u64) -> Option<u64> {
        let mut entries = self.desk.journal.unacknowledged(kind);
        entries
            .find(|(id, _)| self.postponed.may_go(*id, now_ms))
            .map(|(id, _)| id)
    }

    /// When events are due: at once if a batch is full.
    pub(super) fn events_due_ms(&self, now_ms: u64) -> u64 {
        let held = self.desk.journal.counts().events;
        if held == 0 || self.next_of(Kind::Event, now_ms).is_none() {
            return self.postponed.next_ms(now_ms);
        }
        let is_full = held >= self.settings.orchestrator.batch_size;
        match self.events_ms {
            Some(due_ms) if !is_full => due_ms,
            _ => now_ms,
        }
    }

    /// Takes in what a plugin reported.
    pub(super) fn take_event(&mut self, event: &[u8], now_ms: u64) {
        if let Err(error) = self.desk.journal.push(Kind::Event, event, Now::read()) {
            let words = error.to_string();
            log::error("Event dropped", &[("error", Value::Str(&words))]);
            return;
        }
        self.figures.add(Figure::EventsJournaled, 1);
        let wait_ms = self.settings.orchestrator.flush_interval_ms;
        self.events_ms.get_or_insert(now_ms + wait_ms);
    }

    /// Offers the oldest result that may go.
    pub(super) fn report_result(&mut self) {
        let now_ms = clock::boot_ms();
        let Some(entry) = self.next_of(Kind::Result, now_ms) else {
            return;
        };
        let mut buffer = Vec::new();
        let record = self.desk.journal.read(entry, &mut buffer);
        let Some((id, body)) = record.and_then(split) else {
            self.desk.journal.acknowledge(entry);
            return;
        };
        let path = format!("/instructions/{id}/result");
        match self.server.call(Method::Post, &path, body) {
            Said::Good => {
                let answer = ResultAnswer::read(self.server.answer());
                if answer.as_ref().is_ok_and(|answer| !answer.acknowledged) {
                    let id = id.to_owned();
                    return self.put_off(entry, Figure::ResultsDropped, TRIES, &id, 200);
                }
                log::info("Result delivered", &[("instruction", Value::Str(id))]);
                self.figures.add(Figure::InstructionsReported, 1);
                self.desk.journal.acknowledge(entry);
                self.postponed.forget(entry);
                match answer.map(|answer| answer.next_instruction) {
                    Ok(Some(next)) => self.desk.take_up(next),
                    Ok(None) => {}
                    Err(error) => self.not_understood(error),
                }
            }
            Said::Refused(409) => {
                self.figures.add(Figure::InstructionsReported, 1);
                self.settle(entry);
            }
            Said::Refused(status) => {
                let most = match status {
                    400 | 413 | 415 | 422 => TRIES_BAD,
                    _ => TRIES,
                };
                let id = id.to_owned();
                self.put_off(entry, Figure::ResultsDropped, most, &id, status);
            }
            Said::KeyRefused | Said::Nothing | Said::Stopped => {}
        }
    }

    /// Offers the oldest events that may go.
    pub(super) fn report_events(&mut self) {
        let now_ms = clock::boot_ms();
        let batch = self.batch(now_ms);
        if batch.is_empty() {
            self.events_ms = None;
            return;
        }
        let mut body = Vec::new();
        let texts = batch.iter().map(|(_, text)| text.as_str());
        let Ok(()) = write_events(&mut body, &self.plan.agent_id, texts);
        match self.server.call(Method::Post, "/events", &body) {
            Said::Good => self.events_taken(&batch),
            Said::Refused(status) => {
                let is_bad = matches!(status, 400 | 413 | 415 | 422);
                if is_bad && batch.len() > 1 {
                    // One of them is at fault, or they are too many: which, smaller batches tell.
                    self.batch_most = batch.len() / 2;
                    return;
                }
                let most = if is_bad { TRIES_BAD } else { u32::MAX };
                for (entry, text) in &batch {
                    let id = event_id(text);
                    self.put_off(*entry, Figure::EventsDropped, most, &id, status);
                }
            }
            Said::KeyRefused | Said::Nothing | Said::Stopped => {}
        }
    }

    /// The oldest events that may go, as many as fit into a request.
    fn batch(&mut self, now_ms: u64) -> Vec<(u64, String)> {
        let size = usize::try_from(self.settings.orchestrator.batch_size).unwrap_or(1);
        let size = size.min(self.batch_most).max(1);
        let mut bytes = 0;
        let journal = &mut self.desk.journal;
        let ids: Vec<u64> = journal
            .unacknowledged(Kind::Event)
            .filter(|(id, _)| self.postponed.may_go(*id, now_ms))
            .take(size)
            .take_while(|(_, length)| {
                let is_first = bytes == 0;
                bytes += length;
                is_first || bytes <= BATCH_BYTES
            })
            .map(|(id, _)| id)
            .collect();
        let mut batch = Vec::with_capacity(ids.len());
        for id in ids {
            let mut buffer = Vec::new();
            let event = journal.read(id, &mut buffer);
            match event.and_then(|event| str::from_utf8(event).ok()) {
                Some(text) => batch.push((id, text.to_owned())),
                None => drop(journal.acknowledge(id)),
            }
        }
        batch
    }

    fn events_taken(&mut self, batch: &[(u64, String)]) {
        let answer = self.server.answer().to_vec();
        let failed = match EventsAnswer::read(&answer) {
            Ok(answer) => {
                let has_failed = |text: &str| answer.has_failed(&event_id(text));
                let failed: Vec<bool> = batch.iter().map(|(_, text)| has_failed(text)).collect();
                failed
            }
            // A 2xx is a yes, whatever else it says.
            Err(_) => vec![false; batch.len()],
        };
        let mut taken = 0_u64;
        for ((entry, text), failed) in batch.iter().zip(failed) {
            if failed {
                let id = event_id(text);
                self.put_off(*entry, Figure::EventsDropped, TRIES, &id, 200);
            } else {
                self.settle(*entry);
                taken += 1;
            }
        }
        self.figures.add(Figure::EventsSent, taken);
        log::info("Events delivered", &[("events", Value::Uint(taken))]);
        self.batch_most = usize::MAX;
        let left = self.desk.journal.counts().events;
        self.events_ms = (left > 0).then(clock::boot_ms);
    }

    /// The entry is the orchestrator's now.
    fn settle(&mut self, entry: u64) {
        self.desk.journal.acknowledge(entry);
        self.postponed.forget(entry);
    }

    /// Offers the entry again later, or drops it if that was done often enough; `lost` counts that.
    fn put_off(&mut self, entry: u64, lost: Figure, most: u32, id: &str, status: u16) {
        let good_answers = self.server.good_answers();
        let tries = self
            .postponed
            .put_off(entry, good_answers, clock::boot_ms());
        let dropped = tries >= most;
        if dropped {
            self.settle(entry);
        }
        let words = self.server.words();
        log::error(
            "Orchestrator did not take it",
            &[
                ("id", Value::Str(id)),
                ("status_code", Value::Uint(status.into())),
                ("answer", Value::Str(&words)),
                ("tries", Value::Uint(tries.into())),
                ("dropped", Value::Bool(dropped)),
            ],
        );
        self.figures.add(lost, dropped.into());
    }
}

/// The id of an event; empty if it has none.
fn event_id(text: &str) -> String {
    let event = json::read(text.as_bytes(), EVENT_BYTES).ok();
    let id = event.and_then(|event| event.present("id")?.as_str());
    id.map(|id| id.chars().collect()).unwrap_or_default()
}
