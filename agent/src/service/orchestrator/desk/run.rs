//! One instruction carried out: handed to its plugin, and what it ended with.
//!
//! What failed in passing is tried again, as a new attempt if something ran. Delays are milliseconds.

use mote_core::json::{self, Object};
use mote_core::log_line::Value;
use mote_core::wire::orchestrator::{ANSWER_BYTES, Instruction, Recipient};

use super::outcome::{failed_with, outcome_of, status};
use super::{Desk, Stage, Task};
use crate::log;
use crate::plugin::{Action, Finished, PluginError, Plugins, RunId, Status};
use crate::state::Now;
use crate::state::ledger::Process;

/// Before another attempt at what failed in passing; twice as long each time.
const RETRY_FIRST_MS: u64 = 1_000;
const RETRY_MOST_MS: u64 = 60_000;
/// `EX_TEMPFAIL` of sysexits.h: try again later.
const EXIT_TEMPORARY: i32 = 75;

impl Desk {
    /// Hands the task to its plugin.
    pub(super) fn start(&mut self, at: usize, plugins: &mut Plugins, now_ms: u64) {
        let task = &self.tasks[at];
        let recipient = Recipient {
            agent_id: &self.agent_id,
            organization_id: self.organization_id.as_deref(),
        };
        let text = task.text.clone();
        let read = json::read(text.as_bytes(), ANSWER_BYTES).ok();
        let instruction = read.and_then(|object| Instruction::read(object, recipient).ok());
        let Some(instruction) = instruction else {
            // The settings changed since it was taken up, and it is somebody else's now.
            return self.give_up(at, "the agent's configuration changed meanwhile");
        };
        let timeout_ms = instruction.timeout_ms.unwrap_or(self.timeout_ms);
        match start_action(&instruction, timeout_ms, plugins, now_ms) {
            Ok(run) => {
                if let Some((group, start_ticks)) = plugins.process_of(run) {
                    let process = Process { group, start_ticks };
                    self.ledger.started(&task.id, task.attempt, process);
                }
                let task = &mut self.tasks[at];
                task.note("started");
                task.stage = Stage::Running(run);
                let fields = [
                    ("instruction", Value::Str(instruction.id)),
                    ("plugin", Value::Str(instruction.plugin_id)),
                    ("attempt", Value::Uint(task.attempt.into())),
                    (
                        "correlation_id",
                        Value::Str(instruction.correlation_id.unwrap_or_default()),
                    ),
                ];
                log::info("Instruction started", &fields);
            }
            Err(PluginError::Busy(_)) => {
                self.tasks[at].stage = Stage::Ready(now_ms + RETRY_FIRST_MS);
            }
            Err(error) => {
                // Nothing ran: the attempt is still to be made.
                let task = &mut self.tasks[at];
                task.false_starts += 1;
                let words = error.to_string();
                task.note(&words);
                let tries = task.false_starts;
                if error.is_temporary() && tries <= instruction.max_retries {
                    task.stage = Stage::Ready(now_ms + delay_ms(tries));
                } else {
                    self.give_up(at, &words);
                }
            }
        }
    }

    /// A run ended: the task did too, or it is tried again.
    pub(super) fn finished(&mut self, finished: Finished, now_ms: u64) {
        let is_it = |task: &Task| task.stage == Stage::Running(finished.run);
        let Some(at) = self.tasks.iter().position(is_it) else {
            return;
        };
        let task = &mut self.tasks[at];
        let words = match finished.status {
            Status::Completed => "completed",
            _ => finished.error.as_deref().unwrap_or("failed"),
        };
        task.note(words);
        let text = task.text.clone();
        let recipient = self.recipient();
        let read = json::read(text.as_bytes(), ANSWER_BYTES).ok();
        let instruction = read.and_then(|object| Instruction::read(object, recipient).ok());
        let retries = instruction.as_ref().map_or(0, |it| it.max_retries);
        let (id, attempt) = (self.tasks[at].id.clone(), self.tasks[at].attempt);
        let is_temporary = finished.exit_code == Some(EXIT_TEMPORARY)
            && finished.status == Status::Failed
            && attempt <= retries;
        if is_temporary {
            // The next attempt is on disk before this one is done with: between the two the
            // instruction is never without one that is to be reported.
            if self.ledger.begin(&id, attempt + 1, Now::read()).is_ok() {
                self.ledger.finish(&id, attempt);
                let task = &mut self.tasks[at];
                task.attempt += 1;
                task.stage = Stage::Ready(now_ms + delay_ms(attempt));
                log::warn(
                    "Instruction is tried again",
                    &[
                        ("instruction", Value::Str(&id)),
                        ("attempt", Value::Uint(u64::from(attempt) + 1)),
                    ],
                );
                return;
            }
        }
        self.end(at, finished);
    }

    /// Reports what came of the task.
    pub(super) fn end(&mut self, at: usize, finished: Finished) {
        let task = self.tasks.remove(at);
        let read = json::read(task.text.as_bytes(), ANSWER_BYTES).ok();
        let instruction = read.and_then(|object| Instruction::read(object, self.recipient()).ok());
        let body = outcome_of(&task, &finished, instruction.as_ref());
        log::info(
            "Instruction ended",
            &[
                ("instruction", Value::Str(&task.id)),
                ("status", Value::Str(status(finished.status).as_str())),
                ("took_ms", Value::Uint(finished.duration_ms)),
            ],
        );
        drop(finished);
        self.conclude(&task, body);
    }

    /// Ends a task that did not run.
    pub(super) fn give_up(&mut self, at: usize, words: &str) {
        let task = self.tasks.remove(at);
        log::error(
            "Instruction failed",
            &[
                ("instruction", Value::Str(&task.id)),
                ("error", Value::Str(words)),
            ],
        );
        let body = failed_with(&task.id, words, &task.entries());
        self.conclude(&task, body);
    }
}

fn start_action(
    instruction: &Instruction<'_>,
    timeout_ms: u64,
    plugins: &mut Plugins,
    now_ms: u64,
) -> Result<RunId, PluginError> {
    let arguments: Vec<String> = instruction
        .arguments
        .iter()
        .flat_map(|list| list.elements())
        .filter_map(|value| Some(value.as_str()?.chars().collect()))
        .collect();
    let environment: Vec<(String, String)> = instruction
        .environment
        .iter()
        .flat_map(|object| object.members())
        .filter_map(|(name, value)| {
            let value = value.as_str()?;
            Some((name.chars().collect(), value.chars().collect()))
        })
        .collect();
    let entrypoint: Option<String> = instruction.entry_point.map(|path| path.chars().collect());
    let action = Action {
        id: instruction.id,
        plugin_id: instruction.plugin_id,
        entrypoint: entrypoint.as_deref(),
        arguments: &arguments,
        environment: &environment,
        timeout_ms,
        input_data: instruction.input_data.map(Object::raw),
        context: instruction.context.map(Object::raw),
        variables: instruction.variables.map(Object::raw),
        correlation_id: instruction.correlation_id,
        traceparent: instruction.traceparent,
    };
    plugins.start_action(&action, now_ms)
}

fn delay_ms(tries: u32) -> u64 {
    let factor = 1_u64 << tries.saturating_sub(1).min(10);
    (RETRY_FIRST_MS * factor).min(RETRY_MOST_MS)
}
