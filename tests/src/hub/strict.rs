//! What a sample request must look like before the hub believes a word of it.
//!
//! A refusal has a status and words. Most are violations, which a well-behaved agent never causes;
//! a wrong key and a wrong place are not, since a user's configuration can be wrong.

use serde_json::Value;

use super::figures::{self, Form};
use super::http::Request;
use super::json;

/// What the hub expects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) path: &'a str,
    pub(super) api_key: &'a str,
    pub(super) form: Form,
    pub(super) absent_figures_allowed: bool,
}

/// A request that passed.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) key: String,
    pub(super) user_agent: String,
    pub(super) body: Value,
}

/// A request that did not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) words: String,
    pub(super) is_violation: bool,
}

fn violation(status: u16, words: impl Into<String>) -> Refusal {
    Refusal {
        status,
        words: words.into(),
        is_violation: true,
    }
}

fn misconfigured(status: u16, words: impl Into<String>) -> Refusal {
    Refusal {
        status,
        words: words.into(),
        is_violation: false,
    }
}

/// Checks place, method, key, headers and body, in that order.
pub(super) fn check(request: &Request, rules: Rules<'_>) -> Result<Passed, Refusal> {
    if request.path != rules.path {
        return Err(misconfigured(404, format!("nothing at {}", request.path)));
    }
    if request.method != "POST" {
        return Err(misconfigured(
            405,
            format!("{} is not POST", request.method),
        ));
    }
    let header = |name: &str| match request.header(name) {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(words) => Err(violation(400, words)),
    };
    match header("authorization")?.strip_prefix("Bearer ") {
        Some(key) if key == rules.api_key => {}
        Some(_) => return Err(misconfigured(401, "this key is not known here")),
        None => return Err(violation(401, "authorization is not `Bearer <key>`")),
    }
    let content_type = header("content-type")?;
    if content_type != "application/json" {
        let words = format!("content-type is {content_type:?}, not application/json");
        return Err(violation(415, words));
    }
    let user_agent = header("user-agent")?;
    if user_agent.is_empty() {
        return Err(violation(400, "user-agent is missing"));
    }
    let key = header("idempotency-key")?;
    if !is_idempotency_key(key) {
        let words = format!("idempotency-key is {key:?}, not <device>-<start>-<n>");
        return Err(violation(400, words));
    }
    let body = json::parse(&request.body)
        .map_err(|error| violation(400, format!("the body is not clean JSON: {error}")))?;
    figures::check(&body, rules.form, rules.absent_figures_allowed)
        .map_err(|words| violation(400, words))?;
    Ok(Passed {
        key: key.into(),
        user_agent: user_agent.into(),
        body,
    })
}

/// `<device>-<start>-<n>`: the device may have hyphens of its own; both numbers are plain decimals.
fn is_idempotency_key(key: &str) -> bool {
    let is_number = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok()
    };
    let mut parts = key.rsplitn(3, '-');
    let numbers = [parts.next(), parts.next()];
    numbers.iter().all(|part| part.is_some_and(is_number))
        && parts.next().is_some_and(|device| {
            !device.is_empty() && device.bytes().all(|b| b.is_ascii_graphic())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_have_a_device_and_two_numbers() {
        for right in ["box-1-1", "my-box-12-345", "b-0-0"] {
            assert!(is_idempotency_key(right), "{right}");
        }
        for wrong in [
            "", "box", "box-1", "-1-1", "box-1-", "box--1", "box-a-1", "box-1-+1",
        ] {
            assert!(!is_idempotency_key(wrong), "{wrong}");
        }
        assert!(!is_idempotency_key("my box-1-1"));
        assert!(!is_idempotency_key("box-1-18446744073709551616"));
    }
}
