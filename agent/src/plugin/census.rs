//! Which processes there are, whose they are, and what they use.
//!
//! A look at `/proc` each second, and whenever a child ended. Who uses more than it may is ended;
//! what belongs to no plugin that lives is killed; a session that a plugin made comes after the
//! agent, too.

use nix::unistd::{Pid, getsid};

use super::tree::{Stat, Tree, Usage};
use super::{Active, left_over, reaper, sandbox};
use crate::log;

/// How often is looked what plugins use.
const LOOK_EVERY_MS: u64 = 1_000;
/// Strangers that are reaped in one turn.
const MAX_STRANGERS: usize = 1_024;

/// The children that the process has before it starts any, as one has that a shell became (exec), by
/// number and start: they are nobody's to kill.
pub(super) fn elders() -> Vec<(i32, u64)> {
    let children = Tree::read().map_or_else(Vec::new, |mut tree| tree.adopted());
    let names = children.iter().map(|child| (child.pid, child.start_ticks));
    names.collect()
}

impl Active {
    /// Hears of leaders that ended, reaps strangers, and kills what the ended ones left.
    pub(super) fn reap(&mut self, now_ms: u64) {
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
    pub(super) fn look(&mut self, now_ms: u64) {
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
        // Plugins begin in sessions of their own, and there is no way into another one: whoever is in
        // the agent's came with it.
        let session = getsid(None).map_or(-1, Pid::as_raw);
        let mut strangers: Vec<Stat> = tree.adopted();
        // Whoever ended while the list was read may have handed over children that are not in it.
        let ended = strangers.iter().filter(|child| child.is_zombie).count();
        strangers.retain(|child| {
            let came_with_it = self.elders.contains(&(child.pid, child.start_ticks));
            !child.is_zombie && child.session != session && !came_with_it
        });
        for live in self.lives_mut() {
            let process = &mut live.process;
            if process.end.is_some() {
                continue;
            }
            let leader = process.group;
            let mut hold_back = |stat: &Stat| {
                // One process speaks for the session that the plugin was given; in any other, each.
                if stat.pid == leader || stat.session != leader {
                    sandbox::hold_back(stat.pid);
                }
            };
            let mut usage = Usage::default();
            tree.add(leader, &mut usage, &mut hold_back);
            strangers.retain(|child| {
                let is_its = child.pid == leader || child.session == leader;
                if is_its && child.pid != leader {
                    tree.add(child.pid, &mut usage, &mut hold_back);
                }
                !is_its
            });
            // A process that ended takes its time with it.
            usage.cpu_ms = usage.cpu_ms.max(process.usage.cpu_ms);
            process.usage = usage;
        }
        // They are this process's own children: their numbers are theirs until they are reaped.
        for stranger in &strangers {
            left_over::kill_one(stranger.pid);
        }
        self.strangers = strangers.len() + ended;
        for plugin in &mut self.standing {
            plugin.hold_to_limits(&self.scope, now_ms);
        }
        for task in &mut self.tasks {
            task.hold_to_limits(&self.scope, now_ms);
        }
    }
}
