//! What becomes of instructions, and what happened on the device.

use embedded_io::Write;

use super::write::{Entry, ObjectWriter};
use crate::text::write_json_str;
use crate::time::UnixMs;

/// Writes the body of `PUT /agents/v1/{id}/instructions/{iid}`: it is taken up.
pub fn write_executing<W: Write>(out: &mut W, log: &[Entry<'_>]) -> Result<(), W::Error> {
    let mut body = ObjectWriter::begin(out)?;
    body.str("status", "executing")?;
    body.entries("execution_log", log)?;
    body.end()
}

/// How an instruction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeStatus {
    /// As asked.
    Completed,
    /// Not as asked, or not at all.
    Failed,
    /// It took too long and was ended.
    Timeout,
}

impl OutcomeStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

/// The body of `POST /agents/v1/{id}/instructions/{iid}/result`.
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// Id of the instruction.
    pub instruction_id: &'a str,
    /// How it ended.
    pub status: OutcomeStatus,
    /// When it began; when it was refused, if it never did.
    pub start_ms: UnixMs,
    /// When it ended.
    pub end_ms: UnixMs,
    /// How long it took by a clock that nobody sets.
    pub duration_ms: u64,
    /// What the plugin said beside its result, line by line.
    pub logs: &'a [&'a str],
    /// What was executed, if anything was.
    pub execution: Option<Execution<'a>>,
    /// What was installed, if anything was.
    pub installation: Option<Installation<'a>>,
    /// Why it did not go as asked.
    pub error_message: Option<&'a str>,
    /// More of that, a JSON object.
    pub error_details: Option<&'a str>,
    /// What the agent did, step by step.
    pub execution_log: &'a [Entry<'a>],
    /// What the instruction wants to be known by.
    pub correlation_id: Option<&'a str>,
    /// The trace it belongs to (W3C Trace Context).
    pub traceparent: Option<&'a str>,
}

/// The part of a result that is about a plugin's run.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    /// The plugin.
    pub plugin_id: &'a str,
    /// What it gave back, a JSON object.
    pub output_data: &'a str,
    /// Its exit code, if it ended by itself.
    pub exit_code: Option<i32>,
}

/// The part of a result that is about an installation.
#[derive(Debug, Clone, Copy)]
pub struct Installation<'a> {
    /// The plugin.
    pub plugin_id: &'a str,
    /// Where it is now.
    pub installed_path: Option<&'a str>,
    /// Which version.
    pub version: Option<&'a str>,
}

impl Outcome<'_> {
    /// Writes the body.
    pub fn write<W: Write>(&self, out: &mut W) -> Result<(), W::Error> {
        let mut body = ObjectWriter::begin(out)?;
        body.str("status", self.status.as_str())?;
        self.write_result(body.key("result")?)?;
        body.known_str("error_message", self.error_message)?;
        if let Some(details) = self.error_details {
            body.raw("error_details", details)?;
        }
        body.entries("execution_log", self.execution_log)?;
        body.end()
    }

    fn write_result<W: Write>(&self, out: &mut W) -> Result<(), W::Error> {
        let success = self.status == OutcomeStatus::Completed;
        let mut result = ObjectWriter::begin(out)?;
        result.str("instruction_id", self.instruction_id)?;
        result.truth("success", success)?;
        result.seconds("duration", self.duration_ms)?;
        result.time("start_time", self.start_ms)?;
        result.time("end_time", self.end_ms)?;
        result.strs("logs", self.logs.iter().copied())?;
        result.known_str("correlation_id", self.correlation_id)?;
        result.known_str("traceparent", self.traceparent)?;
        if let Some(execution) = self.execution {
            let mut part = ObjectWriter::begin(result.key("execution_result")?)?;
            part.str("plugin_id", execution.plugin_id)?;
            part.truth("success", success)?;
            part.raw("output_data", execution.output_data)?;
            part.strs("logs", self.logs.iter().copied())?;
            part.seconds("duration", self.duration_ms)?;
            if let Some(code) = execution.exit_code {
                part.int("exit_code", code.into())?;
            }
            part.end()?;
        }
        if let Some(installation) = self.installation {
            let mut part = ObjectWriter::begin(result.key("install_result")?)?;
            part.str("plugin_id", installation.plugin_id)?;
            part.truth("success", success)?;
            part.known_str("installed_path", installation.installed_path)?;
            part.known_str("version", installation.version)?;
            part.strs("logs", self.logs.iter().copied())?;
            part.seconds("duration", self.duration_ms)?;
            part.end()?;
        }
        result.end()
    }
}

/// Writes the body of `POST /agents/v1/{id}/events`; `events` are JSON objects.
pub fn write_events<'e, W: Write>(
    out: &mut W,
    agent_id: &str,
    events: impl IntoIterator<Item = &'e str>,
) -> Result<(), W::Error> {
    out.write_all(b"{\"agent_id\":")?;
    write_json_str(out, agent_id)?;
    out.write_all(b",\"events\":[")?;
    for (at, event) in events.into_iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(event.as_bytes())?;
    }
    out.write_all(b"]}")
}
