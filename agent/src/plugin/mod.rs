//! Plugins: somebody else's programs, run beside the agent and never trusted by it.
//!
//! `installed.rs`, `manifest.rs` and `options.rs` say which plugins there are, what each is and what
//! it is told; `process.rs`, `sandbox.rs`, `reaper.rs`, `tree.rs` and `census.rs` start processes,
//! wall them in, and make sure that none is left; `pipe.rs`, `words.rs` and `live.rs` talk with them;
//! `standing.rs` is the exchange with a plugin that stays, `task.rs` one that runs once, and
//! `dispatch.rs` finds which of them an action is for; `event.rs` and `action.rs` are what comes out;
//! `active.rs` does what is due.
//!
//! [`Plugins`] lives in the reactor: [`Plugins::watch`] names what poll(2) is to look at and
//! [`Plugins::turn`] does what is due. Nothing here ever waits, sends, or retries an action: the
//! orchestrator's client takes events and results, and decides. Moments are `CLOCK_BOOTTIME`
//! milliseconds.

pub mod action;
mod active;
pub mod by_hand;
mod census;
mod dispatch;
mod error;
pub mod event;
mod harvest;
mod hidden;
mod installed;
mod left_over;
mod live;
pub mod manifest;
pub mod options;
mod pipe;
mod process;
mod quote;
mod reaper;
mod report;
pub mod sandbox;
pub mod scope;
pub mod setup;
mod shelf;
mod standing;
mod task;
mod text_file;
mod tree;
mod watch;
mod words;
mod work;

use std::fs::DirBuilder;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;

use mote_core::log_line::Value;
use nix::poll::PollFlags;

pub use action::{Action, Finished, RunId, Status};
pub use error::PluginError;
pub use event::Sender;
pub use report::{PluginReport, State, Tally};
pub use scope::{MAX_PLUGINS, PluginOptions};

use crate::{clock, log};
use harvest::Harvest;
use installed::folders;
use sandbox::Walls;
use scope::Scope;
use shelf::Shelf;
use standing::Standing;
use task::Task;
use watch::Watch;
use work::Leftovers;

/// Descriptors that [`Plugins::watch`] names at most: three of each standing plugin, and of as many
/// actions.
pub const MAX_WATCHED: usize = 3 * (MAX_PLUGINS + scope::MAX_ACTIONS);

/// Before a sample no process is started: fork and exec take milliseconds, and on a busy machine as
/// long as it takes until the new process has its turn. Where samples follow each other closely, it
/// is three quarters of the time between them.
const CLEAR_MS: u64 = 250;

/// All plugins of this agent. The default has none and does nothing.
#[derive(Debug, Default)]
pub struct Plugins(Option<Box<Active>>);

#[derive(Debug)]
struct Active {
    scope: Scope,
    harvest: Harvest,
    standing: Vec<Standing>,
    tasks: Vec<Task>,
    shelf: Shelf,
    watch: Watch,
    /// The names of those that changed on disk and are to be taken up when there is room.
    awaited: Vec<String>,
    runs: u64,
    look_ms: u64,
    /// When the next sample is due.
    sample_ms: u64,
    /// So long before it no process is started.
    clear_ms: u64,
    /// SIGCHLD came.
    child_ended: bool,
    is_stopping: bool,
    /// Nobody tells what plugins use, and that was said.
    is_blind: bool,
    /// Children from before the first plugin, by number and start: not to be taken for a plugin's.
    elders: Vec<(i32, u64)>,
    /// How many were left that belong to no plugin that lives, or ended and were not reaped, when that
    /// was last looked at.
    strangers: usize,
}

impl Plugins {
    /// Finds the plugins in the folder that `options` names; they are started by the first turn.
    /// What is wrong with one is logged, and it is left out. `seed` differs from start to start.
    pub fn new(options: PluginOptions, walls: Walls, seed: u64) -> Self {
        if !reaper::adopt() {
            log::warn("Processes that plugins leave behind cannot be adopted", &[]);
        }
        let harvest = Harvest::new(options.sender.clone(), options.max_triggers.max(1), seed);
        // While their folders have their names.
        say_killed(left_over::kill_by_folder(&options.tmp_dir, work::RUN));
        let leftovers = Leftovers::new(options.tmp_dir.clone(), seed);
        let scope = Scope {
            options,
            walls,
            leftovers,
        };
        let mut active = Active::new(scope, harvest);
        for words in &active.scope.walls.missing {
            log::warn(
                "Wall around plugins is missing",
                &[("wall", Value::Str(words))],
            );
        }
        // So that there is a way to be opened, and a place for what they say. Where there can be none,
        // whoever needs it says so.
        for folder in [&active.scope.options.tmp_dir, &active.scope.options.log_dir] {
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        if let Err(words) = active.scope.open_way() {
            log::error("Plugins cannot run", &[("error", Value::Str(&words))]);
        }
        if active.scope.options.watch {
            active.watch = Watch::new(&active.scope.options, clock::boot_ms());
        }
        let (folders, are_more) = folders(&active.scope.options.dir);
        if are_more {
            let fields = [("max", Value::Uint(MAX_PLUGINS as u64))];
            log::warn("More plugins than are run", &fields);
        }
        for folder in &folders {
            active.take_up(folder);
        }
        Self(Some(Box::new(active)))
    }

    /// Calls `each` with what poll(2) is to look at.
    pub fn watch<'a>(&'a self, each: &mut dyn FnMut(BorrowedFd<'a>, PollFlags)) {
        let Some(active) = &self.0 else { return };
        for plugin in &active.standing {
            plugin.watch(each);
        }
        for task in &active.tasks {
            task.watch(each);
        }
    }

    /// SIGCHLD came: the next turn looks who it was.
    pub fn child_ended(&mut self) {
        if let Some(active) = &mut self.0 {
            active.child_ended = true;
        }
    }

    /// Starts no process shortly before the next sample, which is due at `sample_ms`; they come each
    /// `interval_ms`.
    pub fn keep_clear_of(&mut self, sample_ms: u64, interval_ms: u64) {
        if let Some(active) = &mut self.0 {
            active.sample_ms = sample_ms;
            active.clear_ms = CLEAR_MS.min(interval_ms / 4 * 3);
        }
    }

    /// From when on a process may be started; 0 or earlier than `now_ms` is now.
    pub fn start_from_ms(&self, now_ms: u64) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |active| active.start_from_ms(now_ms))
    }

    /// Does what is due at `now_ms`; returns when something is due next.
    pub fn turn(&mut self, now_ms: u64) -> u64 {
        self.0
            .as_mut()
            .map_or(u64::MAX, |active| active.turn(now_ms))
    }

    /// Whether there is an event or a finished action to take.
    pub fn has_news(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|active| active.harvest.has_news())
    }

    /// The oldest event that was not taken yet: a JSON object, complete.
    pub fn take_event(&mut self) -> Option<Vec<u8>> {
        self.0.as_mut()?.harvest.next_event()
    }

    /// Whether whoever takes events has no room for more: then no trigger is asked.
    pub fn hold_events(&mut self, full: bool) {
        if let Some(active) = &mut self.0 {
            active.harvest.is_held = full;
        }
    }

    /// Begins to do what an instruction asks for. What comes of it is given by
    /// [`Plugins::take_finished`], always.
    pub fn start_action(&mut self, action: &Action<'_>, now_ms: u64) -> Result<RunId, PluginError> {
        let Some(active) = &mut self.0 else {
            let words = "this agent runs no plugins".to_owned();
            return Err(PluginError::Refused(words));
        };
        active.start_action(action, now_ms)
    }

    /// The process that runs for an action, if it has one of its own: its group, and its start in
    /// ticks since boot.
    pub fn process_of(&self, run: RunId) -> Option<(i32, u64)> {
        let tasks = &self.0.as_ref()?.tasks;
        let task = tasks.iter().find(|task| task.run == run)?;
        Some((task.live.process.group, task.live.process.start_ticks))
    }

    /// What came of an action that ended.
    pub fn take_finished(&mut self) -> Option<Finished> {
        self.0.as_mut()?.harvest.finished.pop_front()
    }

    /// Actions that were started and did not end.
    pub fn running(&self) -> usize {
        self.0.as_ref().map_or(0, |active| active.running())
    }

    /// Ends all of them: actions at once, standing plugins after a word of farewell.
    pub fn begin_stop(&mut self, now_ms: u64) {
        let Some(active) = &mut self.0 else { return };
        active.is_stopping = true;
        for plugin in &mut active.standing {
            plugin.begin_stop(now_ms);
        }
        for task in &mut active.tasks {
            task.end(live::Verdict::Stopped, now_ms);
        }
    }

    /// Whether no process of theirs is left.
    pub fn is_stopped(&self) -> bool {
        let is_stopped = |active: &Active| active.is_down() && active.strangers == 0;
        self.0.as_deref().is_none_or(is_stopped)
    }

    /// Kills what an agent before this one left of an action: the group, if its leader is the one
    /// that started then. Call it before anything is started, in the same boot.
    pub fn kill_left_over(&mut self, group: i32, start_ticks: u64) {
        say_killed(left_over::kill(group, start_ticks));
    }
}

fn say_killed(processes: u64) {
    if processes > 0 {
        let fields = [("processes", Value::Uint(processes))];
        log::warn("Killed what plugins of an earlier start had left", &fields);
    }
}
