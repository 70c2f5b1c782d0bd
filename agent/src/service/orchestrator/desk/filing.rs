//! Results on their way into the journal, and the answer to whoever asks again.
//!
//! First the result is kept, then it is put into the journal, then the ledger has the end of the
//! attempt. While the journal has no room a result waits in memory, and its attempt stays under way
//! in the ledger: a start after a power cut then reports it.

use mote_core::log_line::Value;

use super::outcome::failure;
use super::{Desk, Task};
use crate::log;
use crate::state::Now;
use crate::state::journal::{Kind, PushError};

/// A result that is in memory only.
#[derive(Debug)]
pub(super) struct Unfiled {
    id: Box<str>,
    body: Vec<u8>,
    /// The attempt that the ledger has as under way until the result is in the journal: a start after
    /// a power cut then reports it.
    attempt: Option<u32>,
}

impl Desk {
    /// Keeps and files the result, then closes the attempt.
    pub(super) fn conclude(&mut self, task: &Task, body: Vec<u8>) {
        self.results.keep(&task.id, &body);
        self.file(&task.id, body, Some(task.attempt));
    }

    /// Reports what did not run, or what nobody knows of whether it did.
    pub(super) fn report_failure(&mut self, id: &str, words: &str) {
        let body = failure(id, words);
        self.results.keep(id, &body);
        self.file(id, body, None);
    }

    /// Whether `id` was answered, or taken up, before.
    pub(super) fn is_known(&mut self, id: &str) -> bool {
        self.ledger.attempts(id) > 0 || self.results.find(id).is_some() || self.is_filed(id)
    }

    /// The orchestrator asks again: it gets the same result again.
    pub(super) fn repeat(&mut self, id: &str) {
        let is_waiting = self.unfiled.iter().any(|result| *result.id == *id);
        if is_waiting || self.is_filed(id) {
            return;
        }
        log::info(
            "Instruction is known, its result is sent again",
            &[("instruction", Value::Str(id))],
        );
        if let Some(body) = self.results.find(id) {
            self.file(id, body, None);
        } else {
            let words = "it was taken up before, and its result is no longer kept";
            self.report_failure(id, words);
        }
    }

    /// Puts a result into the journal, or keeps it until there is room. Then the ledger has the
    /// attempt, if it is one, as finished.
    pub(super) fn file(&mut self, id: &str, body: Vec<u8>, attempt: Option<u32>) {
        let result = Unfiled {
            id: id.into(),
            body,
            attempt,
        };
        if let Err(error) = self.try_to_file(&result) {
            let words = error.to_string();
            let fields = [
                ("instruction", Value::Str(id)),
                ("error", Value::Str(&words)),
            ];
            log::error("Result not in the journal yet", &fields);
            self.unfiled.push(result);
        }
    }

    /// Tries again what the journal had no room for.
    pub(super) fn file_what_waits(&mut self) {
        for result in std::mem::take(&mut self.unfiled) {
            if self.try_to_file(&result).is_err() {
                self.unfiled.push(result);
            }
        }
    }

    /// A record is the id, a line end, the body.
    fn try_to_file(&mut self, result: &Unfiled) -> Result<(), PushError> {
        let Unfiled { id, body, attempt } = result;
        let record = [id.as_bytes(), b"\n", body].concat();
        self.journal.push(Kind::Result, &record, Now::read())?;
        if let Some(attempt) = attempt {
            self.ledger.finish(id, *attempt);
        }
        Ok(())
    }

    /// Whether a result of `id` is on its way.
    pub(super) fn is_filed(&mut self, id: &str) -> bool {
        let held: Vec<u64> = self
            .journal
            .unacknowledged(Kind::Result)
            .map(|(entry, _)| entry)
            .collect();
        let mut buffer = Vec::new();
        let mut is_its = |entry| {
            let record = self.journal.read(entry, &mut buffer);
            record.and_then(split).is_some_and(|(found, _)| found == id)
        };
        held.into_iter().any(&mut is_its)
    }
}

/// A result's id and body, as the journal holds it.
pub(in crate::service::orchestrator) fn split(record: &[u8]) -> Option<(&str, &[u8])> {
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let id = str::from_utf8(&record[..end]).ok()?;
    Some((id, &record[end + 1..]))
}
