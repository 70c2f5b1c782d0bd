//! Values that are one of a few words.

use mote_core::delivery::Backfill;
use mote_core::log_line::Level;
use mote_core::wire::lunasentri::Form;

use super::must_be;
use crate::config::settings::{AgentType, AuthType, LogFormat, LogOutput, RetryBackoff};

/// True or false, in the spellings of YAML 1.2 (core schema, section 10.3.2).
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(must_be(text, "true or false")),
    }
}

/// Which names a payload carries.
pub fn form(text: &str) -> Result<Form, String> {
    match text {
        "both" => Ok(Form::Both),
        "documented" => Ok(Form::Documented),
        "live" => Ok(Form::Live),
        _ => Err(must_be(text, "both, documented or live")),
    }
}

/// Whether held samples are sent later.
pub fn backfill(text: &str) -> Result<Backfill, String> {
    match text {
        "auto" => Ok(Backfill::Auto),
        // YAML 1.1 readers turn these two into true and false; so do people.
        "on" | "true" => Ok(Backfill::On),
        "off" | "false" => Ok(Backfill::Off),
        _ => Err(must_be(text, "auto, on or off")),
    }
}

/// What an agent does.
pub fn agent_type(text: &str) -> Result<AgentType, String> {
    match text {
        "sensor" => Ok(AgentType::Sensor),
        "action" => Ok(AgentType::Action),
        "both" => Ok(AgentType::Both),
        _ => Err(must_be(text, "sensor, action or both")),
    }
}

/// How an agent proves who it is.
pub fn auth_type(text: &str) -> Result<AuthType, String> {
    match text {
        "certificate" => Ok(AuthType::Certificate),
        "jwt" => Ok(AuthType::Jwt),
        "api_key" => Ok(AuthType::ApiKey),
        _ => Err(must_be(text, "certificate, jwt or api_key")),
    }
}

/// How delays grow.
pub fn retry_backoff(text: &str) -> Result<RetryBackoff, String> {
    match text {
        "exponential" => Ok(RetryBackoff::Exponential),
        "constant" | "fixed" => Ok(RetryBackoff::Constant),
        _ => Err(must_be(text, "exponential or constant")),
    }
}

/// How log lines are written.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" | "console" => Ok(LogFormat::Text),
        _ => Err(must_be(text, "json or text")),
    }
}

/// Where log lines go.
pub fn log_output(text: &str) -> Result<LogOutput, String> {
    match text {
        "stdout" => Ok(LogOutput::Stdout),
        "stderr" => Ok(LogOutput::Stderr),
        "file" => Ok(LogOutput::File),
        "none" => Ok(LogOutput::None),
        _ => Err(must_be(text, "stdout, stderr, file or none")),
    }
}

/// The lowest level that is logged.
pub fn level(text: &str) -> Result<Level, String> {
    match text {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" | "warning" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        _ => Err(must_be(text, "debug, info, warn or error")),
    }
}
