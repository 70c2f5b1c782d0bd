//! The plugins of an agent that runs some, and one turn of them.
//!
//! A turn hears which processes ended, looks what the others use, follows what changed on disk, and
//! lets each plugin and each action do what is due. Nothing waits; moments are `CLOCK_BOOTTIME`
//! milliseconds.

use super::Active;
use super::action::Status;
use super::census::elders;
use super::harvest::Harvest;
use super::live::Live;
use super::scope::Scope;
use super::shelf::Shelf;
use super::standing::Standing;
use super::watch::Watch;

/// Between two looks for those that are left at a stop.
const AGAIN_MS: u64 = 20;

impl Active {
    /// Without any plugin.
    pub(super) fn new(scope: Scope, harvest: Harvest) -> Self {
        Self {
            scope,
            harvest,
            standing: Vec::new(),
            tasks: Vec::new(),
            shelf: Shelf::default(),
            watch: Watch::default(),
            awaited: Vec::new(),
            runs: 0,
            look_ms: 0,
            sample_ms: u64::MAX,
            clear_ms: 0,
            child_ended: false,
            is_stopping: false,
            is_blind: false,
            elders: elders(),
            strangers: 0,
        }
    }

    pub(super) fn running(&self) -> usize {
        let jobs: usize = self.standing.iter().map(Standing::jobs).sum();
        jobs + self.tasks.len()
    }

    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
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
        if self.is_stopping && self.is_down() && self.strangers > 0 {
            // Who is killed hands over whoever it had started.
            self.reap(now_ms);
            due_ms = due_ms.min(now_ms + AGAIN_MS);
        }
        if self.lives().next().is_some() {
            self.look_ms = self.look_ms.max(1);
            due_ms = due_ms.min(self.look_ms);
        }
        due_ms
    }

    /// Whether no plugin and no action runs.
    pub(super) fn is_down(&self) -> bool {
        let mut standing = self.standing.iter();
        self.tasks.is_empty() && standing.all(|plugin| plugin.live.is_none())
    }

    pub(super) fn start_from_ms(&self, now_ms: u64) -> u64 {
        if now_ms < self.sample_ms && now_ms.saturating_add(self.clear_ms) > self.sample_ms {
            return self.sample_ms;
        }
        self.harvest.start_from_ms.min(now_ms + 1)
    }

    pub(super) fn lives(&self) -> impl Iterator<Item = &Live> {
        let standing = self
            .standing
            .iter()
            .filter_map(|plugin| plugin.live.as_ref());
        standing.chain(self.tasks.iter().map(|task| &task.live))
    }

    pub(super) fn lives_mut(&mut self) -> impl Iterator<Item = &mut Live> {
        let standing = self
            .standing
            .iter_mut()
            .filter_map(|plugin| plugin.live.as_mut());
        standing.chain(self.tasks.iter_mut().map(|task| &mut task.live))
    }
}
