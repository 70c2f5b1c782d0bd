//! The orchestrator's keys.

use super::{Key, Set, YEAR_MS, by_restart, flagged, listed, row};
use crate::config::value;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// `agent`, `api`, `security.tls`, and what `sensor` says of events.
pub(super) const KEYS: &[Key] = &[
    by_restart(flagged(
        "agent-id",
        row(
            "agent.id",
            "",
            "name that the orchestrator knows this agent by",
            Set::By(|s, v| {
                s.orchestrator.agent_id = value::unless_empty(v, value::agent_id)?;
                Ok(())
            }),
        ),
    )),
    by_restart(flagged(
        "agent-type",
        row(
            "agent.type",
            "",
            "what it does for the orchestrator: sensor, action, both",
            Set::By(|s, v| {
                s.orchestrator.agent_type = Some(value::agent_type(v)?);
                Ok(())
            }),
        ),
    )),
    row(
        "agent.name",
        "",
        "name for people (default: agent.id)",
        Set::Words(|s| &mut s.orchestrator.name),
    ),
    Key {
        aliases: &["agent.tenant_id"],
        ..by_restart(row(
            "agent.organization_id",
            "",
            "whose agent it is; instructions for others are refused",
            Set::Words(|s| &mut s.orchestrator.organization_id),
        ))
    },
    row(
        "agent.environment",
        "",
        "passed on to the orchestrator, as are version and region",
        Set::Words(|s| &mut s.orchestrator.environment),
    ),
    row(
        "agent.tags",
        "",
        "a list, passed on to the orchestrator",
        Set::List(|s| &mut s.orchestrator.tags),
    ),
    row(
        "agent.version",
        "",
        "version of this installation (default: mote's)",
        Set::Words(|s| &mut s.orchestrator.version),
    ),
    row(
        "agent.region",
        "",
        "where it is, passed on",
        Set::Words(|s| &mut s.orchestrator.region),
    ),
    Key {
        aliases: &["agent.heartbeat"],
        ..row(
            "agent.heartbeat_interval",
            "30s",
            "time between two heartbeats",
            Set::DurationMs(|s| &mut s.orchestrator.heartbeat_interval_ms, 1_000, DAY_MS),
        )
    },
    row(
        "agent.registration_retry_interval",
        "60s",
        "time between two attempts to register",
        Set::DurationMs(|s| &mut s.orchestrator.registration_retry_ms, 1_000, DAY_MS),
    ),
    row(
        "agent.poll_interval",
        "10s",
        "time between two looks for an instruction, until the server says",
        Set::DurationMs(|s| &mut s.orchestrator.poll_interval_ms, 1_000, HOUR_MS),
    ),
    row(
        "agent.max_concurrent_tasks",
        "2",
        "instructions carried out at a time",
        Set::Count(|s| &mut s.orchestrator.max_concurrent_tasks, 1, 64),
    ),
    row(
        "agent.task_timeout",
        "5m",
        "for an instruction that names no time",
        Set::DurationMs(|s| &mut s.orchestrator.task_timeout_ms, 1_000, DAY_MS),
    ),
    flagged(
        "base-url",
        row(
            "api.base_url",
            "",
            "https URL of the orchestrator",
            Set::Words(|s| &mut s.orchestrator.base_url),
        ),
    ),
    row(
        "api.timeout",
        "30s",
        "for a whole request to it",
        Set::DurationMs(|s| &mut s.orchestrator.timeout_ms, 100, HOUR_MS),
    ),
    row(
        "api.user_agent",
        "",
        "how requests introduce themselves (default: Stavily-Agent/VERSION)",
        Set::Words(|s| &mut s.orchestrator.user_agent),
    ),
    Key {
        aliases: &["api.retry_attempts"],
        ..row(
            "api.retry.max_attempts",
            "3",
            "failures before the orchestrator counts as away",
            Set::Count(|s| &mut s.orchestrator.retry_max_attempts, 0, 1_000),
        )
    },
    row(
        "api.retry.backoff",
        "exponential",
        "delays after failures: exponential or constant",
        Set::By(|s, v| {
            s.orchestrator.retry_backoff = value::retry_backoff(v)?;
            Ok(())
        }),
    ),
    Key {
        aliases: &["api.retry_delay"],
        ..row(
            "api.retry.initial_interval",
            "1s",
            "first delay after a failure",
            Set::DurationMs(|s| &mut s.orchestrator.retry_first_ms, 10, YEAR_MS),
        )
    },
    row(
        "api.retry.max_interval",
        "60s",
        "longest delay after failures",
        Set::DurationMs(|s| &mut s.orchestrator.retry_max_ms, 10, YEAR_MS),
    ),
    Key {
        aliases: &["api.rate_limit_rps"],
        ..row(
            "api.rate_limit.requests_per_second",
            "10",
            "requests a second, at most",
            Set::Count(|s| &mut s.orchestrator.requests_per_second, 1, 1_000),
        )
    },
    row(
        "api.rate_limit.burst",
        "20",
        "requests at once after a quiet time",
        Set::Count(|s| &mut s.orchestrator.burst, 1, 1_000),
    ),
    Key {
        aliases: &["security.auth.type", "security.auth.method"],
        ..row(
            "api.auth.type",
            "",
            "certificate, jwt or api_key (default: by what is given)",
            Set::By(|s, v| {
                s.orchestrator.auth_type = value::unless_empty(v, value::auth_type)?;
                Ok(())
            }),
        )
    },
    Key {
        aliases: &["security.tls.cert_file"],
        ..row(
            "api.auth.cert_file",
            "",
            "PEM certificate that this agent shows",
            Set::Path(|s| &mut s.orchestrator.cert_file),
        )
    },
    Key {
        aliases: &["security.tls.key_file"],
        ..row(
            "api.auth.key_file",
            "",
            "PEM key of that certificate",
            Set::Path(|s| &mut s.orchestrator.key_file),
        )
    },
    Key {
        aliases: &["security.tls.ca_file"],
        ..row(
            "api.auth.ca_file",
            "",
            "PEM file trusted instead of the built-in roots",
            Set::Path(|s| &mut s.orchestrator.ca_file),
        )
    },
    Key {
        aliases: &["security.auth.token_file"],
        ..row(
            "api.auth.token_file",
            "",
            "file that holds the token; read again when it changes",
            Set::Path(|s| &mut s.orchestrator.token_file),
        )
    },
    row(
        "api.auth.refresh_threshold",
        "5m",
        "how long before its end a newer token is looked for",
        Set::DurationMs(|s| &mut s.orchestrator.refresh_threshold_ms, 0, YEAR_MS),
    ),
    Key {
        secret: true,
        aliases: &["security.auth.api_key"],
        ..row(
            "api.auth.api_key",
            "",
            "key that the orchestrator knows this agent by",
            Set::Secret(|s| &mut s.orchestrator.credential),
        )
    },
    Key {
        aliases: &["security.auth.api_key_file"],
        ..row(
            "api.auth.api_key_file",
            "",
            "file that holds that key",
            Set::Path(|s| &mut s.orchestrator.api_key_file),
        )
    },
    row(
        "security.tls.enabled",
        "true",
        "false allows http: to an orchestrator on another host",
        Set::Truth(|s| &mut s.orchestrator.tls_enabled),
    ),
    row(
        "security.tls.min_version",
        "1.3",
        "oldest TLS version: 1.2 or 1.3",
        Set::By(|s, v| {
            s.orchestrator.tls_min_version = value::tls_version(v)?;
            Ok(())
        }),
    ),
    row(
        "security.tls.server_name",
        "",
        "name the orchestrator's certificate must have",
        Set::Words(|s| &mut s.orchestrator.tls_server_name),
    ),
    row(
        "security.tls.insecure_skip_verify",
        "false",
        "trust any certificate, of this device's own loopback only",
        Set::Truth(|s| &mut s.orchestrator.tls_insecure),
    ),
    listed(row(
        "security.tls.pins",
        "",
        "sha256/BASE64 of server keys to insist on, with commas",
        Set::By(|s, v| {
            s.orchestrator.tls_pins = value::pins(v)?;
            Ok(())
        }),
    )),
    listed(row(
        "security.tls.cipher_suites",
        "",
        "a list of those that may be used (default: all)",
        Set::By(|s, v| {
            s.orchestrator.tls_suites = value::cipher_suites(v)?;
            Ok(())
        }),
    )),
    row(
        "sensor.batch_size",
        "10",
        "events in one request, at most",
        Set::Count(|s| &mut s.orchestrator.batch_size, 1, 100),
    ),
    row(
        "sensor.flush_interval",
        "5s",
        "how long an event waits for others to go along",
        Set::DurationMs(|s| &mut s.orchestrator.flush_interval_ms, 0, HOUR_MS),
    ),
];
