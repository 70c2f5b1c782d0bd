//! What plugins run with: `plugins`, `security.sandbox`, `security.audit`, `sensor`.

use std::path::PathBuf;

/// The values of `plugins`, and of `sensor` as far as triggers go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSettings {
    /// `plugins.dir`; see [`super::Settings::plugins_dir`].
    pub dir: Option<PathBuf>,
    /// `plugins.config_dir`; see [`super::Settings::plugins_config_dir`].
    pub config_dir: Option<PathBuf>,
    /// `plugins.auto_update`.
    pub auto_update: bool,
    /// `plugins.update_interval`.
    pub update_interval_ms: u64,
    /// `plugins.watch`: changes on disk are taken up.
    pub watch: bool,
    /// `plugins.max_memory`, for a plugin and all that it started.
    pub max_memory_bytes: u64,
    /// `plugins.timeout`, for one call.
    pub timeout_ms: u64,
    /// `plugins.max_concurrent`: plugins that run at a time.
    pub max_concurrent: u64,
    /// `plugins.allowed_plugins`; empty allows all that is installed.
    pub allowed: Vec<String>,
    /// `plugins.blocked_plugins`.
    pub blocked: Vec<String>,
    /// `plugins.trusted_keys`: by whom an installed plugin must be signed.
    pub trusted_keys: Vec<String>,
    /// `plugins.allow_remote_install`: instructions may install without a trusted key.
    pub allow_remote_install: bool,
    /// `sensor.trigger_check_interval`.
    pub trigger_check_interval_ms: u64,
    /// `sensor.max_concurrent_triggers`.
    pub max_concurrent_triggers: u64,
    /// `sensor.trigger_timeout`.
    pub trigger_timeout_ms: u64,
    /// `sensor.event_buffer_size`: events that wait, at most; then no trigger is asked.
    pub event_buffer_size: u64,
}

/// The values of `security.sandbox`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxSettings {
    /// `.enabled`.
    pub enabled: bool,
    /// `.user`: whom plugins run as, where the agent may choose.
    pub user: Option<String>,
    /// `.chroot`.
    pub chroot: Option<PathBuf>,
    /// `.max_memory`; 0 leaves it to `plugins.max_memory`.
    pub max_memory_bytes: u64,
    /// `.max_cpu`, thousandths of a core; 0 is no limit.
    pub max_cpu_permille: u64,
    /// `.max_exec_time`; 0 leaves it to `plugins.timeout`.
    pub max_exec_time_ms: u64,
    /// `.max_file_size`; 0 is no limit.
    pub max_file_bytes: u64,
    /// `.network_access`; nothing said leaves it to the plugin's manifest.
    pub network_access: Option<bool>,
    /// `.allowed_paths`.
    pub allowed_paths: Vec<String>,
    /// `.require`: a plugin that cannot be walled in does not run.
    pub require: bool,
}

/// The values of `security.audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// `.enabled`.
    pub enabled: bool,
    /// `.file`; see [`super::Settings::audit_file`].
    pub file: Option<PathBuf>,
    /// `.max_size`.
    pub max_bytes: u64,
    /// `.max_backups`.
    pub max_backups: u64,
    /// `.max_age`; 0 is for ever.
    pub max_age_days: u64,
}
