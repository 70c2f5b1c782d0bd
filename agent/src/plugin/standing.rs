//! A standing plugin: one long-lived process that is asked, one request at a time.
//!
//! Requests and answers are JSON objects, one a line: `get_info`, `initialize`, `start` in that
//! order, then `detect_triggers` each interval, `get_health` each half minute and `execute_action` as
//! they come (`standing/ask.rs`, `standing/job.rs`), and at the end `stop`. Moments are
//! `CLOCK_BOOTTIME` milliseconds.
//!
//! Whatever breaks the exchange ends the process: no answer in time, an answer that nobody asked
//! for, that is no JSON, or that is too long; after one of these nobody knows which answer belongs
//! to which request (`standing/answer.rs`). A process that ended is started again after a delay that
//! grows with each failure (`standing/life.rs`). A trigger runs always, an action plugin from its
//! first action on.
//!
//! Where events wait already, or the orchestrator's buffer is full, no trigger is asked: nothing is
//! detected that could not be kept.

mod answer;
mod ask;
mod job;
mod life;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use mote_core::backoff::Backoff;
use mote_core::log_line;
use nix::poll::PollFlags;

use super::error::PluginError;
use super::harvest::Harvest;
use super::hidden::Hidden;
use super::live::{Live, Verdict};
use super::manifest::{Kind, Manifest};
use super::options;
use super::pipe::MAX_UNSENT_BYTES;
use super::process;
use super::report::{State, Tally};
use super::scope::Scope;
use crate::log::{self, SideLog};
use ask::{Ask, Call};
pub(super) use job::Job;
use life::AGAIN_MS;

/// From the wish to stop to SIGTERM.
const STOP_MS: u64 = 2_000;
/// Where a trigger may not be asked, this is how long until that is looked at again.
const HELD_MS: u64 = 1_000;

/// One such plugin.
#[derive(Debug)]
pub(super) struct Standing {
    /// The name of its folder.
    pub id: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its process, if there is one.
    pub live: Option<Live>,
    /// Its counts.
    pub tally: Tally,
    /// What it last said of itself: healthy, degraded, unhealthy.
    pub health: Option<String>,
    /// It runs although nobody needs it yet.
    pub(super) is_wanted: bool,
    /// What was asked (`>`) and answered (`<`), if somebody wants to read it.
    pub(super) transcript: Option<Vec<(char, Vec<u8>)>>,
    /// What of its configuration is not to be shown.
    pub(super) hidden: Hidden,
    folder: PathBuf,
    command: Vec<OsString>,
    configuration: String,
    call: Option<Call>,
    /// The last request that was answered.
    reached: Option<Ask>,
    /// CPU time at the last request.
    cpu_from_ms: u64,
    current: Option<Job>,
    waiting: VecDeque<Job>,
    log: Option<SideLog>,
    backoff: Backoff,
    /// When it may be started.
    start_ms: u64,
    started_ms: u64,
    detect_ms: u64,
    health_ms: u64,
    /// Told to stop: then SIGTERM is due.
    stop_ms: Option<u64>,
    /// The last failure, until something goes well.
    fault: String,
}

impl Standing {
    /// The plugin in `folder`, whose manifest is `manifest`. Nothing is started yet.
    pub(super) fn new(
        id: String,
        folder: PathBuf,
        manifest: Manifest,
        scope: &Scope,
    ) -> Result<Self, PluginError> {
        let entry = &manifest.entry_point;
        let command = process::command(&folder, entry, manifest.interpreter);
        let command =
            command.map_err(|words| PluginError::File(format!("{}: {words}", folder.display())))?;
        let by_id = scope
            .options
            .config_dir
            .join(format!("{}.yaml", manifest.id));
        let by_folder = scope.options.config_dir.join(format!("{id}.yaml"));
        let path = if by_id.exists() { by_id } else { by_folder };
        let (configuration, hidden) = options::configuration(&manifest.options, &path)?;
        if configuration.len() > MAX_UNSENT_BYTES / 2 {
            let words = format!("{}: more than a plugin can be given", path.display());
            return Err(PluginError::File(words));
        }
        let log = SideLog::new(scope.log_path(&id));
        let manifest_kind = manifest.kind;
        Ok(Self {
            id,
            manifest,
            live: None,
            tally: Tally::default(),
            health: None,
            is_wanted: manifest_kind == Kind::Trigger,
            transcript: None,
            hidden,
            folder,
            command,
            configuration,
            call: None,
            reached: None,
            cpu_from_ms: 0,
            current: None,
            waiting: VecDeque::new(),
            log: Some(log),
            backoff: Backoff::new(AGAIN_MS.0, AGAIN_MS.1, 200),
            start_ms: 0,
            started_ms: 0,
            detect_ms: 0,
            health_ms: 0,
            stop_ms: None,
            fault: String::new(),
        })
    }

    /// What it is doing.
    pub(super) fn state(&self) -> State {
        match (&self.live, self.reached) {
            (None, _) if !self.fault.is_empty() => State::Failed,
            (None, _) => State::Down,
            (Some(live), _) if self.stop_ms.is_some() || live.process.is_ending() => {
                State::Stopping
            }
            (Some(_), None | Some(Ask::Info | Ask::Initialize)) => State::Starting,
            (Some(_), Some(_)) => State::Running,
        }
    }

    /// Its last failure, if nothing went well since.
    pub(super) fn fault(&self) -> Option<&str> {
        (!self.fault.is_empty()).then_some(&self.fault)
    }

    /// Whether it was told to stop for good.
    pub(super) fn is_leaving(&self) -> bool {
        self.stop_ms.is_some()
    }

    /// Asks it how it is as soon as it may be asked.
    pub(super) fn ask_health_now(&mut self, now_ms: u64) {
        self.health_ms = now_ms;
    }

    /// Whether it is asked for triggers right now.
    pub(super) fn is_detecting(&self) -> bool {
        self.call.is_some_and(|call| call.ask == Ask::Detect)
    }

    /// What poll(2) is to look at.
    pub(super) fn watch<'a>(&'a self, each: &mut dyn FnMut(BorrowedFd<'a>, PollFlags)) {
        if let Some(live) = &self.live {
            live.watch(each);
        }
    }

    /// Ends it if it uses more than it may. Looked at each second.
    pub(super) fn hold_to_limits(&mut self, scope: &Scope, now_ms: u64) {
        let call_ms = scope.call_ms(self.manifest.execution_ms);
        let max_cpu_ms = scope.max_cpu_ms(self.manifest.cpu_permille, call_ms);
        let max_bytes = scope.max_memory_bytes(self.manifest.memory_bytes);
        if let Some(live) = &mut self.live {
            live.hold_to(max_bytes, max_cpu_ms, self.cpu_from_ms, now_ms);
        }
    }

    /// Asks it to stop, for good.
    pub(super) fn begin_stop(&mut self, now_ms: u64) {
        if self.stop_ms.is_some() {
            return;
        }
        self.stop_ms = Some(now_ms.saturating_add(STOP_MS));
        let Some(live) = &mut self.live else {
            return;
        };
        if self.call.is_some() {
            // Whoever is at work does not read.
            live.end(Verdict::Stopped, now_ms);
            return;
        }
        live.verdict.get_or_insert(Verdict::Stopped);
        let request = b"{\"action\":\"stop\"}";
        if let Some(lines) = &mut self.transcript {
            lines.push(('>', request.to_vec()));
        }
        live.send(request);
        // An empty line is its end too.
        live.send(b"");
        live.finish_input();
    }

    /// Does what is due; returns when something is due next.
    pub(super) fn turn(&mut self, now_ms: u64, scope: &mut Scope, harvest: &mut Harvest) -> u64 {
        let mut due_ms = u64::MAX;
        if let Some(live) = &mut self.live {
            due_ms = live.turn(now_ms);
            self.take_answers(now_ms, harvest);
            due_ms = due_ms.min(self.end_if_mute(now_ms));
        }
        self.keep_deadlines(now_ms, harvest);
        if self
            .live
            .as_ref()
            .is_some_and(|live| live.process.is_gone(now_ms))
        {
            self.bury(now_ms, scope, harvest);
            due_ms = u64::MAX;
        }
        let is_wanted = self.is_wanted || self.jobs() > 0;
        let is_down = self.live.is_none() && self.stop_ms.is_none();
        let start_ms = self.start_ms.max(harvest.start_from_ms);
        if is_down && is_wanted && now_ms >= start_ms {
            harvest.start_from_ms = now_ms + 1;
            self.start(now_ms, scope, harvest);
        }
        self.ask_next(now_ms, scope, harvest);
        // What was asked is written at once.
        if let Some(live) = &mut self.live {
            due_ms = due_ms.min(live.turn(now_ms));
        } else if is_wanted && self.stop_ms.is_none() {
            due_ms = self.start_ms.max(harvest.start_from_ms);
        }
        due_ms.min(self.next_ms(now_ms))
    }

    /// When one of its own deadlines or schedules is due.
    fn next_ms(&self, now_ms: u64) -> u64 {
        let jobs = self.waiting.iter().chain(&self.current);
        let job_ms = jobs
            .map(|job| job.started_ms.saturating_add(job.timeout_ms))
            .min();
        let mut due_ms = job_ms.unwrap_or(u64::MAX);
        let Some(live) = self.live.as_ref().filter(|live| !live.process.is_ending()) else {
            return due_ms;
        };
        if live.process.end.is_some() {
            return due_ms;
        }
        if let Some(stop_ms) = self.stop_ms {
            return stop_ms;
        }
        match self.call {
            Some(call) => due_ms = due_ms.min(call.deadline_ms),
            None if self.state() == State::Running => {
                if self.manifest.kind == Kind::Trigger {
                    due_ms = due_ms.min(self.detect_ms.max(now_ms.saturating_add(HELD_MS)));
                    if self.detect_ms > now_ms {
                        due_ms = due_ms.min(self.detect_ms);
                    }
                }
                due_ms = due_ms.min(self.health_ms);
            }
            None => {}
        }
        due_ms
    }

    fn keep_deadlines(&mut self, now_ms: u64, harvest: &mut Harvest) {
        if let Some(live) = &mut self.live {
            if let Some(call) = self.call
                && now_ms >= call.deadline_ms
            {
                live.end(Verdict::TimedOut(call.allowed_ms), now_ms);
            }
            if self.stop_ms.is_some_and(|stop_ms| now_ms >= stop_ms) {
                live.end(Verdict::Stopped, now_ms);
            }
        }
        self.drop_overdue(now_ms, harvest);
    }

    /// Logs a failure, once while it stays the same.
    fn say(&mut self, words: &str) {
        let words = self.hidden.mask(words);
        if self.fault == words {
            return;
        }
        self.fault = words;
        let fields = [
            ("plugin", log_line::Value::Str(&self.id)),
            ("error", log_line::Value::Str(&self.fault)),
        ];
        log::warn("Plugin failed", &fields);
    }
}
