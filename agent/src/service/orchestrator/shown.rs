//! What the face is told of the orchestrator: how it stands, what was done, what waits.

use crate::board::{Board, Figure};
use crate::state::Now;

use super::{Orchestrator, Standing};

impl Orchestrator {
    /// Puts it onto the board. Numbers are written each time, words when they changed.
    pub(super) fn tell(&self, board: &mut Board) {
        let shown = board.orchestrator.get_or_insert_default();
        shown.tell_words(self.plan.base.authority(), self.trouble());
        shown.standing = self.standing();
        // A reload makes a new server of it, which had no answer yet.
        shown.last_contact_ms = self.server.last_answer_ms().or(shown.last_contact_ms);
        shown.last_heartbeat_ms = self.last_heartbeat_ms;
        shown.last_poll_ms = self.last_poll_ms;
        shown.retry_at_ms = self.server.retry_at_ms();
        let held = self.desk.journal.counts();
        shown.figures = self.figures;
        for (figure, count) in [
            (Figure::InstructionsTaken, self.desk.taken()),
            (Figure::InstructionsRunning, self.desk.running() as u64),
            (Figure::EventsHeld, held.events),
            (Figure::EventsDropped, held.events_dropped),
            (Figure::ResultsHeld, held.results),
            (Figure::ResultsDropped, held.results_dropped),
            (Figure::Failures, self.failures().into()),
            (
                Figure::Connected,
                (self.standing() == Standing::Answering).into(),
            ),
        ] {
            shown.figures.add(figure, count);
        }
        shown.is_full = !self.desk.has_room_for_result(Now::read());
        shown.is_unwritable = self.cannot_act();
        shown.token = self.server.expiry();
        shown.certificate = self.certificate.expiry();
    }
}
