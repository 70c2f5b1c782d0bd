//! From a checked configuration to what the loop runs with, at the start and at a reload.

use std::sync::Arc;

use ureq::http::Uri;

use crate::config::proxy::{Proxies, Proxy};
use crate::config::server_url::metrics_uri;
use crate::config::settings::LogOutput;
use crate::config::{Secret, Settings};
use crate::uplink::link::Link;
use crate::uplink::tls::TlsSettings;
use crate::uplink::{Uplink, UplinkSettings};

/// What can only be told when everything is looked at together.
#[derive(Debug)]
pub struct Plan {
    /// Where samples go.
    pub uri: Uri,
    /// The key.
    pub api_key: Secret,
    proxies: Arc<Proxies>,
    tls: TlsSettings,
}

impl Plan {
    /// Looks at `settings` as a whole; all that is wrong comes at once.
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
        if settings.log_output == LogOutput::None && settings.log_file.is_none() {
            keep("logging.output: file needs logging.file: there would be no log at all".into());
        }
        let tls = TlsSettings::new(settings)
            .map_err(|words| keep(words.into()))
            .ok();
        let proxy = settings.proxy.as_ref();
        let proxy = proxy.map(|url| Proxy::parse(url.expose()).map_err(&mut keep));
        match (uri, api_key, tls, proxy.transpose()) {
            (Some(uri), Some(api_key), Some(tls), Ok(proxy)) => Ok(Self {
                uri,
                api_key,
                proxies: Arc::new(Proxies::new(proxy, settings.no_proxy.clone())),
                tls,
            }),
            _ => Err(errors),
        }
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
    pub fn uplink(&self, settings: &Settings, link: &Arc<Link>) -> Uplink {
        let times = UplinkSettings {
            connect_timeout_ms: settings.connect_timeout_ms,
            timeout_ms: settings.timeout_ms,
            // Longer than the interval: shaking hands is the dear part. Not much longer than a
            // router's table of connections remembers one that is silent.
            keep_ms: (settings.interval_ms * 2 + 60_000).min(240_000),
        };
        let proxies = Arc::clone(&self.proxies);
        Uplink::new(Arc::clone(link), self.tls.clone(), proxies, times)
    }
}
