//! What a sensor or action agent and its orchestrator say to each other, all of it JSON objects.
//!
//! | the agent says | written by | the answer is read by |
//! | --- | --- | --- |
//! | who it is | [`Registration::write`] | – |
//! | that it lives | [`Heartbeat::write`] | – |
//! | what is there for it to do? | – | [`Poll::read`], [`Instruction::read`] |
//! | it is taken up | [`write_executing`] | – |
//! | what became of it | [`Outcome::write`] | [`ResultAnswer::read`] |
//! | what happened on the device | [`write_events`] | [`EventsAnswer::read`] |
//!
//! Objects that are only passed on (`input_data`, `context`, `variables`, `output_data`, events)
//! keep the text they came as. What an instruction says is checked before anything is done with it:
//! ids are parts of paths, entry points stay inside their folder, the environment cannot change
//! what a program loads, and whoever it is not meant for refuses it. Of an answer that cannot be read
//! at all, [`instruction_id_in`] finds whom to report as failed.
//!
//! Nothing here sends, decides when, or runs anything.

mod answer;
mod instruction;
mod outcome;
mod presence;
mod salvage;
#[cfg(test)]
mod tests;
mod write;

pub use answer::{ANSWER_BYTES, AnswerError, EventsAnswer, Poll, ResultAnswer};
pub use instruction::{
    ENTRY_POINT_BYTES, Instruction, InstructionKind, Reason, Recipient, Refused, Source, may_be_set,
};
pub use outcome::{Execution, Installation, Outcome, OutcomeStatus, write_events, write_executing};
pub use presence::{Heartbeat, HeartbeatStatus, Registration};
pub use salvage::instruction_id_in;
pub use write::{Entry, ObjectWriter};

/// Longest id of an agent, an instruction or a plugin, in bytes.
pub const ID_BYTES: usize = 64;

/// Whether `text` can be an id: 1 to 64 letters, digits, dots, dashes and underscores, and not of
/// dots alone. It is a part of paths and URLs and so may have nothing that means something there.
pub fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ID_BYTES).contains(&text.len())
        && text.bytes().all(is_plain)
        && text.bytes().any(|byte| byte != b'.')
}
