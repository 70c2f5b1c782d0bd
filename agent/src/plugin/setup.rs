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

/// The walls around all plugins. The error is a user that cannot be taken. An agent that is not
/// root runs everything as itself.
pub fn walls(settings: &Settings) -> Result<Walls, String> {
    let sandbox = &settings.sandbox;
    let named = sandbox.user.as_deref();
    let named = named.filter(|_| Uid::effective().is_root());
    let account = named.map(Account::named).transpose()?;
    Ok(Walls {
        enabled: sandbox.enabled,
        account,
        max_file_bytes: sandbox.max_file_bytes,
    })
}
