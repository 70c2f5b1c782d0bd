//! From a checked configuration to what the loop runs with, at the start and at a reload.

use std::sync::Arc;

use mote_core::log_line::Value;
use ureq::http::Uri;

use crate::config::server_url::metrics_uri;
use crate::config::settings::LogOutput;
use crate::config::{Secret, Settings};
use crate::log;
use crate::plugin::sandbox::{Account, Walls};
use crate::plugin::{PluginOptions, Plugins, Sender};
use crate::service::orchestrator;
use crate::uplink::link::Link;
use crate::uplink::tls::{TlsChoice, TlsSettings};
use crate::uplink::{Uplink, UplinkSettings};

/// What can only be told when everything is looked at together.
#[derive(Debug)]
pub struct Plan {
    /// Where samples go; none if there is no metrics server.
    pub uri: Option<Uri>,
    /// The key of the metrics server; empty if there is none.
    pub api_key: Secret,
    /// The other server, if there is one.
    pub orchestrator: Option<orchestrator::Plan>,
    tls: TlsSettings,
}

impl Plan {
    /// Looks at `settings` as a whole; all that is wrong comes at once.
    pub fn of(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let orchestrator = orchestrator::Plan::of(settings).unwrap_or_else(|words| {
            errors = words;
            None
        });
        let has_other = orchestrator.is_some() || !errors.is_empty();
        let mut keep = |words: String| errors.push(words);
        let mut uri = None;
        let mut api_key = Secret::new(String::new());
        if let Some(url) = &settings.server_url {
            uri = metrics_uri(url, settings.allow_http)
                .map_err(&mut keep)
                .ok();
            match check_api_key(settings) {
                Ok(key) => api_key = key,
                Err(words) => keep(words.into()),
            }
        } else if !has_other {
            keep(
                "server_url is missing: set it in the file, as MOTE_SERVER_URL, or with \
                 --server-url"
                    .into(),
            );
            check_api_key(settings).map_or_else(|words| keep(words.into()), drop);
        }
        if settings.log_output == LogOutput::None && settings.log_file.is_none() {
            keep("logging.output: file needs logging.file: there would be no log at all".into());
        }
        let tls = TlsSettings::new(TlsChoice::of_metrics_server(settings))
            .map_err(|words| keep(words.into()))
            .ok();
        match tls {
            Some(tls) if errors.is_empty() => Ok(Self {
                uri,
                api_key,
                orchestrator,
                tls,
            }),
            _ => Err(errors),
        }
    }

    /// The plugins of this agent; none without an orchestrator.
    pub fn plugins(&self, settings: &Settings, seed: u64) -> Plugins {
        let Some(plan) = &self.orchestrator else {
            return Plugins::default();
        };
        let account = match settings.sandbox.user.as_deref().map(Account::named) {
            None => None,
            Some(Ok(account)) => Some(account),
            // Who is not root runs everything as the one that he is.
            Some(Err(_)) if !nix::unistd::Uid::effective().is_root() => None,
            Some(Err(words)) => {
                log::error("No plugin runs", &[("error", Value::Str(&words))]);
                return Plugins::default();
            }
        };
        let walls = Walls {
            enabled: settings.sandbox.enabled,
            account,
            max_file_bytes: settings.sandbox.max_file_bytes,
        };
        Plugins::new(plugin_options(settings, plan), walls, seed)
    }

    /// The way to the server.
    pub fn uplink(&self, settings: &Settings, link: &Arc<Link>) -> Uplink {
        let times = UplinkSettings {
            connect_timeout_ms: settings.connect_timeout_ms,
            timeout_ms: settings.timeout_ms,
            // Longer than the interval: shaking hands is the dear part. Not much longer than a
            // router's table of connections remembers one that is silent.
            keep_ms: (settings.interval_ms * 2 + 60_000).min(240_000),
        };
        Uplink::new(Arc::clone(link), self.tls.clone(), times)
    }
}

fn check_api_key(settings: &Settings) -> Result<Secret, &'static str> {
    match &settings.api_key {
        Some(key) if key.fits_a_header() => Ok(key.clone()),
        Some(_) => Err(
            "api_key has characters that an HTTP header cannot carry, or is longer than 3 KiB: is \
             it the key itself?",
        ),
        None => Err(
            "api_key is missing: set api_key or api_key_file in the file, as MOTE_API_KEY_FILE, or \
             as the credential mote.api_key",
        ),
    }
}

fn plugin_options(settings: &Settings, plan: &orchestrator::Plan) -> PluginOptions {
    let base = settings.base_dir();
    let (plugins, sandbox) = (&settings.plugins, &settings.sandbox);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let or = |first: u64, second: u64| if first > 0 { first } else { second };
    PluginOptions {
        dir: settings.plugins_dir(),
        config_dir: settings.plugins_config_dir(),
        log_dir: base.join("logs/plugins"),
        tmp_dir: base.join("tmp"),
        max_memory_bytes: or(sandbox.max_memory_bytes, plugins.max_memory_bytes),
        max_cpu_permille: sandbox.max_cpu_permille,
        timeout_ms: or(sandbox.max_exec_time_ms, plugins.timeout_ms),
        max_concurrent: count(plugins.max_concurrent),
        allowed: plugins.allowed.clone(),
        blocked: plugins.blocked.clone(),
        trigger_interval_ms: plugins.trigger_check_interval_ms,
        max_triggers: count(plugins.max_concurrent_triggers),
        trigger_timeout_ms: plugins.trigger_timeout_ms,
        runs_triggers: plan.agent_type.has_triggers(),
        runs_actions: plan.agent_type.has_actions(),
        sender: Sender {
            agent_id: plan.agent_id.clone(),
            tenant_id: settings.orchestrator.organization_id.clone(),
        },
    }
}
