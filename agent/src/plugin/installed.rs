//! What is installed: the folders that hold a plugin, which of them this agent runs, and what it
//! does when one changes on disk.
//!
//! A plugin that cannot be run is logged and shelved with the reason; the others are not kept from
//! running by it. One that changed is let go and taken up anew, but not while it has an action.

use std::path::{Path, PathBuf};

use mote_core::log_line::Value;

use super::error::PluginError;
use super::manifest::{self, Kind, Manifest};
use super::shelf::Why;
use super::standing::Standing;
use super::{Active, MAX_PLUGINS};
use crate::log;

/// The folders that may hold a plugin, in the order of their names, and no more than may be run.
/// Whether there are more: that is to be said, but not each time that somebody looks.
pub(super) fn folders(dir: &Path) -> (Vec<PathBuf>, bool) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        // Made when the first plugin is put there.
        return (Vec::new(), false);
    };
    let is_plugin = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(manifest::is_id) && path.is_dir()
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = paths.filter(is_plugin).take(MAX_PLUGINS + 1).collect();
    found.sort_unstable();
    let are_more = found.len() > MAX_PLUGINS;
    found.truncate(MAX_PLUGINS);
    (found, are_more)
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
    /// Runs the plugin in `folder`, or says why not.
    pub(super) fn take_up(&mut self, folder: &Path) {
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
    pub(super) fn follow_changes(&mut self, now_ms: u64) {
        for name in self.watch.changes(&self.scope.options, now_ms) {
            let running = self.standing.iter_mut().find(|plugin| plugin.id == name);
            match running {
                // Nothing that was asked for is cut short for it.
                Some(plugin) if plugin.jobs() > 0 => {
                    self.watch.forget(&name);
                    continue;
                }
                Some(plugin) => plugin.begin_stop(now_ms),
                None if self.awaited.contains(&name) => {}
                None => self.awaited.push(name.clone()),
            }
            log::info("Plugin changed on disk", &[("plugin", Value::Str(&name))]);
        }
        let is_over = |plugin: &Standing| plugin.is_leaving() && plugin.live.is_none();
        while let Some(at) = self.standing.iter().position(is_over) {
            let id = self.standing.remove(at).id;
            self.awaited.push(id);
        }
        // Those that were let go make room. Whoever is on its way out takes a place of poll(2) still.
        while self.standing.len() < MAX_PLUGINS && !self.awaited.is_empty() {
            let id = self.awaited.remove(0);
            self.take_up(&self.scope.options.dir.join(id));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_plugins_are_found_than_may_be_run() {
        let dir = std::env::temp_dir().join(format!("mote-installed-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        assert_eq!(folders(&dir), (Vec::new(), false));
        for number in 0..=MAX_PLUGINS {
            let (before, are_more) = folders(&dir);
            assert_eq!((before.len(), are_more), (number, false));
            std::fs::create_dir_all(dir.join(format!("p{number}"))).unwrap();
        }
        let (found, are_more) = folders(&dir);
        assert!(are_more && found.len() == MAX_PLUGINS && found.is_sorted());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
