//! What all plugins have in common: where they are, who may run, within which limits.
//!
//! Sizes are bytes, times milliseconds, CPU thousandths of a core. A limit of 0 is none; of two
//! limits the smaller one holds.

use std::io;
use std::path::{Path, PathBuf};

use super::error::PluginError;
use super::event::Sender;
use super::sandbox::Walls;
use super::work::Leftovers;

/// Plugins that a folder may hold.
pub const MAX_PLUGINS: usize = 64;
/// Actions that may run at a time, whatever is asked for.
pub const MAX_ACTIONS: usize = 64;

/// Values of the configuration.
#[derive(Debug, Clone, Default)]
pub struct PluginOptions {
    /// `agent.base_dir`.
    pub base_dir: PathBuf,
    /// `plugins.dir`.
    pub dir: PathBuf,
    /// `plugins.config_dir`.
    pub config_dir: PathBuf,
    /// Where each plugin's log is.
    pub log_dir: PathBuf,
    /// Where work folders are made.
    pub tmp_dir: PathBuf,
    /// `plugins.watch`: plugins that change on disk are taken up.
    pub watch: bool,
    /// `plugins.max_memory` or `security.sandbox.max_memory`.
    pub max_memory_bytes: u64,
    /// `security.sandbox.max_cpu`.
    pub max_cpu_permille: u64,
    /// `plugins.timeout` or `security.sandbox.max_exec_time`.
    pub timeout_ms: u64,
    /// `plugins.max_concurrent`.
    pub max_concurrent: usize,
    /// `plugins.allowed_plugins`; empty allows all that is installed.
    pub allowed: Vec<String>,
    /// `plugins.blocked_plugins`.
    pub blocked: Vec<String>,
    /// `sensor.trigger_check_interval`.
    pub trigger_interval_ms: u64,
    /// `sensor.max_concurrent_triggers`.
    pub max_triggers: usize,
    /// `sensor.trigger_timeout`.
    pub trigger_timeout_ms: u64,
    /// Whether triggers are run.
    pub runs_triggers: bool,
    /// Whether actions are.
    pub runs_actions: bool,
    /// For whom events are reported.
    pub sender: Sender,
}

/// The options, and what goes with them while the agent runs.
#[derive(Debug)]
pub struct Scope {
    /// The options.
    pub options: PluginOptions,
    /// The walls around every plugin.
    pub walls: Walls,
    /// Work folders.
    pub leftovers: Leftovers,
}

impl Scope {
    /// A new folder that the plugin's user may fill.
    pub fn work_folder(&mut self) -> io::Result<PathBuf> {
        let path = self.leftovers.make()?;
        self.give(&path)?;
        Ok(path)
    }

    /// Gives a file or folder to the user that plugins run as.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        match &self.walls.account {
            Some(account) if self.walls.enabled => account.own(path),
            _ => Ok(()),
        }
    }

    /// Lets the user that plugins run as pass the folders on the way to theirs. Those are closed to
    /// all others, and stay so: only passing is allowed, and to that user's group.
    pub fn open_way(&self) -> Result<(), String> {
        let account = match &self.walls.account {
            Some(account) if self.walls.enabled => account,
            _ => return Ok(()),
        };
        for path in [&self.options.dir, &self.options.tmp_dir] {
            for folder in path.ancestors() {
                let is_ours =
                    folder.starts_with(&self.options.base_dir) || *folder == self.options.tmp_dir;
                account.let_pass(folder, is_ours).map_err(|error| {
                    let (name, place) = (account.name(), folder.display());
                    format!("security.sandbox.user {name} cannot pass {place}: {error}")
                })?;
            }
        }
        Ok(())
    }

    /// Where the words of a plugin go.
    pub fn log_path(&self, id: &str) -> PathBuf {
        self.options.log_dir.join(format!("{id}.log"))
    }

    /// Whether the configuration lets a plugin run; it is known by any of `names`.
    pub fn check_allowed(&self, names: &[&str]) -> Result<(), PluginError> {
        let is_in = |list: &[String]| list.iter().any(|id| names.contains(&id.as_str()));
        let id = names.first().copied().unwrap_or_default();
        if is_in(&self.options.blocked) {
            let words = format!("plugin {id} is in plugins.blocked_plugins");
            return Err(PluginError::Refused(words));
        }
        if !self.options.allowed.is_empty() && !is_in(&self.options.allowed) {
            let words = format!("plugin {id} is not in plugins.allowed_plugins: add it there");
            return Err(PluginError::Refused(words));
        }
        Ok(())
    }

    /// What a plugin may use that asks for `asked`.
    pub fn max_memory_bytes(&self, asked: Option<u64>) -> u64 {
        smaller(self.options.max_memory_bytes, asked.unwrap_or(0))
    }

    /// How long a call may take of a plugin that asks for `asked`.
    pub fn call_ms(&self, asked: Option<u64>) -> u64 {
        smaller(self.options.timeout_ms, asked.unwrap_or(0))
    }

    /// What a call of `call_ms` may use of the CPU: that part of the cores, for that time.
    pub fn max_cpu_ms(&self, asked: Option<u64>, call_ms: u64) -> u64 {
        let permille = smaller(self.options.max_cpu_permille, asked.unwrap_or(0));
        if permille == 0 {
            return 0;
        }
        (call_ms.saturating_mul(permille) / 1000).max(1)
    }
}

/// Of two limits, where 0 is none.
pub fn smaller(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        _ => one.min(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(options: PluginOptions) -> Scope {
        Scope {
            options,
            walls: Walls::default(),
            leftovers: Leftovers::new(PathBuf::from("/nonexistent"), 1),
        }
    }

    #[test]
    fn the_smaller_limit_holds_and_none_is_none() {
        let scope = scope(PluginOptions {
            max_memory_bytes: 100,
            timeout_ms: 10_000,
            ..PluginOptions::default()
        });
        assert_eq!(scope.max_memory_bytes(None), 100);
        assert_eq!(scope.max_memory_bytes(Some(50)), 50);
        assert_eq!(scope.max_memory_bytes(Some(500)), 100);
        assert_eq!(scope.call_ms(Some(60_000)), 10_000);
        assert_eq!(scope.max_cpu_ms(None, 60_000), 0);
        assert_eq!(scope.max_cpu_ms(Some(100), 60_000), 6_000);
    }

    #[test]
    fn a_blocked_plugin_is_refused_under_each_of_its_names() {
        let scope = scope(PluginOptions {
            allowed: vec!["a".into(), "b".into()],
            blocked: vec!["b".into()],
            ..PluginOptions::default()
        });
        let words = |names: &[&str]| scope.check_allowed(names).unwrap_err().to_string();
        assert_eq!(scope.check_allowed(&["folder", "a"]), Ok(()));
        assert!(words(&["folder", "b"]).contains("blocked"));
        assert!(words(&["c"]).contains("add it there"));
    }
}
