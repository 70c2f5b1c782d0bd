//! Instructions: taken up, carried out at most once, reported for certain.
//!
//! In this order: the ledger has the attempt on disk, the orchestrator is told (or cannot be), the
//! plugin runs (`desk/run.rs`), the result is kept and in the journal, the ledger has its end
//! (`desk/filing.rs`). So whatever ends the agent in between, no attempt runs twice, and each
//! instruction that was taken up is reported: one whose end was not seen as failed, "may or may not
//! have run".
//!
//! An id that was seen before is answered with the result that it had, byte for byte. What failed
//! in passing (the plugin could not be started, or ended with code 75, `EX_TEMPFAIL`) is tried again
//! as a new attempt, up to `max_retries` times. An instruction that is not taken now, for want of
//! room, stays with the orchestrator.

mod filing;
mod outcome;
mod run;

use mote_core::json::{Object, Value as JsonValue};
use mote_core::log_line::Value;
use mote_core::text;
use mote_core::wire::orchestrator::{
    ANSWER_BYTES, Entry, Instruction, InstructionKind, Recipient, write_executing,
};

use crate::clock;
use crate::config::Settings;
use crate::config::settings::AgentType;
use crate::log;
use crate::plugin::{Plugins, RunId};
use crate::state::journal::Journal;
use crate::state::ledger::{Ledger, LedgerError};
use crate::state::results::Results;
use crate::state::{Now, State};
use filing::Unfiled;
pub(super) use filing::split;
use outcome::failure;

/// Room that a result may need in the journal.
const RESULT_BYTES: usize = 160 * 1024;
/// Instructions that wait here; more stay with the orchestrator.
const MAX_TASKS: usize = 16;
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
            results: state.results(),
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
        self.file_what_waits();
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

fn entries(log: &[(u64, String)]) -> Vec<Entry<'_>> {
    log.iter()
        .map(|(wall_ms, words)| Entry {
            wall_ms: *wall_ms,
            words,
        })
        .collect()
}
