//! How each plugin does, for whoever looks: the face, tests.
//!
//! Counts ([`Tally`]) are kept where they arise; all else is read from where it stands, at that
//! moment.

use super::manifest::Kind;
use super::shelf::{Shelved, Why};
use super::standing::Standing;
use super::{Active, MAX_PLUGINS, Plugins};

/// What it is doing, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No process: not needed yet, or waiting for its next start.
    Down,
    /// Getting ready.
    Starting,
    /// At work.
    Running,
    /// On its way out.
    Stopping,
    /// It went wrong, and may be tried again later.
    Failed,
    /// The configuration does not let it run.
    Blocked,
}

impl State {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "idle",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }
}

/// Counted since the agent's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests to detect or to execute.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Processes that ended without being asked to.
    pub crashes: u64,
    /// Events that it reported.
    pub events: u64,
    /// Processes that were started for it after its first.
    pub restarts: u64,
    /// CPU time of its processes that ended, milliseconds.
    pub cpu_ms: u64,
    /// When it was asked to detect or to execute last.
    pub last_run_ms: Option<u64>,
}

/// How one plugin does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginReport<'a> {
    /// The name of its folder.
    pub id: &'a str,
    /// What it does; none if its manifest cannot be read.
    pub kind: Option<Kind>,
    /// It is a process that stays; else it is run once at a time, or cannot be told.
    pub stays: bool,
    /// What it is doing.
    pub state: State,
    /// What it says of itself, if it said anything.
    pub health: Option<&'a str>,
    /// Its last failure, if nothing went well since.
    pub error: Option<&'a str>,
    /// Its counts.
    pub tally: Tally,
    /// Resident memory of its processes, when last looked at.
    pub rss_bytes: u64,
    /// CPU time of its processes since the agent's start, as far as it is known.
    pub cpu_ms: u64,
}

impl Plugins {
    /// Whether this agent runs plugins at all.
    pub fn are_run(&self) -> bool {
        self.0.is_some()
    }

    /// How each plugin does, at most [`MAX_PLUGINS`] of them.
    pub fn report(&self) -> impl Iterator<Item = PluginReport<'_>> {
        (0..MAX_PLUGINS).map_while(|at| self.report_at(at))
    }

    /// How the plugin at this place of the list does: those that stay, then the others.
    pub fn report_at(&self, at: usize) -> Option<PluginReport<'_>> {
        let active = self.0.as_ref()?;
        if let Some(plugin) = active.standing.get(at) {
            return Some(plugin.report());
        }
        let other = active.shelf.get(at - active.standing.len())?;
        Some(active.report_of(other))
    }
}

impl Standing {
    fn report(&self) -> PluginReport<'_> {
        let live = self.live.as_ref();
        let usage = live.map(|live| live.process.usage).unwrap_or_default();
        PluginReport {
            id: &self.id,
            kind: Some(self.manifest.kind),
            stays: true,
            state: self.state(),
            health: self.health.as_deref(),
            error: self.fault(),
            tally: self.tally,
            rss_bytes: usage.rss_bytes,
            cpu_ms: self.tally.cpu_ms + usage.cpu_ms,
        }
    }
}

impl Active {
    fn report_of<'a>(&'a self, plugin: &'a Shelved) -> PluginReport<'a> {
        let mut tally = plugin.tally;
        let (mut rss_bytes, mut is_running) = (0, false);
        for task in self.tasks.iter().filter(|task| *task.plugin == *plugin.id) {
            is_running = true;
            rss_bytes += task.live.process.usage.rss_bytes;
            tally.cpu_ms += task.live.process.usage.cpu_ms;
        }
        let state = match plugin.why {
            Why::Failed => State::Failed,
            Why::Blocked => State::Blocked,
            Why::Once if is_running => State::Running,
            Why::Once => State::Down,
        };
        PluginReport {
            id: &plugin.id,
            kind: (plugin.why == Why::Once).then_some(Kind::Action),
            stays: false,
            state,
            health: None,
            error: Some(plugin.fault.as_str()).filter(|words| !words.is_empty()),
            tally,
            rss_bytes,
            cpu_ms: tally.cpu_ms,
        }
    }
}
