//! From the checked configuration to what plugins run with.

use nix::unistd::Uid;

use super::event::Sender;
use super::sandbox::{Account, Walls};
use super::scope::PluginOptions;
use crate::config::Settings;
use crate::config::settings::AgentType;

/// The options of all plugins. Without `agent.type` an agent runs both kinds.
pub fn options(settings: &Settings) -> PluginOptions {
    let base_dir = settings.base_dir();
    let (plugins, sandbox) = (&settings.plugins, &settings.sandbox);
    let agent = &settings.orchestrator;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let instead = |first: u64, second: u64| if first > 0 { first } else { second };
    PluginOptions {
        dir: settings.plugins_dir(),
        config_dir: settings.plugins_config_dir(),
        log_dir: base_dir.join("logs/plugins"),
        tmp_dir: base_dir.join("tmp"),
        base_dir,
        watch: plugins.watch,
        max_memory_bytes: instead(sandbox.max_memory_bytes, plugins.max_memory_bytes),
        max_cpu_permille: sandbox.max_cpu_permille,
        timeout_ms: instead(sandbox.max_exec_time_ms, plugins.timeout_ms),
        max_concurrent: count(plugins.max_concurrent),
        allowed: plugins.allowed.clone(),
        blocked: plugins.blocked.clone(),
        trigger_interval_ms: plugins.trigger_check_interval_ms,
        max_triggers: count(plugins.max_concurrent_triggers),
        trigger_timeout_ms: plugins.trigger_timeout_ms,
        runs_triggers: agent.agent_type.is_none_or(AgentType::has_triggers),
        runs_actions: agent.agent_type.is_none_or(AgentType::has_actions),
        sender: Sender {
            agent_id: agent.agent_id.clone().unwrap_or_default(),
            tenant_id: agent.organization_id.clone(),
        },
    }
}

/// The walls around all plugins. What is asked for and cannot be given is in [`Walls::missing`];
/// the error is a user that cannot be taken, or `security.sandbox.require`: files and network are
/// open to every plugin, and so none is walled in whole.
pub fn walls(settings: &Settings) -> Result<Walls, String> {
    let sandbox = &settings.sandbox;
    if sandbox.require {
        return Err(
            "security.sandbox.require is set, and no plugin can be walled in whole: files and \
             network are open to them"
                .to_owned(),
        );
    }
    let mut missing = Vec::new();
    let mut account = None;
    if let Some(name) = &sandbox.user {
        // An agent that is not root runs everything as itself.
        if Uid::effective().is_root() {
            account = Some(Account::named(name)?);
        } else {
            missing.push("security.sandbox.user: the agent is not root");
        }
    }
    if sandbox.chroot.is_some() {
        missing.push("security.sandbox.chroot: not supported");
    }
    if sandbox.network_access == Some(false) {
        missing.push("security.sandbox.network_access: the network is not closed to plugins");
    }
    if !sandbox.allowed_paths.is_empty() {
        missing.push("security.sandbox.allowed_paths: other paths are not closed to plugins");
    }
    Ok(Walls {
        enabled: sandbox.enabled,
        account,
        max_file_bytes: sandbox.max_file_bytes,
        missing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_given_is_named_and_refused_where_it_is_required() {
        let mut settings = Settings::default();
        assert_eq!(walls(&settings).unwrap().missing, Vec::<&str>::new());
        settings.sandbox.chroot = Some("/jail".into());
        settings.sandbox.network_access = Some(false);
        assert_eq!(walls(&settings).unwrap().missing.len(), 2);
        settings.sandbox.require = true;
        let words = walls(&settings).unwrap_err();
        assert!(
            words.contains("no plugin can be walled in whole"),
            "{words}"
        );
    }
}
