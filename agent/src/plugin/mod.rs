//! Plugins: somebody else's programs, run beside the agent and never trusted by it.
//!
//! `manifest.rs` and `options.rs` say what a plugin is and what it is told; `process.rs`,
//! `sandbox.rs`, `reaper.rs` and `tree.rs` start processes, wall them in, and make sure that none is
//! left; `pipe.rs`, `words.rs` and `live.rs` talk with them; `standing.rs` is the exchange with a
//! plugin that stays, `task.rs` one that runs once; `event.rs` and `action.rs` are what comes out.
//!
//! [`Plugins`] lives in the reactor: [`Plugins::watch`] names what poll(2) is to look at and
//! [`Plugins::turn`] does what is due. Nothing here ever waits, sends, or retries an action: the
//! orchestrator's client takes events and results, and decides. Moments are `CLOCK_BOOTTIME`
//! milliseconds.

pub mod action;
pub mod by_hand;
mod error;
pub mod event;
mod harvest;
mod hidden;
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
mod tree;
mod watch;
mod words;
mod work;

use std::fs::DirBuilder;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mote_core::log_line::Value;
use nix::poll::PollFlags;

pub use action::{Action, Finished, RunId, Status};
pub use error::PluginError;
pub use event::Sender;
pub use report::PluginReport;
pub use scope::{MAX_PLUGINS, PluginOptions};
pub use standing::{State, Tally};

use crate::{clock, log};
use harvest::Harvest;
use live::Live;
use manifest::{Kind, Manifest};
use pipe::MAX_UNSENT_BYTES;
use sandbox::Walls;
use scope::Scope;
use shelf::{Shelf, Why};
use standing::{Job, Standing};
use task::Task;
use tree::{Stat, Tree, Usage};
use watch::Watch;
use work::Leftovers;

/// Descriptors that [`Plugins::watch`] names at most: three of each standing plugin, and of as many
/// actions.
pub const MAX_WATCHED: usize = 3 * (MAX_PLUGINS + scope::MAX_ACTIONS);

/// How often is looked what plugins use.
const LOOK_EVERY_MS: u64 = 1_000;
/// Before a sample no process is started: fork and exec take milliseconds, and on a busy machine as
/// long as it takes until the new process has its turn. Where samples follow each other closely, it
/// is three quarters of the time between them.
const CLEAR_MS: u64 = 250;
/// Strangers that are reaped in one turn.
const MAX_STRANGERS: usize = 1_024;

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
}

impl Plugins {
    /// Finds the plugins in the folder that `options` names; they are started by the first turn.
    /// What is wrong with one is logged, and it is left out. `seed` differs from start to start.
    pub fn new(options: PluginOptions, walls: Walls, seed: u64) -> Self {
        if !reaper::adopt() {
            log::warn("Processes that plugins leave behind cannot be adopted", &[]);
        }
        let harvest = Harvest::new(options.sender.clone(), options.max_triggers.max(1), seed);
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
        // So that there is a way to be opened.
        let _ = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&active.scope.options.tmp_dir);
        if let Err(words) = active.scope.open_way() {
            log::error("Plugins cannot run", &[("error", Value::Str(&words))]);
        }
        if active.scope.options.watch {
            active.watch = Watch::new(&active.scope.options, clock::boot_ms());
        }
        for folder in folders(&active.scope.options.dir) {
            active.take_up(&folder);
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
            task.live.end(live::Verdict::Stopped, now_ms);
        }
    }

    /// Whether no process of theirs is left.
    pub fn is_stopped(&self) -> bool {
        self.0.as_ref().is_none_or(|active| {
            let is_down = |plugin: &Standing| plugin.live.is_none();
            active.tasks.is_empty() && active.standing.iter().all(is_down)
        })
    }

    /// Kills what an agent before this one left of an action: the group, if its leader is the one
    /// that started then. Call it before anything is started, in the same boot.
    pub fn kill_left_over(&mut self, group: i32, start_ticks: u64) {
        let killed = left_over::kill(group, start_ticks);
        if killed > 0 {
            let fields = [("processes", Value::Uint(killed))];
            log::warn(
                "Killed what an action of an earlier start had left",
                &fields,
            );
        }
    }
}

/// The folders that may hold a plugin, in the order of their names.
pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        // Made when the first plugin is put there.
        return Vec::new();
    };
    let is_plugin = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(manifest::is_id) && path.is_dir()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(is_plugin).take(MAX_PLUGINS + 1).collect();
    found.sort_unstable();
    if found.len() > MAX_PLUGINS {
        found.truncate(MAX_PLUGINS);
        let fields = [("max", Value::Uint(MAX_PLUGINS as u64))];
        log::warn("More plugins than are run", &fields);
    }
    found
}

/// The name of a plugin's folder.
fn id_of(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn complain(folder: &Path, error: &PluginError) {
    let (folder, error) = (folder.to_string_lossy(), error.to_string());
    let fields = [
        ("folder", Value::Str(&folder)),
        ("error", Value::Str(&error)),
    ];
    log::error("Plugin not loaded", &fields);
}

impl Active {
    /// Without any plugin.
    fn new(scope: Scope, harvest: Harvest) -> Self {
        Self {
            scope,
            harvest,
            standing: Vec::new(),
            tasks: Vec::new(),
            shelf: Shelf::default(),
            watch: Watch::default(),
            runs: 0,
            look_ms: 0,
            sample_ms: u64::MAX,
            clear_ms: 0,
            child_ended: false,
            is_stopping: false,
            is_blind: false,
        }
    }

    /// Runs the plugin in `folder`, or says why not.
    fn take_up(&mut self, folder: &Path) {
        let id = id_of(folder);
        match self.load(folder) {
            Ok(Some(plugin)) => {
                self.shelf.remove(&id);
                self.standing.push(plugin);
            }
            Ok(None) => {}
            Err(error) => {
                let why = match error {
                    PluginError::Refused(_) => Why::Blocked,
                    _ => Why::Failed,
                };
                self.shelf.put(&id, why, &error.to_string());
                complain(folder, &error);
            }
        }
    }

    /// Lets go of plugins that changed on disk, and takes up what is there instead.
    fn follow_changes(&mut self, now_ms: u64) {
        for name in self.watch.changes(&self.scope.options, now_ms) {
            let running = self.standing.iter_mut().find(|plugin| plugin.id == name);
            match running {
                // Nothing that was asked for is cut short for it.
                Some(plugin) if plugin.jobs() > 0 => {
                    self.watch.forget(&name);
                    continue;
                }
                Some(plugin) => plugin.begin_stop(now_ms),
                None => self.take_up(&self.scope.options.dir.join(&name)),
            }
            log::info("Plugin changed on disk", &[("plugin", Value::Str(&name))]);
        }
        // Those that were let go make room.
        let is_over = |plugin: &Standing| plugin.is_leaving() && plugin.live.is_none();
        while let Some(at) = self.standing.iter().position(is_over) {
            let folder = self.scope.options.dir.join(self.standing.remove(at).id);
            if folder.is_dir() {
                self.take_up(&folder);
            }
        }
    }

    /// The plugin in `folder`, if it is a standing one that this agent is to run. One that is run
    /// once is noted.
    fn load(&mut self, folder: &Path) -> Result<Option<Standing>, PluginError> {
        let id = id_of(folder);
        let Some(manifest) = Manifest::load(folder)? else {
            if self.scope.options.runs_actions && folder.is_dir() {
                self.scope.check_allowed(&[&id])?;
                self.shelf.put(&id, Why::Once, "");
            } else {
                self.shelf.remove(&id);
            }
            return Ok(None);
        };
        let is_wanted = match manifest.kind {
            Kind::Trigger => self.scope.options.runs_triggers,
            Kind::Action => self.scope.options.runs_actions,
        };
        if !is_wanted {
            self.shelf.remove(&id);
            return Ok(None);
        }
        self.scope.check_allowed(&[&id, &manifest.id])?;
        Standing::new(id, folder.to_owned(), manifest, &self.scope).map(Some)
    }

    fn running(&self) -> usize {
        let jobs: usize = self.standing.iter().map(Standing::jobs).sum();
        jobs + self.tasks.len()
    }

    fn start_action(&mut self, action: &Action<'_>, now_ms: u64) -> Result<RunId, PluginError> {
        let id = action.plugin_id;
        if !manifest::is_id(id) {
            return Err(PluginError::Refused(format!("{id:?} is no id of a plugin")));
        }
        if self.is_stopping {
            return Err(PluginError::Busy("the agent is stopping".to_owned()));
        }
        let max = self
            .scope
            .options
            .max_concurrent
            .clamp(1, scope::MAX_ACTIONS);
        if self.running() >= max {
            return Err(PluginError::Busy(format!(
                "{max} actions are running already"
            )));
        }
        let run = RunId(self.runs + 1);
        let timeout_ms = scope::smaller(action.timeout_ms, self.scope.options.timeout_ms);
        let known = |plugin: &&mut Standing| plugin.id == id || plugin.manifest.id == id;
        if let Some(plugin) = self.standing.iter_mut().find(known) {
            if plugin.manifest.kind != Kind::Action {
                let words = format!("plugin {id} is a trigger: it carries out no actions");
                return Err(PluginError::Refused(words));
            }
            if plugin.is_leaving() {
                let words = format!("plugin {id} changed and is being started anew");
                return Err(PluginError::Busy(words));
            }
            let request = action.request(timeout_ms);
            if request.len() >= MAX_UNSENT_BYTES {
                let words = format!("the input is more than plugin {id} can be given");
                return Err(PluginError::Refused(words));
            }
            plugin.take_job(Job {
                run,
                request,
                timeout_ms,
                started_ms: now_ms,
                wall_ms: clock::wall_ms(),
            });
        } else {
            let folder = self.scope.options.dir.join(id);
            if !folder.is_dir() {
                let words = format!(
                    "plugin {id} is not installed: there is no {}",
                    folder.display()
                );
                return Err(PluginError::Unknown(words));
            }
            // One with a manifest would be known, were nothing wrong with it.
            if let Some(manifest) = Manifest::load(&folder)? {
                self.scope.check_allowed(&[id, &manifest.id])?;
                let words = format!("plugin {id} cannot run actions here: the log says why");
                return Err(PluginError::Refused(words));
            }
            self.scope.check_allowed(&[id])?;
            self.harvest.start_from_ms = now_ms + 1;
            self.shelf.note_start(id, now_ms);
            let task = Task::start(run, action, &folder, timeout_ms, &mut self.scope, now_ms);
            let task = task.inspect_err(|error| {
                self.shelf.note_end(id, Some(&error.to_string()), 0);
            })?;
            self.tasks.push(task);
        }
        self.runs += 1;
        Ok(run)
    }

    fn turn(&mut self, now_ms: u64) -> u64 {
        if std::mem::take(&mut self.child_ended) {
            self.reap(now_ms);
        }
        if now_ms >= self.look_ms {
            self.look(now_ms);
        }
        if self.scope.options.watch && !self.is_stopping {
            self.follow_changes(now_ms);
        }
        self.harvest.start_from_ms = self.start_from_ms(now_ms);
        self.harvest.detecting = self.standing.iter().filter(|p| p.is_detecting()).count();
        let mut due_ms = self.scope.leftovers.turn(now_ms);
        for plugin in &mut self.standing {
            due_ms = due_ms.min(plugin.turn(now_ms, &mut self.scope, &mut self.harvest));
        }
        let mut at = 0;
        while let Some(task) = self.tasks.get_mut(at) {
            due_ms = due_ms.min(task.turn(now_ms));
            // One at a time, unless nobody takes any more: an output is as large as all else that
            // the agent holds.
            let has_room = self.is_stopping || self.harvest.finished.is_empty();
            if task.live.process.is_gone(now_ms) && has_room {
                let task = self.tasks.swap_remove(at);
                let (plugin, cpu_ms) = (task.plugin.clone(), task.live.process.usage.cpu_ms);
                let finished = task.finish(&mut self.scope, now_ms);
                // A stop of the agent is no failure of the plugin's.
                let fault = match finished.status {
                    Status::Completed | Status::Interrupted => None,
                    _ => Some(finished.error.as_deref().unwrap_or("failed")),
                };
                self.shelf.note_end(&plugin, fault, cpu_ms);
                self.harvest.finished.push_back(finished);
            } else {
                at += 1;
            }
        }
        if self.lives().next().is_some() {
            self.look_ms = self.look_ms.max(1);
            due_ms = due_ms.min(self.look_ms);
        }
        due_ms
    }

    fn start_from_ms(&self, now_ms: u64) -> u64 {
        if now_ms < self.sample_ms && now_ms.saturating_add(self.clear_ms) > self.sample_ms {
            return self.sample_ms;
        }
        self.harvest.start_from_ms.min(now_ms + 1)
    }

    fn lives(&self) -> impl Iterator<Item = &Live> {
        let standing = self
            .standing
            .iter()
            .filter_map(|plugin| plugin.live.as_ref());
        standing.chain(self.tasks.iter().map(|task| &task.live))
    }

    fn lives_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        let standing = self
            .standing
            .iter_mut()
            .filter_map(|plugin| plugin.live.as_mut());
        standing.chain(self.tasks.iter_mut().map(|task| &mut task.live))
    }

    /// Hears of leaders that ended, reaps strangers, and kills what the ended ones left.
    fn reap(&mut self, now_ms: u64) {
        for _ in 0..MAX_STRANGERS {
            for live in self.lives_mut() {
                live.process.hear_end();
            }
            let is_leader = |pid| self.lives().any(|live| live.process.group == pid);
            if !reaper::reap_stranger(is_leader) {
                break;
            }
        }
        self.look(now_ms);
    }

    /// Looks what each plugin uses, and kills orphans that belong to none that lives.
    fn look(&mut self, now_ms: u64) {
        self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        let Some(mut tree) = Tree::read() else {
            if !std::mem::replace(&mut self.is_blind, true) {
                log::warn(
                    "Plugins are not held to limits of memory and CPU: no /proc",
                    &[],
                );
            }
            return;
        };
        let children = tree.adopted();
        let mut strangers: Vec<Stat> = children;
        for live in self.lives_mut() {
            let process = &mut live.process;
            if process.end.is_some() {
                continue;
            }
            let mut usage = Usage::default();
            tree.add(process.group, &mut usage, &mut |_| {});
            strangers.retain(|child| {
                let is_its = child.pid == process.group || child.session == process.group;
                if is_its && child.pid != process.group {
                    tree.add(child.pid, &mut usage, &mut |_| {});
                }
                !is_its
            });
            // A process that ended takes its time with it.
            usage.cpu_ms = usage.cpu_ms.max(process.usage.cpu_ms);
            process.usage = usage;
        }
        // They are this process's own children: their numbers are theirs until they are reaped.
        for stranger in strangers {
            left_over::kill_one(stranger.pid);
        }
        for plugin in &mut self.standing {
            plugin.hold_to_limits(&self.scope, now_ms);
        }
        for task in &mut self.tasks {
            task.hold_to_limits(&self.scope, now_ms);
        }
    }
}
