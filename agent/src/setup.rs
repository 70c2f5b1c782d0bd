//! From a checked configuration to what the loop runs with, at the start and at a reload.

use std::rc::Rc;

use http::Uri;
use mote_core::delivery::keep_ms;
use mote_core::log_line::Value;

use crate::config::proxy::{Proxies, Proxy};
use crate::config::server_url::metrics_uri;
use crate::config::settings::LogOutput;
use crate::config::{Persona, Secret, Settings, Warning};
use crate::face::ready_path;
use crate::log;
use crate::plugin::{self, Plugins};
use crate::service::orchestrator;
use crate::service::orchestrator::plan::in_orchestrators_words;
use crate::uplink::link::Link;
use crate::uplink::tls::{TlsChoice, TlsSettings};
use crate::uplink::{Uplink, UplinkSettings};

/// Largest answer of a metrics server that is read: it has nothing to say but words.
const BODY_BYTES: usize = 64 * 1024;

/// What can only be told when everything is looked at together.
#[derive(Debug)]
pub struct Plan {
    /// Where samples go; nowhere if nothing says where, and the device is looked at by itself.
    pub target: Option<Target>,
    /// The other server, if there is one.
    pub orchestrator: Option<orchestrator::Plan>,
}

/// A server that samples go to.
#[derive(Debug)]
pub struct Target {
    /// Where samples go.
    pub uri: Uri,
    /// The key.
    pub api_key: Secret,
    proxies: Rc<Proxies>,
    tls: TlsSettings,
}

impl Plan {
    /// Looks at `settings` as a whole; all that is wrong comes at once.
    pub fn of(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let orchestrator = orchestrator::Plan::of(settings)
            .map_err(|words| errors.extend(words))
            .unwrap_or_default();
        let has_other = orchestrator.is_some() || !errors.is_empty();
        let target = if is_alone(settings, has_other) {
            None
        } else {
            Target::of(settings)
                .map_err(|words| errors.extend(words))
                .ok()
        };
        if settings.log_output == LogOutput::File && settings.log_file.is_none() {
            errors.push("logging.output: file needs logging.file: set that too".into());
        }
        errors.extend(wrong_paths(settings));
        if errors.is_empty() {
            Ok(Self {
                target,
                orchestrator,
            })
        } else {
            Err(errors)
        }
    }

    /// What a person should be told that is not known before the files of certificates are read.
    pub fn warnings(&self) -> Vec<Warning> {
        let target = self.target.iter();
        let mut warnings: Vec<Warning> = target
            .flat_map(|target| target.tls.take_warnings())
            .map(Warning::strict)
            .collect();
        if let Some(plan) = &self.orchestrator {
            let told = plan.tls.take_warnings();
            let told = told.iter().map(|words| in_orchestrators_words(words));
            warnings.extend(told.map(Warning::strict));
            // What was chosen is no mistake.
            warnings.extend(plan.warnings.iter().map(|&words| Warning {
                words: words.into(),
                strict: false,
            }));
        }
        warnings
    }

    /// The plugins of this agent; none without an orchestrator.
    pub fn plugins(&self, settings: &Settings, seed: u64) -> Plugins {
        if self.orchestrator.is_none() {
            return Plugins::default();
        }
        match plugin::setup::walls(settings) {
            Ok(walls) => Plugins::new(plugin::setup::options(settings), walls, seed),
            Err(words) => {
                log::error("No plugin runs", &[("error", Value::Str(&words))]);
                Plugins::default()
            }
        }
    }
}

/// Whether it is meant to run without a metrics server: nothing is said of one, and there is an
/// orchestrator, or the device itself can be looked at. The agent that mote stands in for always
/// had one.
fn is_alone(settings: &Settings, has_other: bool) -> bool {
    let listens = settings.health_enabled || settings.metrics_enabled;
    let is_silent = settings.server_url.is_none() && settings.api_key.is_none();
    is_silent && (has_other || settings.persona == Persona::Mote && listens)
}

/// Two things cannot be at one path of one port.
fn wrong_paths(settings: &Settings) -> Option<String> {
    let address = |ip, port| (ip, port);
    let is_one_port = settings.health_enabled
        && settings.metrics_enabled
        && address(settings.health_bind, settings.health_port)
            == address(settings.metrics_bind, settings.metrics_port);
    let ready = ready_path(&settings.health_path);
    if settings.health_enabled && settings.health_path == ready {
        return Some("health.path: ready is at this path already: choose another".into());
    }
    let path = &settings.metrics_path;
    let is_taken = *path == settings.health_path || *path == ready;
    (is_one_port && is_taken).then(|| {
        format!("metrics.path: {path} is health's already, on the same port: choose another")
    })
}

impl Target {
    /// The server that `settings` name; all that is wrong or missing comes at once.
    pub fn of(settings: &Settings) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut keep = |words: String| errors.push(words);
        let uri = if let Some(url) = &settings.server_url {
            metrics_uri(url, settings.allow_http)
                .map_err(&mut keep)
                .ok()
        } else {
            keep(
                "server_url is missing: set it in the file, as MOTE_SERVER_URL, or with \
                 --server-url"
                    .into(),
            );
            None
        };
        let api_key = settings.api_key.clone().filter(|key| {
            let usable = key.fits_a_header();
            if !usable {
                keep(
                    "api_key has characters that an HTTP header cannot carry, or is longer than 3 KiB: is it the key \
                      itself?"
                        .into(),
                );
            }
            usable
        });
        if settings.api_key.is_none() {
            keep(
                "api_key is missing: set api_key or api_key_file in the file, as \
                  MOTE_API_KEY_FILE, or as the credential mote.api_key"
                    .into(),
            );
        }
        let tls = TlsSettings::new(TlsChoice::of_metrics_server(settings))
            .map_err(|words| keep(words.into()))
            .ok();
        let proxy = settings.proxy.as_ref();
        let proxy = proxy.map(|url| Proxy::parse(url.expose()).map_err(&mut keep));
        match (uri, api_key, tls, proxy.transpose()) {
            (Some(uri), Some(api_key), Some(tls), Ok(proxy)) => Ok(Self {
                uri,
                api_key,
                proxies: Rc::new(Proxies::new(proxy, settings.no_proxy.clone())),
                tls,
            }),
            _ => Err(errors),
        }
    }

    /// Its host and port, and nothing else of its URL.
    pub fn host_and_port(&self) -> String {
        let is_plain = self.uri.scheme_str() == Some("http");
        let usual = if is_plain { 80 } else { 443 };
        let port = self.uri.port_u16().unwrap_or(usual);
        format!("{}:{port}", self.uri.host().unwrap_or_default())
    }

    /// The proxy that the server is reached through, without its password; empty if there is none.
    pub fn proxy(&self) -> String {
        let host = self.uri.host().unwrap_or_default();
        let proxy = self.proxies.for_host(host);
        proxy.map_or_else(String::new, |proxy| {
            format!("{}:{}", proxy.host, proxy.port)
        })
    }

    /// The way to the server.
    pub fn uplink(&self, settings: &Settings, link: &Rc<Link>) -> Uplink {
        let times = UplinkSettings {
            connect_timeout_ms: settings.connect_timeout_ms,
            timeout_ms: settings.timeout_ms,
            keep_ms: keep_ms(settings.interval_ms),
            body_bytes: BODY_BYTES,
        };
        let proxies = Rc::clone(&self.proxies);
        Uplink::new(Rc::clone(link), self.tls.clone(), proxies, times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(settings: &Settings) -> Vec<String> {
        Plan::of(settings).err().unwrap_or_default()
    }

    #[test]
    fn without_a_server_it_runs_if_it_can_be_looked_at() {
        let plain = Settings::default();
        assert!(Plan::of(&plain).unwrap().target.is_none());
        let blind = Settings {
            health_enabled: false,
            ..plain.clone()
        };
        assert_eq!(errors(&blind).len(), 2, "server and key");
        let old = Settings {
            persona: Persona::LunaSentri,
            ..plain.clone()
        };
        assert_eq!(errors(&old).len(), 2);
        let half = Settings {
            api_key: Some(Secret::new("k".into())),
            ..plain
        };
        assert!(errors(&half)[0].starts_with("server_url is missing"));
    }

    #[test]
    fn two_things_at_one_path_are_refused() {
        let one_port = Settings {
            metrics_enabled: true,
            metrics_port: 8080,
            metrics_path: "/ready".into(),
            ..Settings::default()
        };
        assert!(errors(&one_port)[0].starts_with("metrics.path: /ready is health's"));
        let two_ports = Settings {
            metrics_port: 9090,
            ..one_port
        };
        assert!(errors(&two_ports).is_empty());
        let same = Settings {
            health_path: "/ready".into(),
            ..Settings::default()
        };
        assert!(errors(&same)[0].starts_with("health.path"));
    }

    #[test]
    fn of_a_url_only_host_and_port_are_shown() {
        for (url, shown) in [
            ("https://hub.example.com/api", "hub.example.com:443"),
            ("http://127.0.0.1/a", "127.0.0.1:80"),
            ("https://[::1]:8443", "[::1]:8443"),
        ] {
            let settings = Settings {
                server_url: Some(url.into()),
                api_key: Some(Secret::new("k".into())),
                ..Settings::default()
            };
            let target = Target::of(&settings).unwrap();
            assert_eq!(target.host_and_port(), shown);
        }
    }
}
