//! The keys of plugins, of their walls and of the audit log. A restart changes them.

use super::{Key, Set, YEAR_MS, by_restart, row};
use crate::config::value;

const DAY_MS: u64 = 86_400_000;
const MAX_BYTES: u64 = 1 << 40;

/// `plugins`, `security.sandbox`, `security.audit`, and what `sensor` says of triggers.
pub(super) const KEYS: &[Key] = &[
    aliased(
        &["plugins.directory"],
        "plugins.dir",
        "",
        "folder of the plugins (default: data/plugins in agent.base_dir)",
        Set::Path(|s| &mut s.plugins.dir),
    ),
    aliased(
        &[],
        "plugins.config_dir",
        "",
        "their configurations (default: config/plugins in agent.base_dir)",
        Set::Path(|s| &mut s.plugins.config_dir),
    ),
    aliased(
        &[],
        "plugins.auto_update",
        "false",
        "look for newer plugins (no effect yet)",
        Set::Truth(|s| &mut s.plugins.auto_update),
    ),
    aliased(
        &["plugins.update_check"],
        "plugins.update_interval",
        "1h",
        "time between two such looks (no effect yet)",
        Set::DurationMs(|s| &mut s.plugins.update_interval_ms, 1_000, YEAR_MS),
    ),
    aliased(
        &["plugins.watch_changes", "plugins.auto_load"],
        "plugins.watch",
        "true",
        "take up plugins that change on disk, without a restart",
        Set::Truth(|s| &mut s.plugins.watch),
    ),
    aliased(
        &[],
        "plugins.max_memory",
        "256MB",
        "memory of a plugin and all that it started",
        Set::Bytes(|s| &mut s.plugins.max_memory_bytes, 1 << 20, MAX_BYTES),
    ),
    aliased(
        &[],
        "plugins.timeout",
        "5m",
        "for one call of a plugin",
        Set::DurationMs(|s| &mut s.plugins.timeout_ms, 100, DAY_MS),
    ),
    aliased(
        &[],
        "plugins.max_concurrent",
        "5",
        "plugins that run at a time",
        Set::Count(|s| &mut s.plugins.max_concurrent, 1, 64),
    ),
    aliased(
        &[],
        "plugins.allowed_plugins",
        "",
        "plugins that may run (default: all that are installed)",
        Set::List(|s| &mut s.plugins.allowed),
    ),
    aliased(
        &[],
        "plugins.blocked_plugins",
        "",
        "plugins that may not",
        Set::List(|s| &mut s.plugins.blocked),
    ),
    aliased(
        &[],
        "plugins.trusted_keys",
        "",
        "whose signature an installed plugin needs (no effect yet: none is installed)",
        Set::List(|s| &mut s.plugins.trusted_keys),
    ),
    aliased(
        &[],
        "plugins.allow_remote_install",
        "false",
        "let instructions install plugins (no effect yet)",
        Set::Truth(|s| &mut s.plugins.allow_remote_install),
    ),
    aliased(
        &[],
        "security.sandbox.enabled",
        "true",
        "wall plugins in",
        Set::Truth(|s| &mut s.sandbox.enabled),
    ),
    aliased(
        &[],
        "security.sandbox.user",
        "",
        "user that plugins run as, where the agent may choose",
        Set::Words(|s| &mut s.sandbox.user),
    ),
    aliased(
        &[],
        "security.sandbox.chroot",
        "",
        "folder that is all they see of the file system (no effect yet)",
        Set::Path(|s| &mut s.sandbox.chroot),
    ),
    aliased(
        &[],
        "security.sandbox.max_memory",
        "",
        "bytes; instead of plugins.max_memory",
        Set::PlainBytes(|s| &mut s.sandbox.max_memory_bytes, 1 << 20, MAX_BYTES),
    ),
    aliased(
        &[],
        "security.sandbox.max_cpu",
        "",
        "cores, as 0.5",
        Set::By(|s, v| {
            s.sandbox.max_cpu_permille = value::permille(v, (1, 1_024_000))?;
            Ok(())
        }),
    ),
    aliased(
        &[],
        "security.sandbox.max_exec_time",
        "",
        "for one call; instead of plugins.timeout",
        Set::DurationMs(|s| &mut s.sandbox.max_exec_time_ms, 100, DAY_MS),
    ),
    aliased(
        &[],
        "security.sandbox.max_file_size",
        "",
        "bytes of a file that a plugin writes",
        Set::PlainBytes(|s| &mut s.sandbox.max_file_bytes, 1, MAX_BYTES),
    ),
    aliased(
        &[],
        "security.sandbox.network_access",
        "",
        "whether plugins reach the network (no effect yet: they do)",
        Set::By(|s, v| {
            s.sandbox.network_access = value::unless_empty(v, value::truth)?;
            Ok(())
        }),
    ),
    aliased(
        &[],
        "security.sandbox.allowed_paths",
        "",
        "paths that plugins may read (no effect yet: what their user may)",
        Set::List(|s| &mut s.sandbox.allowed_paths),
    ),
    aliased(
        &[],
        "security.sandbox.require",
        "false",
        "run no plugin that cannot be walled in whole: today that is none",
        Set::Truth(|s| &mut s.sandbox.require),
    ),
    aliased(
        &[],
        "security.audit.enabled",
        "true",
        "log what was executed and why (no effect yet)",
        Set::Truth(|s| &mut s.audit.enabled),
    ),
    aliased(
        &["security.audit.log_file"],
        "security.audit.file",
        "",
        "where to (default: logs/audit/audit.log in agent.base_dir; no effect yet)",
        Set::Path(|s| &mut s.audit.file),
    ),
    aliased(
        &[],
        "security.audit.max_size",
        "10",
        "MB of that file before a new one (no effect yet)",
        Set::By(|s, v| {
            s.audit.max_bytes = value::count(v, (1, 10_000))? * 1_000_000;
            Ok(())
        }),
    ),
    aliased(
        &[],
        "security.audit.max_backups",
        "5",
        "old ones kept (no effect yet)",
        Set::Count(|s| &mut s.audit.max_backups, 0, 1_000),
    ),
    aliased(
        &[],
        "security.audit.max_age",
        "30",
        "days that they are kept, 0 for ever (no effect yet)",
        Set::Count(|s| &mut s.audit.max_age_days, 0, 36_500),
    ),
    aliased(
        &[],
        "sensor.trigger_check_interval",
        "10s",
        "time between two looks of a trigger",
        Set::DurationMs(|s| &mut s.plugins.trigger_check_interval_ms, 100, DAY_MS),
    ),
    aliased(
        &[],
        "sensor.max_concurrent_triggers",
        "5",
        "triggers that look at a time",
        Set::Count(|s| &mut s.plugins.max_concurrent_triggers, 1, 64),
    ),
    aliased(
        &[],
        "sensor.trigger_timeout",
        "30s",
        "for one look",
        Set::DurationMs(|s| &mut s.plugins.trigger_timeout_ms, 100, DAY_MS),
    ),
    aliased(
        &[],
        "sensor.event_buffer_size",
        "1000",
        "events that wait for the orchestrator before triggers pause",
        Set::Count(|s| &mut s.plugins.event_buffer_size, 1, 2_000),
    ),
];

const fn aliased(
    aliases: &'static [&'static str],
    path: &'static str,
    default: &'static str,
    help: &'static str,
    set: Set,
) -> Key {
    let mut key = by_restart(row(path, default, help, set));
    key.aliases = aliases;
    key
}
