//! What became of an instruction, as the body of its result.
//!
//! Text only: the same result makes the same bytes, and they are kept.

use mote_core::wire::orchestrator::{
    Entry, Execution, Installation, Instruction, Outcome, OutcomeStatus,
};

use super::{INTERRUPTED, Task};
use crate::clock;
use crate::plugin::{Finished, Status};

/// An end of a run, in the orchestrator's words.
pub(super) const fn status(status: Status) -> OutcomeStatus {
    match status {
        Status::Completed => OutcomeStatus::Completed,
        Status::TimedOut => OutcomeStatus::Timeout,
        Status::Failed | Status::Interrupted => OutcomeStatus::Failed,
    }
}

/// The result of what ran.
pub(super) fn outcome_of(
    task: &Task,
    finished: &Finished,
    instruction: Option<&Instruction<'_>>,
) -> Vec<u8> {
    let logs: Vec<&str> = finished.logs.iter().map(String::as_str).collect();
    let error = match finished.status {
        Status::Completed => None,
        Status::Interrupted => Some(INTERRUPTED),
        _ => Some(finished.error.as_deref().unwrap_or("failed")),
    };
    // Room for the output, and for as much of what was logged as is usual.
    let mut body = Vec::with_capacity(finished.output.len() + 2_048);
    let outcome = Outcome {
        instruction_id: &task.id,
        status: status(finished.status),
        start_ms: finished.started_ms,
        end_ms: finished.ended_ms,
        duration_ms: finished.duration_ms,
        logs: &logs,
        execution: Some(Execution {
            plugin_id: instruction.map_or("", |instruction| instruction.plugin_id),
            output_data: &finished.output,
            exit_code: finished.exit_code,
        }),
        installation: None::<Installation<'_>>,
        error_message: error,
        error_details: None,
        execution_log: &task.entries(),
        correlation_id: instruction.and_then(|instruction| instruction.correlation_id),
        traceparent: instruction.and_then(|instruction| instruction.traceparent),
    };
    let Ok(()) = outcome.write(&mut body);
    body
}

/// The result of what never ran, or of what nobody knows whether it did.
pub(super) fn failure(id: &str, words: &str) -> Vec<u8> {
    let entry = Entry {
        wall_ms: clock::wall_ms(),
        words,
    };
    failed_with(id, words, &[entry])
}

pub(super) fn failed_with(id: &str, words: &str, log: &[Entry<'_>]) -> Vec<u8> {
    let now_ms = clock::wall_ms();
    let outcome = Outcome {
        instruction_id: id,
        status: OutcomeStatus::Failed,
        start_ms: log.first().map_or(now_ms, |entry| entry.wall_ms),
        end_ms: now_ms,
        duration_ms: 0,
        logs: &[],
        execution: None,
        installation: None,
        error_message: Some(words),
        error_details: None,
        execution_log: log,
        correlation_id: None,
        traceparent: None,
    };
    let mut body = Vec::new();
    let Ok(()) = outcome.write(&mut body);
    body
}
