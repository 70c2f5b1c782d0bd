//! What the face shows of the orchestrator.
//!
//! Plain values, written by its client each time it looks what is due. Moments are
//! `CLOCK_BOOTTIME` milliseconds, counts are of this start of the agent, what is held is of now.

use crate::expiry::Expiry;
use crate::service::orchestrator::Standing;

use super::keep;

/// How the work for the orchestrator goes.
#[derive(Debug, Default)]
pub struct Orchestrator {
    /// Host, and port if it is not the usual one, without anything else of the URL.
    pub server: String,
    /// Where it stands.
    pub standing: Standing,
    /// Why the last call failed; empty if it did not.
    pub trouble: String,
    /// The last answer.
    pub last_contact_ms: Option<u64>,
    /// The last heartbeat that was taken.
    pub last_heartbeat_ms: Option<u64>,
    /// The last look for an instruction that was answered.
    pub last_poll_ms: Option<u64>,
    /// When the next call may be made, while none may.
    pub retry_at_ms: Option<u64>,
    /// What was done, and what waits.
    pub figures: Figures,
    /// There is no room for another result: no instruction is taken up.
    pub is_full: bool,
    /// The ledger cannot be written: no action runs.
    pub is_unwritable: bool,
    /// The end of the token.
    pub token: Option<Expiry>,
    /// The end of the certificate that is shown to it.
    pub certificate: Option<Expiry>,
}

/// A number of [`Figures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Heartbeats that were taken.
    Heartbeats,
    /// Looks for an instruction that were answered.
    Polls,
    /// Instructions taken up.
    InstructionsTaken,
    /// Results acknowledged.
    InstructionsReported,
    /// Events put into the journal.
    EventsJournaled,
    /// Events acknowledged.
    EventsSent,
    /// Events lost.
    EventsDropped,
    /// Results given up.
    ResultsDropped,
    /// Instructions that are being carried out.
    InstructionsRunning,
    /// Events that are not acknowledged.
    EventsHeld,
    /// Results that are not acknowledged.
    ResultsHeld,
    /// Failures since it last answered.
    Failures,
    /// 1 if it answers.
    Connected,
}

/// How many figures there are.
pub const FIGURES: usize = Figure::Connected as usize + 1;

/// A number for each [`Figure`], in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures(pub [u64; FIGURES]);

impl Figures {
    /// So many more.
    pub fn add(&mut self, figure: Figure, count: u64) {
        self.0[figure as usize] += count;
    }
}

impl Orchestrator {
    /// Takes the words that may have changed; equal ones cost a look.
    pub fn tell_words(&mut self, server: &str, trouble: &str) {
        for (place, words) in [(&mut self.server, server), (&mut self.trouble, trouble)] {
            if place != words {
                keep(place, words);
            }
        }
    }
}
