//! From a checked configuration to what the loop runs with, at the start and at a reload.

use std::sync::Arc;

use mote_core::log_line::Value;
use ureq::http::Uri;

use crate::config::server_url::metrics_uri;
use crate::config::settings::LogOutput;
use crate::config::{Secret, Settings};
use crate::log;
use crate::plugin::{self, Plugins};
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
        let walls = match plugin::setup::walls(settings) {
            Ok(walls) => walls,
            Err(words) => {
                log::error("No plugin runs", &[("error", Value::Str(&words))]);
                return Plugins::default();
            }
        };
        let mut options = plugin::setup::options(settings);
        options.runs_triggers = plan.agent_type.has_triggers();
        options.runs_actions = plan.agent_type.has_actions();
        options.sender.agent_id.clone_from(&plan.agent_id);
        Plugins::new(options, walls, seed)
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
