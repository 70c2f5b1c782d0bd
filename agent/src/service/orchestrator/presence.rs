//! That this agent is there: registration, the heartbeat, the farewell, and what a person should
//! look at, which the heartbeat says.
//!
//! A heartbeat that did not get through is due again as soon as the server may be called; else they
//! stay in step. An orchestrator that answers one with 404 forgot this agent: it is registered anew.

use mote_core::log_line::Value;
use mote_core::wire::orchestrator::{Heartbeat, HeartbeatStatus, Registration};

use super::server::Said;
use super::{Orchestrator, Standing, UNWRITABLE};
use crate::board::Figure;
use crate::clock;
use crate::config::settings::AgentType;
use crate::log;
use crate::uplink::Method;
use crate::uplink::link::Link;

/// Between two looks at what is about to end.
const LOOK_MS: u64 = 3_600_000;
/// For the farewell at a stop.
const FAREWELL_MS: u64 = 1_000;

impl Orchestrator {
    /// Says who this is.
    pub(super) fn register(&mut self) {
        let agent = &self.settings.orchestrator;
        let tags: Vec<&str> = agent.tags.iter().map(String::as_str).collect();
        let registration = Registration {
            agent_id: &self.plan.agent_id,
            name: agent.name(),
            agent_type: self.plan.agent_type.as_str(),
            organization_id: agent.organization_id.as_deref(),
            environment: agent.environment.as_deref(),
            region: agent.region.as_deref(),
            version: agent
                .version
                .as_deref()
                .unwrap_or(env!("CARGO_PKG_VERSION")),
            tags: &tags,
            hostname: &self.hostname,
            arch: std::env::consts::ARCH,
            capabilities: capabilities(self.plan.agent_type),
        };
        let mut body = Vec::new();
        let Ok(()) = registration.write(&mut body);
        let said = self.server.call(Method::Post, "/register", &body);
        self.register_ms = match said {
            Said::Good | Said::Refused(404 | 409) => {
                let words = match said {
                    Said::Good => "registered",
                    Said::Refused(409) => "known already",
                    _ => "it registers nobody",
                };
                log::info(
                    "Orchestrator reached",
                    &[("registration", Value::Str(words))],
                );
                None
            }
            Said::KeyRefused | Said::Stopped => return,
            Said::Refused(_) | Said::Nothing => {
                Some(clock::boot_ms() + agent.registration_retry_ms)
            }
        };
    }

    /// Says that this lives.
    pub(super) fn heartbeat(&mut self) {
        let status = if self.warnings.is_empty() {
            HeartbeatStatus::Online
        } else {
            HeartbeatStatus::Degraded
        };
        let interval_ms = self.settings.orchestrator.heartbeat_interval_ms;
        let due_ms = self.heartbeat_ms;
        match self.send_heartbeat(status) {
            Said::Nothing | Said::KeyRefused | Said::Stopped => {
                // As soon as the server may be called again: it is late already.
            }
            said @ (Said::Good | Said::Refused(_)) => {
                let now_ms = clock::boot_ms();
                if said == Said::Good {
                    self.figures.add(Figure::Heartbeats, 1);
                    self.last_heartbeat_ms = Some(now_ms);
                }
                if said == Said::Refused(404) && self.register_ms.is_none() {
                    // It forgot us.
                    let retry_ms = self.settings.orchestrator.registration_retry_ms;
                    self.register_ms = Some(now_ms + retry_ms);
                }
                // In step, unless that would mean several at once.
                self.heartbeat_ms = (due_ms + interval_ms).max(now_ms + interval_ms / 2);
            }
        }
    }

    fn send_heartbeat(&mut self, status: HeartbeatStatus) -> Said {
        let warnings: Vec<&str> = self.warnings.iter().map(String::as_str).collect();
        let heartbeat = Heartbeat {
            wall_ms: clock::wall_ms(),
            status,
            audit_head: None,
            warnings: &warnings,
        };
        let mut body = Vec::new();
        let Ok(()) = heartbeat.write(&mut body);
        self.server.call(Method::Post, "/heartbeat", &body)
    }

    /// Looks what a person should know of.
    pub(super) fn look(&mut self, now_ms: u64) {
        let wall_ms = clock::trusted_ms();
        self.certificate.look(now_ms, wall_ms);
        self.token = self.server.expiry();
        let ends = [self.token, self.certificate.expiry()];
        let ends = ends.into_iter().flatten();
        let mut warnings: Vec<String> = ends.filter_map(|end| end.words(wall_ms)).collect();
        if self.cannot_act() {
            warnings.push(UNWRITABLE.into());
        }
        for warning in &warnings {
            if !self.warnings.contains(warning) {
                log::warn("Orchestrator", &[("warning", Value::Str(warning))]);
            }
        }
        self.warnings = warnings;
        self.look_ms = now_ms + LOOK_MS;
    }

    /// Whether actions cannot run because their ledger cannot be written.
    pub(super) fn cannot_act(&self) -> bool {
        self.plan.agent_type.has_actions() && !self.desk.is_writable()
    }

    /// Ends what runs, keeps what came of it, and says goodbye. The agent was asked to stop.
    pub fn stop(&mut self, link: &Link) {
        link.reactor().end_plugins();
        self.take_events(&mut link.reactor().plugins, clock::boot_ms());
        self.desk.stop(&mut link.reactor().plugins);
        if self.server.standing() != Standing::Answering {
            return;
        }
        link.reactor().begin_farewell();
        self.server.be_patient_for(FAREWELL_MS);
        let said = self.send_heartbeat(HeartbeatStatus::Offline);
        let is_heard = said == Said::Good;
        log::info("Orchestrator told", &[("heard", Value::Bool(is_heard))]);
    }
}

const fn capabilities(agent_type: AgentType) -> &'static [&'static str] {
    match agent_type {
        AgentType::Sensor => &["triggers"],
        AgentType::Action => &["execute"],
        AgentType::Both => &["triggers", "execute"],
    }
}
