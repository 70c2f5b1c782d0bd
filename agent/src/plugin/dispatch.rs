//! An action finds its plugin: one that stands is given it, any other is started for it.
//!
//! What cannot run is refused here, with words that the orchestrator is given; [`PluginError`] says
//! whether trying again may help. Times are milliseconds.

use super::action::{Action, RunId};
use super::error::PluginError;
use super::manifest::{self, Kind, Manifest};
use super::pipe::MAX_UNSENT_BYTES;
use super::standing::{Job, Standing};
use super::task::Task;
use super::{Active, scope};
use crate::clock;

impl Active {
    /// Begins to do it, or says why it does not.
    pub(super) fn start_action(
        &mut self,
        action: &Action<'_>,
        now_ms: u64,
    ) -> Result<RunId, PluginError> {
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
                return Err(changing(id));
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
            if self.awaited.iter().any(|name| name == id) {
                return Err(changing(id));
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
}

fn changing(id: &str) -> PluginError {
    PluginError::Busy(format!("plugin {id} changed and is being started anew"))
}
