//! Instructions: taken up, carried out at most once, reported for certain.
//!
//! In this order: the ledger has the attempt on disk, the orchestrator is told (or cannot be), the
//! plugin runs, the result is kept and in the journal, the ledger has its end. So whatever ends
//! the agent in between, no attempt runs twice, and each instruction that was taken up is reported:
//! one whose end was not seen as failed, "may or may not have run".
//!
//! An id that was seen before is answered with the result that it had, byte for byte. What failed
//! in passing (the plugin could not be started, or ended with code 75, `EX_TEMPFAIL`) is tried again
//! as a new attempt, up to `max_retries` times. An instruction that is not taken now, for want of
//! room, stays with the orchestrator.

use mote_core::json::{self, Object, Value as JsonValue};
use mote_core::log_line::Value;
use mote_core::text;
use mote_core::wire::orchestrator::{
    ANSWER_BYTES, Entry, Execution, Installation, Instruction, InstructionKind, Outcome,
    OutcomeStatus, Recipient, write_executing,
};

use super::results::Results;
use crate::clock;
use crate::config::Settings;
use crate::config::settings::AgentType;
use crate::log;
use crate::plugin::{Action, Finished, PluginError, Plugins, RunId, Status};
use crate::state::journal::{Journal, Kind, PushError};
use crate::state::ledger::{Ledger, LedgerError, Process};
use crate::state::{Now, State};

/// Room that a result may need in the journal.
const RESULT_BYTES: usize = 160 * 1024;
/// Instructions that wait here; more stay with the orchestrator.
const MAX_TASKS: usize = 16;
/// Before another attempt at what failed in passing; twice as long each time.
const RETRY_FIRST_MS: u64 = 1_000;
const RETRY_MOST_MS: u64 = 60_000;
/// `EX_TEMPFAIL` of sysexits.h: try again later.
const EXIT_TEMPORARY: i32 = 75;
/// How much is logged of what should be an id.
const BAD_ID_BYTES: usize = 128;
/// What is said of an attempt whose end nobody saw.
const INTERRUPTED: &str = "interrupted: may or may not have run";

/// What instructions go through.
#[derive(Debug)]
pub(super) struct Desk {
    agent_id: String,
    organization_id: Option<String>,
    agent_type: AgentType,
    max_running: usize,
    timeout_ms: u64,
    plugins_dir: String,
    tasks: Vec<Task>,
    /// Results and events on their way.
    pub(super) journal: Journal,
    ledger: Ledger,
    results: Results,
    /// Results that the journal had no room for.
    unfiled: Vec<Unfiled>,
    /// What the last instruction had for an id that has none.
    bad_id: Option<Box<str>>,
    taken: u64,
}

/// A result that is in memory only.
#[derive(Debug)]
struct Unfiled {
    id: Box<str>,
    body: Vec<u8>,
    /// The attempt that the ledger has as under way until the result is in the journal: a start after
    /// a power cut then reports it.
    attempt: Option<u32>,
}

/// An instruction that was taken up and is not reported yet.
#[derive(Debug)]
struct Task {
    id: Box<str>,
    text: Box<str>,
    attempt: u32,
    /// Starts that came to nothing.
    false_starts: u32,
    stage: Stage,
    log: Vec<(u64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The orchestrator is to be told.
    Announce,
    /// It may run, from then on.
    Ready(u64),
    /// It runs.
    Running(RunId),
}

/// What an answer to the announcement means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// It may run.
    Run,
    /// The orchestrator has it no more.
    Withdrawn,
}

impl Desk {
    /// Opens journal and ledger of `state`, and clears up what an earlier start left.
    pub(super) fn open(settings: &Settings, state: &State, plugins: &mut Plugins) -> Self {
        let now = Now::read();
        let agent = &settings.orchestrator;
        let mut desk = Self {
            agent_id: agent.agent_id.clone().unwrap_or_default(),
            organization_id: agent.organization_id.clone(),
            agent_type: agent.agent_type.unwrap_or(AgentType::Sensor),
            max_running: 1,
            timeout_ms: 0,
            plugins_dir: settings.plugins_dir().display().to_string(),
            tasks: Vec::new(),
            journal: state.journal(now),
            ledger: state.ledger(now),
            results: Results::open(state.folder()),
            unfiled: Vec::new(),
            bad_id: None,
            taken: 0,
        };
        desk.reconfigure(settings);
        desk.clear_up(state, plugins);
        desk
    }

    /// Goes on with other settings.
    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        let agent = &settings.orchestrator;
        let most = agent
            .max_concurrent_tasks
            .min(settings.plugins.max_concurrent);
        self.max_running = usize::try_from(most).unwrap_or(1).max(1);
        self.timeout_ms = agent.task_timeout_ms;
        self.organization_id.clone_from(&agent.organization_id);
    }

    /// Whether the orchestrator is to be asked for an instruction.
    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < self.max_running
            && self.unfiled.is_empty()
            && self.text_bytes() < ANSWER_BYTES
    }

    /// What the instructions are held in.
    fn text_bytes(&self) -> usize {
        self.tasks.iter().map(|task| task.text.len()).sum()
    }

    /// Whether actions can run: what the heartbeat is to warn of otherwise.
    pub(super) fn is_writable(&self) -> bool {
        self.ledger.is_writable()
    }

    /// Instructions taken up since the agent's start.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Those that are being carried out.
    pub(super) fn running(&self) -> usize {
        let running = |task: &&Task| matches!(task.stage, Stage::Running(_));
        self.tasks.iter().filter(running).count()
    }

    /// Whether another result can be kept: without that no instruction is taken up.
    pub(super) fn has_room_for_result(&self, now: Now) -> bool {
        // Events make room, so it is results alone that can fill the journal.
        let is_empty = self.journal.counts().results == 0;
        self.unfiled.is_empty() && (is_empty || self.journal.has_room(RESULT_BYTES, now))
    }

    /// Instructions that were taken up and are not reported yet.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.len()
    }

    fn recipient(&self) -> Recipient<'_> {
        Recipient {
            agent_id: &self.agent_id,
            organization_id: self.organization_id.as_deref(),
        }
    }

    /// Reports what an earlier start left, and kills what still runs of it.
    fn clear_up(&mut self, state: &State, plugins: &mut Plugins) {
        let left: Vec<_> = self.ledger.unfinished().to_vec();
        for attempt in left {
            if let (Some(process), true) = (attempt.process, attempt.boot_id == state.boot_id) {
                plugins.kill_left_over(process.group, process.start_ticks);
            }
            let id = &attempt.id;
            let body = self.results.find(id).unwrap_or_else(|| {
                log::warn(
                    "An instruction was interrupted by the end of the agent",
                    &[
                        ("instruction", Value::Str(id)),
                        ("attempt", Value::Uint(attempt.attempt.into())),
                    ],
                );
                let body = failure(id, INTERRUPTED);
                // Whoever asks for it again is to get these bytes.
                self.results.keep(id, &body);
                body
            });
            if self.is_filed(id) {
                self.ledger.finish(id, attempt.attempt);
            } else {
                self.file(id, body, Some(attempt.attempt));
            }
        }
    }

    /// Takes an instruction up, or reports why not.
    pub(super) fn take_up(&mut self, object: Object<'_>) {
        let read = Instruction::read(object, self.recipient());
        let id = match &read {
            Ok(instruction) => instruction.id,
            Err(refused) => match refused.id {
                Some(id) => id,
                None => return self.say_bad_id(object, &refused.reason.to_string()),
            },
        };
        if !self.is_news(id) {
            return;
        }
        let checked = read.map_err(|refused| refused.reason.to_string());
        match checked.and_then(|instruction| self.check(&instruction)) {
            Ok(()) => self.begin(id, object.raw()),
            Err(words) => self.turn_down(id, &words),
        }
    }

    /// Reports an instruction of which no more than its id is known as failed.
    pub(super) fn refuse(&mut self, id: &str, words: &str) {
        if self.is_news(id) {
            self.turn_down(id, words);
        }
    }

    /// Whether `id` is to be looked at: it is none of those that are here or were, and there is
    /// room for what becomes of it.
    fn is_news(&mut self, id: &str) -> bool {
        if self.tasks.iter().any(|task| &*task.id == id) {
            return false;
        }
        if self.is_known(id) {
            self.repeat(id);
            return false;
        }
        let is_full = self.tasks.len() >= MAX_TASKS || self.text_bytes() >= ANSWER_BYTES;
        if is_full || !self.journal.has_room(RESULT_BYTES, Now::read()) {
            log::warn(
                "Instruction left with the orchestrator, there is no room for it or its result",
                &[("instruction", Value::Str(id))],
            );
            return false;
        }
        true
    }

    fn turn_down(&mut self, id: &str, words: &str) {
        log::warn(
            "Instruction refused",
            &[
                ("instruction", Value::Str(id)),
                ("error", Value::Str(words)),
            ],
        );
        self.report_failure(id, words);
    }

    /// Whether this agent does such things at all.
    fn check(&self, instruction: &Instruction<'_>) -> Result<(), String> {
        match instruction.kind {
            InstructionKind::Execute if self.agent_type.has_actions() => Ok(()),
            InstructionKind::Execute => Err("this agent is a sensor: it executes nothing".into()),
            InstructionKind::Install | InstructionKind::Update => Err(format!(
                "this agent installs nothing by instruction: put the plugin into {}",
                self.plugins_dir
            )),
        }
    }

    fn begin(&mut self, id: &str, text: &str) {
        if let Err(error) = self.ledger.begin(id, 1, Now::read()) {
            let words = error.to_string();
            let fields = [
                ("instruction", Value::Str(id)),
                ("error", Value::Str(&words)),
            ];
            log::error("Instruction not carried out", &fields);
            return match error {
                // It may have run: what became of it is not known here.
                LedgerError::Repeated { .. } => self.repeat(id),
                LedgerError::BadId | LedgerError::NotWritten(_) => self.report_failure(id, &words),
            };
        }
        self.taken += 1;
        log::info("Instruction taken up", &[("instruction", Value::Str(id))]);
        let mut task = Task {
            id: id.into(),
            text: text.into(),
            attempt: 1,
            false_starts: 0,
            stage: Stage::Announce,
            log: Vec::new(),
        };
        task.note("taken up");
        self.tasks.push(task);
    }

    /// The instruction that the orchestrator is to be told of: its id, and the message.
    pub(super) fn announcement(&self) -> Option<(Box<str>, Vec<u8>)> {
        let task = self
            .tasks
            .iter()
            .find(|task| task.stage == Stage::Announce)?;
        let mut body = Vec::new();
        let Ok(()) = write_executing(&mut body, &task.entries());
        Some((task.id.clone(), body))
    }

    /// Whether there is one.
    pub(super) fn has_announcement(&self) -> bool {
        self.tasks.iter().any(|task| task.stage == Stage::Announce)
    }

    /// The orchestrator was told of `id`, or could not be.
    pub(super) fn announced(&mut self, id: &str, permission: Permission, now_ms: u64) {
        let Some(at) = self.tasks.iter().position(|task| &*task.id == id) else {
            return;
        };
        match permission {
            Permission::Run => self.tasks[at].stage = Stage::Ready(now_ms),
            Permission::Withdrawn => {
                let task = self.tasks.remove(at);
                self.ledger.finish(&task.id, task.attempt);
                log::warn(
                    "Instruction not carried out, the orchestrator has it no more",
                    &[("instruction", Value::Str(id))],
                );
            }
        }
    }

    /// Starts what may run and takes in what ended; returns when to look again.
    pub(super) fn turn(&mut self, plugins: &mut Plugins, now_ms: u64) -> u64 {
        self.ledger.turn();
        while let Some(finished) = plugins.take_finished() {
            self.finished(finished, now_ms);
        }
        for result in std::mem::take(&mut self.unfiled) {
            if self.try_to_file(&result).is_err() {
                self.unfiled.push(result);
            }
        }
        let mut next_ms = u64::MAX;
        let mut at = 0;
        while at < self.tasks.len() {
            let has_place = self.running() < self.max_running;
            match self.tasks[at].stage {
                Stage::Ready(from_ms) if has_place => {
                    let from_ms = from_ms.max(plugins.start_from_ms(now_ms));
                    let before = self.tasks.len();
                    if now_ms >= from_ms {
                        self.start(at, plugins, now_ms);
                    } else {
                        next_ms = next_ms.min(from_ms);
                    }
                    at += usize::from(self.tasks.len() == before);
                }
                _ => at += 1,
            }
        }
        next_ms.min(self.journal.turn(Now::read()))
    }

    /// Reports everything that was taken up: nothing of it runs any more.
    pub(super) fn stop(&mut self, plugins: &mut Plugins) {
        while let Some(finished) = plugins.take_finished() {
            // The end is not the time for another attempt.
            let is_it = |task: &Task| task.stage == Stage::Running(finished.run);
            if let Some(at) = self.tasks.iter().position(is_it) {
                self.end(at, finished);
            }
        }
        while let Some(task) = self.tasks.first() {
            let words = match task.stage {
                Stage::Running(_) => INTERRUPTED,
                Stage::Announce | Stage::Ready(_) => "the agent stopped before it ran",
            };
            self.give_up(0, words);
        }
        self.journal.close(Now::read());
    }

    fn start(&mut self, at: usize, plugins: &mut Plugins, now_ms: u64) {
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

    fn finished(&mut self, finished: Finished, now_ms: u64) {
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
    fn end(&mut self, at: usize, finished: Finished) {
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
    fn give_up(&mut self, at: usize, words: &str) {
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

    /// Keeps and files the result, then closes the attempt.
    fn conclude(&mut self, task: &Task, body: Vec<u8>) {
        self.results.keep(&task.id, &body);
        self.file(&task.id, body, Some(task.attempt));
    }

    fn report_failure(&mut self, id: &str, words: &str) {
        let body = failure(id, words);
        self.results.keep(id, &body);
        self.file(id, body, None);
    }

    /// Whether `id` was answered, or taken up, before.
    fn is_known(&mut self, id: &str) -> bool {
        self.ledger.attempts(id) > 0 || self.results.find(id).is_some() || self.is_filed(id)
    }

    /// The orchestrator asks again: it gets the same result again.
    fn repeat(&mut self, id: &str) {
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
    fn file(&mut self, id: &str, body: Vec<u8>, attempt: Option<u32>) {
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
    fn is_filed(&mut self, id: &str) -> bool {
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

    /// What has no id that can stand in a URL cannot be reported; each is said once in a row.
    fn say_bad_id(&mut self, object: Object<'_>, words: &str) {
        let id = object.get("id").map_or("", JsonValue::raw);
        let id = text::cut(id, BAD_ID_BYTES);
        if self.bad_id.as_deref() == Some(id) {
            return;
        }
        self.bad_id = Some(id.into());
        log::error(
            "An instruction cannot be reported and is ignored",
            &[("id", Value::Str(id)), ("error", Value::Str(words))],
        );
    }
}

impl Task {
    fn note(&mut self, words: &str) {
        self.log.push((clock::wall_ms(), words.to_owned()));
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        entries(&self.log)
    }
}

/// A result's id and body, as the journal holds it.
pub(super) fn split(record: &[u8]) -> Option<(&str, &[u8])> {
    let end = record.iter().position(|byte| *byte == b'\n')?;
    let id = str::from_utf8(&record[..end]).ok()?;
    Some((id, &record[end + 1..]))
}

fn entries(log: &[(u64, String)]) -> Vec<Entry<'_>> {
    log.iter()
        .map(|(wall_ms, words)| Entry {
            wall_ms: *wall_ms,
            words,
        })
        .collect()
}

fn delay_ms(tries: u32) -> u64 {
    let factor = 1_u64 << tries.saturating_sub(1).min(10);
    (RETRY_FIRST_MS * factor).min(RETRY_MOST_MS)
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

const fn status(status: Status) -> OutcomeStatus {
    match status {
        Status::Completed => OutcomeStatus::Completed,
        Status::TimedOut => OutcomeStatus::Timeout,
        Status::Failed | Status::Interrupted => OutcomeStatus::Failed,
    }
}

/// The result of what ran.
fn outcome_of(task: &Task, finished: &Finished, instruction: Option<&Instruction<'_>>) -> Vec<u8> {
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
fn failure(id: &str, words: &str) -> Vec<u8> {
    let entry = Entry {
        wall_ms: clock::wall_ms(),
        words,
    };
    failed_with(id, words, &[entry])
}

fn failed_with(id: &str, words: &str, log: &[Entry<'_>]) -> Vec<u8> {
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
