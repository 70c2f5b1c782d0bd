//! Who the agent is, and that it lives.

use embedded_io::Write;

use super::write::ObjectWriter;
use crate::time::UnixMs;

/// The body of `POST /agents/v1/{id}/register`.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// Id of the agent.
    pub agent_id: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// `sensor`, `action` or `both`.
    pub agent_type: &'a str,
    /// Whose it is.
    pub organization_id: Option<&'a str>,
    /// As configured.
    pub environment: Option<&'a str>,
    /// As configured.
    pub region: Option<&'a str>,
    /// Version of the installation, or of the program.
    pub version: &'a str,
    /// As configured.
    pub tags: &'a [&'a str],
    /// Name of the device.
    pub hostname: &'a str,
    /// CPU architecture, as `uname -m` says.
    pub arch: &'a str,
    /// What it can do.
    pub capabilities: &'a [&'a str],
}

impl Registration<'_> {
    /// Writes the body.
    pub fn write<W: Write>(&self, out: &mut W) -> Result<(), W::Error> {
        let mut body = ObjectWriter::begin(out)?;
        body.str("agent_id", self.agent_id)?;
        body.str("name", self.name)?;
        body.str("type", self.agent_type)?;
        body.known_str("organization_id", self.organization_id)?;
        body.known_str("environment", self.environment)?;
        body.known_str("region", self.region)?;
        body.str("version", self.version)?;
        body.strs("tags", self.tags.iter().copied())?;
        body.str("hostname", self.hostname)?;
        body.str("os", "linux")?;
        body.str("arch", self.arch)?;
        body.strs("capabilities", self.capabilities.iter().copied())?;
        body.end()
    }
}

/// How the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatStatus {
    /// All is well.
    Online,
    /// It works, and a person should look.
    Degraded,
    /// It is about to end, as asked.
    Offline,
}

impl HeartbeatStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
        }
    }
}

/// The body of `POST /agents/v1/{id}/heartbeat`.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    /// Now.
    pub wall_ms: UnixMs,
    /// How it is doing.
    pub status: HeartbeatStatus,
    /// The newest hash of the audit log, if there is one.
    pub audit_head: Option<&'a str>,
    /// What a person should look at; left out if there is nothing.
    pub warnings: &'a [&'a str],
}

impl Heartbeat<'_> {
    /// Writes the body.
    pub fn write<W: Write>(&self, out: &mut W) -> Result<(), W::Error> {
        let mut body = ObjectWriter::begin(out)?;
        body.time("timestamp", self.wall_ms)?;
        body.str("status", self.status.as_str())?;
        body.known_str("audit_head", self.audit_head)?;
        if !self.warnings.is_empty() {
            body.strs("warnings", self.warnings.iter().copied())?;
        }
        body.end()
    }
}
