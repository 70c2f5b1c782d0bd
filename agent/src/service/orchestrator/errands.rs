//! Instructions, as calls: the look for one, and the word that one is taken up.
//!
//! What becomes of them is the desk's. An instruction that cannot be announced runs all the same:
//! the result will say that it did.

use mote_core::log_line::Value;
use mote_core::wire::orchestrator::{AnswerError, Poll, instruction_id_in};

use super::Orchestrator;
use super::desk::Permission;
use super::server::Said;
use crate::board::Figure;
use crate::clock;
use crate::log;
use crate::uplink::Method;

impl Orchestrator {
    /// Says that an instruction is taken up, and lets it run unless it was withdrawn.
    pub(super) fn announce(&mut self) {
        let Some((id, body)) = self.desk.announcement() else {
            return;
        };
        let path = format!("/instructions/{id}");
        let permission = match self.server.call(Method::Put, &path, &body) {
            Said::Refused(404 | 409) => Permission::Withdrawn,
            Said::Good | Said::Nothing | Said::Refused(_) => Permission::Run,
            // Not a word about the instruction: it waits for a key that is taken.
            Said::KeyRefused | Said::Stopped => return,
        };
        self.desk.announced(&id, permission, clock::boot_ms());
    }

    /// Asks for an instruction.
    pub(super) fn poll(&mut self) {
        let interval_ms = self.settings.orchestrator.poll_interval_ms;
        let said = self.server.call(Method::Get, "/instructions", &[]);
        let now_ms = clock::boot_ms();
        if said == Said::Good {
            self.figures.add(Figure::Polls, 1);
            self.last_poll_ms = Some(now_ms);
        }
        match said {
            Said::Good => match Poll::read(self.server.answer()) {
                Ok(poll) => {
                    self.poll_ms = now_ms + poll.next_poll_ms.unwrap_or(interval_ms);
                    if let Some(instruction) = poll.instruction {
                        self.desk.take_up(instruction);
                    }
                }
                Err(error) => {
                    self.poll_ms = now_ms + interval_ms;
                    self.not_understood(error);
                }
            },
            Said::Refused(_) => self.poll_ms = now_ms + interval_ms,
            Said::Nothing | Said::KeyRefused | Said::Stopped => {}
        }
    }

    /// What an answer brings that cannot be read is reported as failed, if it has a name: it would
    /// be handed out for ever.
    pub(super) fn not_understood(&mut self, error: AnswerError) {
        let words = self.server.why_unread(error);
        if let Some(id) = instruction_id_in(self.server.answer()) {
            return self.desk.refuse(id, &words);
        }
        log::error(
            "Orchestrator's answer is not understood",
            &[("error", Value::Str(&words))],
        );
    }
}
