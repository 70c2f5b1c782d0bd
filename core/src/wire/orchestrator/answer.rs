//! What the orchestrator answers.

use core::fmt;

use crate::json::{self, Array, JsonError, Object, Value};

/// Largest answer that is read, in bytes; an instruction is part of one.
pub const ANSWER_BYTES: usize = 1024 * 1024;
/// However soon an orchestrator wants to be asked again, and however late.
const POLL_LEAST_MS: u64 = 1_000;
const POLL_MOST_MS: u64 = 3_600_000;

/// Why an answer means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// It is not a JSON object.
    Json(JsonError),
    /// This member is not what it should be.
    Member(&'static str, &'static str),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Member(name, wanted) => write!(f, "{name} must be {wanted}"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// The answer to `GET /agents/v1/{id}/instructions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll<'a> {
    /// What is to be done; not checked yet.
    pub instruction: Option<Object<'a>>,
    /// When to ask again, from 1 s to 1 h; none if it does not say, or nothing that is a time.
    pub next_poll_ms: Option<u64>,
}

impl<'a> Poll<'a> {
    /// Reads the answer.
    pub fn read(body: &'a [u8]) -> Result<Self, AnswerError> {
        let answer = object(body)?;
        let seconds = answer.present("next_poll_interval");
        let next_poll_ms =
            seconds
                .and_then(Value::as_number)
                .and_then(|number| match number.scaled(3) {
                    Some(ms) => Some(ms.clamp(POLL_LEAST_MS, POLL_MOST_MS)),
                    // Below zero means nothing; what is too large for the type means late.
                    None if number.is_negative() => None,
                    None => Some(POLL_MOST_MS),
                });
        Ok(Self {
            instruction: object_or_null(answer, "instruction")?,
            next_poll_ms,
        })
    }
}

/// The answer to a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultAnswer<'a> {
    /// It is the orchestrator's now. One that does not say so, but answered well, has it.
    pub acknowledged: bool,
    /// What is to be done next; not checked yet.
    pub next_instruction: Option<Object<'a>>,
}

impl<'a> ResultAnswer<'a> {
    /// Reads the answer; a body that is empty acknowledges.
    pub fn read(body: &'a [u8]) -> Result<Self, AnswerError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self {
                acknowledged: true,
                next_instruction: None,
            });
        }
        let answer = object(body)?;
        let acknowledged = answer.present("acknowledged").and_then(Value::as_bool);
        Ok(Self {
            acknowledged: acknowledged.unwrap_or(true),
            next_instruction: object_or_null(answer, "next_instruction")?,
        })
    }
}

/// The answer to events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsAnswer<'a> {
    failed: Option<Array<'a>>,
}

impl<'a> EventsAnswer<'a> {
    /// Reads the answer; a body that is empty has taken all.
    pub fn read(body: &'a [u8]) -> Result<Self, AnswerError> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { failed: None });
        }
        let failed = match object(body)?.present("failed_events") {
            None => None,
            Some(Value::Array(failed)) => Some(failed),
            Some(_) => return Err(AnswerError::Member("failed_events", "a list of ids")),
        };
        Ok(Self { failed })
    }

    /// Whether the event of this id was not taken.
    pub fn has_failed(&self, id: &str) -> bool {
        let mut failed = self.failed.iter().flat_map(|failed| failed.elements());
        failed.any(|element| element.as_str().is_some_and(|text| text.is(id)))
    }
}

fn object(body: &[u8]) -> Result<Object<'_>, AnswerError> {
    json::read(body, ANSWER_BYTES).map_err(AnswerError::Json)
}

fn object_or_null<'a>(
    answer: Object<'a>,
    name: &'static str,
) -> Result<Option<Object<'a>>, AnswerError> {
    match answer.present(name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(AnswerError::Member(name, "an object or null")),
    }
}
