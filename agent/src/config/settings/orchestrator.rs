//! What the orchestrator's client runs with: `agent`, `api`, `security.tls`, `sensor`.

use std::path::PathBuf;

use super::{KeyOrigin, Secret, TlsVersion};

/// Which part of the orchestrator's work an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentType {
    /// Runs trigger plugins and reports events.
    Sensor,
    /// Carries instructions out.
    Action,
    /// Both, in one process.
    Both,
}

impl AgentType {
    /// As the orchestrator knows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Action => "action",
            Self::Both => "both",
        }
    }

    /// Whether triggers are run.
    pub const fn has_triggers(self) -> bool {
        !matches!(self, Self::Action)
    }

    /// Whether instructions to execute something are taken.
    pub const fn has_actions(self) -> bool {
        !matches!(self, Self::Sensor)
    }
}

/// How the agent proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthType {
    /// A client certificate.
    Certificate,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// A key.
    ApiKey,
}

/// How long the agent waits between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryBackoff {
    /// Twice as long each time.
    #[default]
    Exponential,
    /// The same each time.
    Constant,
}

/// The values of the keys.
#[derive(Debug, Clone, Default)]
pub struct OrchestratorSettings {
    /// `agent.id`: 1 to 64 letters, digits, dots, dashes and underscores.
    pub agent_id: Option<String>,
    /// `agent.type`.
    pub agent_type: Option<AgentType>,
    /// `agent.name`; the id if there is none.
    pub name: Option<String>,
    /// `agent.organization_id`.
    pub organization_id: Option<String>,
    /// `agent.environment`.
    pub environment: Option<String>,
    /// `agent.tags`.
    pub tags: Vec<String>,
    /// `agent.version`: what the operator calls this installation.
    pub version: Option<String>,
    /// `agent.region`.
    pub region: Option<String>,
    /// `agent.heartbeat_interval`.
    pub heartbeat_interval_ms: u64,
    /// `agent.registration_retry_interval`.
    pub registration_retry_ms: u64,
    /// `agent.poll_interval`.
    pub poll_interval_ms: u64,
    /// `agent.max_concurrent_tasks`.
    pub max_concurrent_tasks: u64,
    /// `agent.task_timeout`, for an instruction that names none.
    pub task_timeout_ms: u64,
    /// `api.base_url`.
    pub base_url: Option<String>,
    /// `api.timeout`, for a whole request.
    pub timeout_ms: u64,
    /// `api.user_agent`.
    pub user_agent: Option<String>,
    /// `api.retry.max_attempts`: failures in a row before the line about it is a warning.
    pub retry_max_attempts: u64,
    /// `api.retry.backoff`.
    pub retry_backoff: RetryBackoff,
    /// `api.retry.initial_interval`.
    pub retry_first_ms: u64,
    /// `api.retry.max_interval`.
    pub retry_max_ms: u64,
    /// `api.rate_limit.requests_per_second`.
    pub requests_per_second: u64,
    /// `api.rate_limit.burst`.
    pub burst: u64,
    /// `api.auth.type`.
    pub auth_type: Option<AuthType>,
    /// `api.auth.cert_file`.
    pub cert_file: Option<PathBuf>,
    /// `api.auth.key_file`.
    pub key_file: Option<PathBuf>,
    /// `api.auth.ca_file`.
    pub ca_file: Option<PathBuf>,
    /// `api.auth.token_file`.
    pub token_file: Option<PathBuf>,
    /// `api.auth.refresh_threshold`: how long before its end a token is looked for anew.
    pub refresh_threshold_ms: u64,
    /// `api.auth.api_key`, or what the file of the key or token holds.
    pub credential: Option<Secret>,
    /// Where the credential can be read again.
    pub credential_origin: KeyOrigin,
    /// `api.auth.api_key_file`.
    pub api_key_file: Option<PathBuf>,
    /// `security.tls.enabled`; false allows `http:` to other hosts.
    pub tls_enabled: bool,
    /// `security.tls.min_version`.
    pub tls_min_version: TlsVersion,
    /// `security.tls.server_name`.
    pub tls_server_name: Option<String>,
    /// `security.tls.insecure_skip_verify`: holds for this device's own loopback only.
    pub tls_insecure: bool,
    /// `security.tls.pins`: SHA-256 of the server's public key (RFC 7469).
    pub tls_pins: Vec<[u8; 32]>,
    /// `security.tls.cipher_suites`, as their numbers (IANA); all that there are if none.
    pub tls_suites: Vec<u16>,
    /// `sensor.batch_size`: events in one request, at most.
    pub batch_size: u64,
    /// `sensor.flush_interval`: how long an event waits for others to go along.
    pub flush_interval_ms: u64,
}

impl OrchestratorSettings {
    /// The name of this agent.
    pub fn name(&self) -> &str {
        let id = self.agent_id.as_deref().unwrap_or_default();
        self.name.as_deref().unwrap_or(id)
    }
}
