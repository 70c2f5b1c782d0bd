//! What each message of an agent must look like: names, types and agreement, nothing more allowed.

use serde_json::{Map, Value};

use super::super::figures::timestamp_ms;

/// What may stand under a name.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// RFC 3339 in UTC with milliseconds.
    Time,
    Texts,
    /// `[2025-07-01T12:00:00.000Z] words` each.
    Log,
    Seconds,
    Whole,
    Truth,
    Object,
}

/// A name, what may stand there, and whether it must be there.
type Field = (&'static str, Kind, bool);

const REGISTRATION: &[Field] = &[
    ("agent_id", Kind::Text, true),
    ("name", Kind::Text, true),
    ("type", Kind::Word(&["sensor", "action", "both"]), true),
    ("organization_id", Kind::Text, false),
    ("environment", Kind::Text, false),
    ("region", Kind::Text, false),
    ("version", Kind::Text, true),
    ("tags", Kind::Texts, true),
    ("hostname", Kind::Text, true),
    ("os", Kind::Word(&["linux"]), true),
    ("arch", Kind::Text, true),
    ("capabilities", Kind::Texts, true),
];

const HEARTBEAT: &[Field] = &[
    ("timestamp", Kind::Time, true),
    (
        "status",
        Kind::Word(&["online", "degraded", "offline"]),
        true,
    ),
    ("audit_head", Kind::Text, false),
    ("warnings", Kind::Texts, false),
];

const EXECUTING: &[Field] = &[
    ("status", Kind::Word(&["executing"]), true),
    ("execution_log", Kind::Log, true),
];

const RESULT: &[Field] = &[
    (
        "status",
        Kind::Word(&["completed", "failed", "timeout"]),
        true,
    ),
    ("result", Kind::Object, true),
    ("error_message", Kind::Text, false),
    ("error_details", Kind::Object, false),
    ("execution_log", Kind::Log, true),
];

const RESULT_INSIDE: &[Field] = &[
    ("instruction_id", Kind::Text, true),
    ("success", Kind::Truth, true),
    ("duration", Kind::Seconds, true),
    ("start_time", Kind::Time, true),
    ("end_time", Kind::Time, true),
    ("logs", Kind::Texts, true),
    ("correlation_id", Kind::Text, false),
    ("traceparent", Kind::Text, false),
    ("execution_result", Kind::Object, false),
    ("install_result", Kind::Object, false),
];

const EXECUTION: &[Field] = &[
    ("plugin_id", Kind::Text, true),
    ("success", Kind::Truth, true),
    ("output_data", Kind::Object, true),
    ("logs", Kind::Texts, true),
    ("duration", Kind::Seconds, true),
    ("exit_code", Kind::Whole, false),
];

const INSTALLATION: &[Field] = &[
    ("plugin_id", Kind::Text, true),
    ("success", Kind::Truth, true),
    ("installed_path", Kind::Text, false),
    ("version", Kind::Text, false),
    ("logs", Kind::Texts, true),
    ("duration", Kind::Seconds, true),
];

const EVENT: &[Field] = &[
    ("id", Kind::Text, true),
    ("type", Kind::Text, true),
    ("source", Kind::Text, true),
    ("timestamp", Kind::Time, true),
    ("data", Kind::Object, true),
    ("metadata", Kind::Object, true),
    ("tags", Kind::Texts, true),
    (
        "severity",
        Kind::Word(&["low", "medium", "high", "critical"]),
        true,
    ),
    ("agent_id", Kind::Text, true),
    ("tenant_id", Kind::Text, false),
];

/// Checks a registration of `agent`.
pub(super) fn registration(body: &Value, agent: &str) -> Result<(), String> {
    let body = check(body, REGISTRATION, "")?;
    same(body, "agent_id", agent)
}

/// Checks a heartbeat.
pub(super) fn heartbeat(body: &Value) -> Result<(), String> {
    check(body, HEARTBEAT, "").map(drop)
}

/// Checks the word that an instruction is taken up.
pub(super) fn executing(body: &Value) -> Result<(), String> {
    check(body, EXECUTING, "").map(drop)
}

/// Checks the result of `instruction`.
pub(super) fn result(body: &Value, instruction: &str) -> Result<(), String> {
    let outer = check(body, RESULT, "")?;
    let inner = check(&outer["result"], RESULT_INSIDE, "result.")?;
    same(inner, "instruction_id", instruction)?;
    let is_completed = outer["status"] == "completed";
    if inner["success"] != is_completed {
        return Err("result.success does not agree with status".into());
    }
    if outer.contains_key("error_message") == is_completed {
        return Err("error_message belongs to what was not completed".into());
    }
    for (name, fields) in [
        ("execution_result", EXECUTION),
        ("install_result", INSTALLATION),
    ] {
        if let Some(part) = inner.get(name) {
            let part = check(part, fields, &format!("result.{name}."))?;
            if part["success"] != is_completed {
                return Err(format!("result.{name}.success does not agree with status"));
            }
        }
    }
    Ok(())
}

/// Checks a batch of events of `agent`; gives their ids.
pub(super) fn events(body: &Value, agent: &str) -> Result<Vec<String>, String> {
    let fields = object(body, "")?;
    let names: Vec<&String> = fields.keys().collect();
    if names != ["agent_id", "events"] {
        return Err(format!("events have {names:?}, not agent_id and events"));
    }
    same(fields, "agent_id", agent)?;
    let Some(events) = fields["events"].as_array().filter(|list| !list.is_empty()) else {
        return Err("events is no list, or an empty one".into());
    };
    let mut ids = Vec::new();
    for event in events {
        let event = check(event, EVENT, "event.")?;
        same(event, "agent_id", agent)?;
        ids.extend(event["id"].as_str().map(str::to_owned));
    }
    Ok(ids)
}

fn same(fields: &Map<String, Value>, name: &str, wanted: &str) -> Result<(), String> {
    match &fields[name] {
        Value::String(found) if found == wanted => Ok(()),
        found => Err(format!("{name} is {found}, not {wanted:?}")),
    }
}

fn object<'a>(value: &'a Value, place: &str) -> Result<&'a Map<String, Value>, String> {
    let found = value.as_object();
    found.ok_or_else(|| format!("{place} is no object"))
}

fn check<'a>(
    value: &'a Value,
    fields: &[Field],
    place: &str,
) -> Result<&'a Map<String, Value>, String> {
    let found = object(value, place)?;
    for (name, kind, is_needed) in fields {
        match found.get(*name) {
            Some(value) => fits(value, *kind).map_err(|words| format!("{place}{name} {words}"))?,
            None if *is_needed => return Err(format!("{place}{name} is missing")),
            None => {}
        }
    }
    let known = |name: &&String| !fields.iter().any(|(field, ..)| field == name);
    match found.keys().find(known) {
        Some(name) => Err(format!("{place}{name} is not in the form")),
        None => Ok(found),
    }
}

fn fits(value: &Value, kind: Kind) -> Result<(), String> {
    let texts = |each: &dyn Fn(&str) -> bool| {
        let list = value.as_array();
        list.is_some_and(|list| list.iter().all(|item| item.as_str().is_some_and(each)))
    };
    let (is_right, wanted) = match kind {
        Kind::Text => (value.as_str().is_some_and(|text| !text.is_empty()), "text"),
        Kind::Word(words) => (
            value.as_str().is_some_and(|word| words.contains(&word)),
            "one of the known words",
        ),
        Kind::Time => (
            value.as_str().and_then(timestamp_ms).is_some(),
            "a time like 2025-10-10T16:32:42.118Z",
        ),
        Kind::Texts => (texts(&|_| true), "a list of texts"),
        Kind::Log => (texts(&is_log_entry), "a list of log entries"),
        Kind::Seconds => (
            value.as_f64().is_some_and(|s| s >= 0.0),
            "a number of seconds",
        ),
        Kind::Whole => (value.is_i64(), "a whole number"),
        Kind::Truth => (value.is_boolean(), "true or false"),
        Kind::Object => (value.is_object(), "an object"),
    };
    if is_right {
        Ok(())
    } else {
        Err(format!("is {value}, not {wanted}"))
    }
}

fn is_log_entry(text: &str) -> bool {
    let time = text
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "));
    time.is_some_and(|(time, words)| timestamp_ms(time).is_some() && !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn good_messages_pass() {
        let beat = json!({"timestamp": "2025-07-01T12:00:00.000Z", "status": "online"});
        assert_eq!(heartbeat(&beat), Ok(()));
        let entry = "[2025-07-01T12:00:00.000Z] taken up";
        let taken = json!({"status": "executing", "execution_log": [entry]});
        assert_eq!(executing(&taken), Ok(()));
        let part = json!({"plugin_id": "p", "success": false, "output_data": {}, "logs": [],
            "duration": 0.5, "exit_code": 1});
        let inner = json!({"instruction_id": "i", "success": false, "duration": 0.5,
            "start_time": "2025-07-01T12:00:00.000Z", "end_time": "2025-07-01T12:00:00.500Z",
            "logs": [], "execution_result": part});
        let failed = json!({"status": "failed", "result": inner, "error_message": "x",
            "execution_log": []});
        assert_eq!(result(&failed, "i"), Ok(()));
        assert!(result(&failed, "other").is_err());
    }

    #[test]
    fn one_thing_wrong_is_enough() {
        for (beat, words) in [
            (json!({"status": "online"}), "timestamp is missing"),
            (
                json!({"timestamp": "2025-07-01T12:00:00Z", "status": "online"}),
                "timestamp is",
            ),
            (
                json!({"timestamp": "2025-07-01T12:00:00.000Z", "status": "well"}),
                "status is",
            ),
            (
                json!({"timestamp": "2025-07-01T12:00:00.000Z", "status": "online", "x": 1}),
                "x is not in the form",
            ),
        ] {
            let error = heartbeat(&beat).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
        assert!(executing(&json!({"status": "executing", "execution_log": ["x"]})).is_err());
        assert!(events(&json!({"agent_id": "a", "events": []}), "a").is_err());
    }
}
