//! From the checked configuration to what the orchestrator's client runs with.

use std::rc::Rc;

use crate::config::proxy::{Proxies, Proxy};
use crate::config::server_url::{Base, orchestrator_base};
use crate::config::settings::{AgentType, AuthType, OrchestratorSettings};
use crate::config::{Secret, Settings};
use crate::uplink::tls::{TlsChoice, TlsSettings};

/// What can only be told when everything is looked at together.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it is.
    pub base: Base,
    /// Id of this agent.
    pub agent_id: String,
    /// What it does.
    pub agent_type: AgentType,
    /// The key or token, where a certificate is not enough.
    pub credential: Option<Secret>,
    /// How connections are protected.
    pub tls: TlsSettings,
    /// The proxies that connections go through.
    pub proxies: Rc<Proxies>,
    /// What a person should be told.
    pub warnings: Vec<&'static str>,
}

impl Plan {
    /// The plan that `settings` amount to; none if they know no orchestrator. All that is wrong
    /// comes at once.
    pub fn of(settings: &Settings) -> Result<Option<Self>, Vec<String>> {
        let agent = &settings.orchestrator;
        let Some(base_url) = &agent.base_url else {
            return match agent.agent_type {
                None => Ok(None),
                Some(_) => Err(vec![
                    "api.base_url is missing: set it in the file, as MOTE_API_BASE_URL, or with \
                     --base-url"
                        .into(),
                ]),
            };
        };
        let mut errors = Vec::new();
        let mut keep = |words: String| errors.push(words);
        if agent.agent_id.is_none() {
            keep(
                "agent.id is missing: set it in the file, as MOTE_AGENT_ID, or with --agent-id"
                    .into(),
            );
        }
        if agent.agent_type.is_none() {
            keep("agent.type is missing: it is sensor, action or both".into());
        }
        let base = orchestrator_base(base_url, !agent.tls_enabled);
        let base = base.map_err(&mut keep).ok();
        check_credential(agent).unwrap_or_else(&mut keep);
        let is_loopback = base.as_ref().is_some_and(|base| base.is_loopback);
        if agent.tls_insecure && base.is_some() && !is_loopback {
            keep(
                "security.tls.insecure_skip_verify holds for this device's own loopback only: \
                 trust the orchestrator's certificate with api.auth.ca_file"
                    .into(),
            );
        }
        let is_plain = base.as_ref().is_some_and(|base| base.is_plain);
        let tls = TlsSettings::new(choice(settings, is_plain));
        let tls = tls
            .map_err(|words| keep(in_orchestrators_words(&words)))
            .ok();
        let proxy = settings.proxy.as_ref();
        let proxy = proxy.map(|url| Proxy::parse(url.expose()).map_err(&mut keep));
        let proxy = proxy.and_then(Result::ok);
        match (base, agent.agent_id.clone(), agent.agent_type, tls) {
            (Some(base), Some(agent_id), Some(agent_type), Some(tls)) if errors.is_empty() => {
                Ok(Some(Self {
                    warnings: warnings(agent, &base),
                    base,
                    agent_id,
                    agent_type,
                    credential: agent.credential.clone(),
                    tls,
                    proxies: Rc::new(Proxies::new(proxy, settings.no_proxy.clone())),
                }))
            }
            _ => Err(errors),
        }
    }
}

impl Plan {
    /// Takes back what only a restart changes: `settings` have it back already.
    pub fn keep_until_restart(&mut self, settings: &Settings) {
        let agent = &settings.orchestrator;
        if let (Some(agent_id), Some(agent_type)) = (&agent.agent_id, agent.agent_type) {
            self.agent_id.clone_from(agent_id);
            self.agent_type = agent_type;
        }
    }
}

fn check_credential(agent: &OrchestratorSettings) -> Result<(), String> {
    let has_certificate = agent.cert_file.is_some();
    match (agent.auth_type, &agent.credential) {
        (_, Some(credential)) if !credential.fits_a_header() => Err(
            "api.auth.api_key has characters that an HTTP header cannot carry, or is longer than \
             3 KiB: is it the key itself?"
                .into(),
        ),
        (Some(AuthType::Certificate), _) if !has_certificate => {
            Err("api.auth.type is certificate: set api.auth.cert_file and api.auth.key_file".into())
        }
        (Some(AuthType::Jwt), None) => Err(
            "api.auth.type is jwt: set api.auth.token_file, or give the credential mote.token"
                .into(),
        ),
        (Some(AuthType::ApiKey), None) => {
            Err("api.auth.type is api_key: set api.auth.api_key or api.auth.api_key_file".into())
        }
        (None, None) if !has_certificate => Err(
            "nothing proves to the orchestrator who this is: set api.auth.token_file, \
             api.auth.api_key, or api.auth.cert_file and api.auth.key_file"
                .into(),
        ),
        _ => Ok(()),
    }
}

fn choice(settings: &Settings, is_plain: bool) -> TlsChoice {
    if is_plain {
        // Nothing is protected, so no file is missed.
        return TlsChoice::default();
    }
    let agent = &settings.orchestrator;
    TlsChoice {
        ca_file: agent.ca_file.clone(),
        cert_file: agent.cert_file.clone(),
        key_file: agent.key_file.clone(),
        server_name: agent.tls_server_name.clone(),
        min_version: agent.tls_min_version,
        pins: agent.tls_pins.clone(),
        suites: agent.tls_suites.clone(),
        allow_unsynced_clock: false,
        any_certificate: agent.tls_insecure,
    }
}

fn warnings(agent: &OrchestratorSettings, base: &Base) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if agent.tls_insecure {
        warnings.push(
            "security.tls.insecure_skip_verify: whoever listens on the loopback is believed to be \
             the orchestrator",
        );
    }
    if base.is_plain && !base.is_loopback {
        warnings.push("api.base_url is http: the key goes over the network in the clear");
    }
    warnings
}

/// Words about TLS settings, with the keys called as they are for this server.
pub fn in_orchestrators_words(words: &str) -> String {
    ["ca_file", "cert_file", "key_file"]
        .iter()
        .fold(words.to_owned(), |words, key| {
            words.replace(&format!("tls.{key}"), &format!("api.auth.{key}"))
        })
        .replace("tls.server_name", "security.tls.server_name")
        .replace("tls.min_version", "security.tls.min_version")
        .replace("tls.pins", "security.tls.pins")
        .replace("check server_url", "check api.base_url")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl Fn(&mut OrchestratorSettings)) -> Settings {
        let mut settings = Settings::default();
        let agent = &mut settings.orchestrator;
        agent.base_url = Some("https://orchestrator.example.com/".into());
        agent.agent_id = Some("a1".into());
        agent.agent_type = Some(AgentType::Both);
        agent.credential = Some(Secret::new("token".into()));
        change(agent);
        settings
    }

    #[track_caller]
    fn refused(words: &str, change: impl Fn(&mut OrchestratorSettings)) {
        let errors = Plan::of(&settings(change)).unwrap_err().join("\n");
        assert!(errors.contains(words), "{errors}");
    }

    #[test]
    fn a_plan_needs_an_id_a_type_and_a_proof() {
        let plan = Plan::of(&settings(|_| ())).unwrap().unwrap();
        assert_eq!(plan.base.url, "https://orchestrator.example.com");
        assert!(plan.warnings.is_empty());
        assert!(Plan::of(&Settings::default()).unwrap().is_none());
        refused("agent.id is missing", |agent| agent.agent_id = None);
        refused("agent.type is missing", |agent| agent.agent_type = None);
        refused("api.base_url is missing", |agent| agent.base_url = None);
        refused("nothing proves", |agent| agent.credential = None);
        refused("set api.auth.token_file", |agent| {
            (agent.auth_type, agent.credential) = (Some(AuthType::Jwt), None);
        });
        refused("set api.auth.cert_file and", |agent| {
            agent.auth_type = Some(AuthType::Certificate);
        });
        refused(
            "api.auth.cert_file is set without api.auth.key_file",
            |agent| {
                agent.cert_file = Some("/nowhere".into());
            },
        );
    }

    #[test]
    fn the_clear_and_the_unverified_are_for_those_who_say_so() {
        let in_the_clear = |agent: &mut OrchestratorSettings| {
            agent.base_url = Some("http://192.0.2.1:8000".into());
        };
        refused("security.tls.enabled: false", in_the_clear);
        let plan = Plan::of(&settings(|agent| {
            in_the_clear(agent);
            agent.tls_enabled = false;
        }));
        assert_eq!(plan.unwrap().unwrap().warnings.len(), 1);
        refused("own loopback only", |agent| agent.tls_insecure = true);
        let local = Plan::of(&settings(|agent| {
            agent.tls_insecure = true;
            agent.base_url = Some("https://localhost:8000".into());
        }));
        assert_eq!(local.unwrap().unwrap().warnings.len(), 1);
    }
}
