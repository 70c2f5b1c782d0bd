//! What a sample's body may say: names, types and ranges of the documented and of the live form.
//!
//! Percentages are 0 to 100, counters are whole and not negative, times are RFC 3339 in UTC with a
//! `Z` and milliseconds. A field that is in neither form is refused, and so are two names of one
//! figure that disagree. What is checked is the form, never whether a figure is plausible.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Which names a body must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One of the two forms whole, or both.
    #[default]
    Any,
    /// The documented names and no others.
    Documented,
    /// The names that the published server reads and no others.
    Live,
    /// Both, and they agree.
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Text that may not be empty.
    Name,
    Percent,
    Count,
    Amount,
    Time,
    /// RFC 3339 of any precision.
    LooseTime,
    Info,
}

/// Name, kind, and whether the form is incomplete without it.
type Field = (&'static str, Kind, bool);

const DOCUMENTED: [Field; 7] = [
    ("hostname", Kind::Name, true),
    ("cpu_percent", Kind::Percent, true),
    ("memory_percent", Kind::Percent, true),
    ("disk_percent", Kind::Percent, true),
    ("network_bytes_sent", Kind::Count, true),
    ("network_bytes_recv", Kind::Count, true),
    ("timestamp", Kind::Time, true),
];

const LIVE: [Field; 8] = [
    ("timestamp", Kind::Time, false),
    ("cpu_pct", Kind::Percent, true),
    ("mem_used_pct", Kind::Percent, true),
    ("disk_used_pct", Kind::Percent, true),
    ("net_rx_bytes", Kind::Count, true),
    ("net_tx_bytes", Kind::Count, true),
    ("uptime_s", Kind::Amount, false),
    ("system_info", Kind::Info, false),
];

const SYSTEM_INFO: [Field; 8] = [
    ("hostname", Kind::Text, false),
    ("platform", Kind::Text, false),
    ("platform_version", Kind::Text, false),
    ("kernel_version", Kind::Text, false),
    ("cpu_cores", Kind::Count, false),
    ("memory_total_mb", Kind::Count, false),
    ("disk_total_gb", Kind::Count, false),
    ("last_boot_time", Kind::LooseTime, false),
];

/// The two names of one figure.
const SAME: [(&str, &str); 5] = [
    ("cpu_percent", "cpu_pct"),
    ("memory_percent", "mem_used_pct"),
    ("disk_percent", "disk_used_pct"),
    ("network_bytes_sent", "net_tx_bytes"),
    ("network_bytes_recv", "net_rx_bytes"),
];

/// Checks a body against a form. With `absent_allowed` a figure that could not be read may be
/// missing (host name and time may not). The error is for the client's log.
pub(super) fn check(body: &Value, form: Form, absent_allowed: bool) -> Result<(), String> {
    let Value::Object(body) = body else {
        return Err("the body is not a JSON object".into());
    };
    // The time is in both forms and says nothing about which one this is.
    let has_any = |fields: &[Field]| {
        fields
            .iter()
            .any(|&(name, ..)| name != "timestamp" && body.contains_key(name))
    };
    let (documented, live) = match form {
        Form::Any => (has_any(&DOCUMENTED), has_any(&LIVE)),
        Form::Documented => (true, false),
        Form::Live => (false, true),
        Form::Both => (true, true),
    };
    if !documented && !live {
        return Err("the body has no figure at all".into());
    }
    let mut fields = Vec::new();
    if documented {
        fields.extend_from_slice(&DOCUMENTED);
    }
    if live {
        fields.extend_from_slice(&LIVE);
    }
    for (_, kind, required) in &mut fields {
        let is_figure = matches!(kind, Kind::Percent | Kind::Count);
        *required &= !(is_figure && absent_allowed);
    }
    check_fields(body, &fields, "")?;
    for (one, other) in SAME {
        if let (Some(a), Some(b)) = (body.get(one), body.get(other))
            && a.as_f64() != b.as_f64()
        {
            return Err(format!("{one} is {a} but {other} is {b}"));
        }
    }
    Ok(())
}

fn check_fields(object: &Map<String, Value>, fields: &[Field], within: &str) -> Result<(), String> {
    for (name, value) in object {
        let Some((_, kind, _)) = fields.iter().find(|(known, ..)| known == name) else {
            return Err(format!("unknown field \"{within}{name}\""));
        };
        check_value(*kind, value).map_err(|words| format!("{within}{name} {words}: {value}"))?;
    }
    match fields
        .iter()
        .find(|(name, _, required)| *required && !object.contains_key(*name))
    {
        Some((name, ..)) => Err(format!("{within}{name} is missing")),
        None => Ok(()),
    }
}

fn check_value(kind: Kind, value: &Value) -> Result<(), String> {
    let (is_right, what) = match kind {
        Kind::Text => (value.is_string(), "is not a string"),
        Kind::Name => (
            value.as_str().is_some_and(|s| !s.is_empty()),
            "is not a name",
        ),
        Kind::Percent => (
            value
                .as_f64()
                .is_some_and(|percent| (0.0..=100.0).contains(&percent)),
            "is not a number from 0 to 100",
        ),
        Kind::Count => (value.is_u64(), "is not a whole number from 0"),
        Kind::Amount => (
            value.as_f64().is_some_and(|n| n >= 0.0),
            "is not a number from 0",
        ),
        Kind::Time => (
            value.as_str().and_then(timestamp_ms).is_some(),
            "is not a time like 2025-10-10T16:32:42.118Z",
        ),
        Kind::LooseTime => (
            value
                .as_str()
                .is_some_and(|s| OffsetDateTime::parse(s, &Rfc3339).is_ok()),
            "is not an RFC 3339 time",
        ),
        Kind::Info => {
            let Value::Object(info) = value else {
                return Err("is not an object".into());
            };
            return check_fields(info, &SYSTEM_INFO, "system_info.");
        }
    };
    if is_right { Ok(()) } else { Err(what.into()) }
}

/// Unix milliseconds of a time in exactly the form that the agent promises.
pub(crate) fn timestamp_ms(text: &str) -> Option<u64> {
    let shape = b"dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(byte, place): (u8, &u8)| match place {
        b'd' => byte.is_ascii_digit(),
        _ => byte == *place,
    };
    if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
        return None;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn both() -> Value {
        json!({
            "hostname": "box", "cpu_percent": 12.3, "memory_percent": 45, "disk_percent": 100.0,
            "network_bytes_sent": 1, "network_bytes_recv": 2,
            "timestamp": "2025-10-10T16:32:42.118Z",
            "cpu_pct": 12.3, "mem_used_pct": 45.0, "disk_used_pct": 100.0,
            "net_rx_bytes": 2, "net_tx_bytes": 1, "uptime_s": 7,
            "system_info": {"hostname": "box", "cpu_cores": 4,
                "last_boot_time": "2025-10-10T16:00:00Z"},
        })
    }

    /// The body with one field set (or, by null, taken away) is refused with these words.
    fn check_refused(field: &str, value: Value, words: &str) {
        let mut body = both();
        if let Value::Object(fields) = &mut body {
            match value {
                Value::Null => fields.remove(field),
                other => fields.insert(field.into(), other),
            };
        }
        let error = check(&body, Form::Any, false).expect_err(field);
        assert!(error.contains(words), "{field}: {error}");
    }

    #[test]
    fn a_good_body_passes() {
        assert_eq!(check(&both(), Form::Any, false), Ok(()));
        assert_eq!(check(&both(), Form::Both, false), Ok(()));
    }

    #[test]
    fn each_field_is_held_to_its_type_and_range() {
        for field in [
            "cpu_percent",
            "memory_percent",
            "disk_percent",
            "cpu_pct",
            "disk_used_pct",
        ] {
            for wrong in [json!(-0.1), json!(100.1), json!("12"), json!([1])] {
                check_refused(field, wrong, "from 0 to 100");
            }
        }
        for field in ["network_bytes_sent", "net_rx_bytes"] {
            for wrong in [json!(-1), json!(1.5), json!("1")] {
                check_refused(field, wrong, "whole number");
            }
        }
        for wrong in [
            "2025-10-10T16:32:42Z",
            "2025-10-10T16:32:42.118+00:00",
            "2025-10-10t16:32:42.118z",
            "2025-13-10T16:32:42.118Z",
            "2025-02-29T16:32:42.118Z",
        ] {
            check_refused("timestamp", json!(wrong), "is not a time");
        }
        check_refused("hostname", json!(""), "is not a name");
        check_refused("hostname", json!(7), "is not a name");
        check_refused("uptime_s", json!(-1), "number from 0");
        check_refused("system_info", json!([]), "not an object");
        check_refused(
            "system_info",
            json!({"cpu_cores": "4"}),
            "system_info.cpu_cores",
        );
        check_refused(
            "system_info",
            json!({"last_boot_time": "today"}),
            "RFC 3339",
        );
    }

    #[test]
    fn what_is_missing_unknown_or_contradictory_is_named() {
        for (field, ..) in DOCUMENTED {
            check_refused(field, Value::Null, &format!("{field} is missing"));
        }
        check_refused("net_tx_bytes", Value::Null, "net_tx_bytes is missing");
        check_refused("colour", json!("red"), "unknown field \"colour\"");
        check_refused(
            "system_info",
            json!({"colour": 1}),
            "\"system_info.colour\"",
        );
        check_refused(
            "cpu_pct",
            json!(12.4),
            "cpu_percent is 12.3 but cpu_pct is 12.4",
        );
    }

    #[test]
    fn a_form_refuses_the_other_ones_names() {
        assert!(
            check(&both(), Form::Documented, false)
                .unwrap_err()
                .contains("unknown field")
        );
        assert!(
            check(&both(), Form::Live, false)
                .unwrap_err()
                .contains("unknown field")
        );
        let only_time = json!({"timestamp": "2025-10-10T16:32:42.118Z"});
        assert!(check(&only_time, Form::Any, true).is_err());
        assert!(check(&json!([]), Form::Any, false).is_err());
    }

    #[test]
    fn a_figure_may_be_absent_only_where_that_is_allowed() {
        let body = json!({"hostname": "box", "timestamp": "2025-10-10T16:32:42.118Z"});
        assert_eq!(check(&body, Form::Documented, true), Ok(()));
        assert!(check(&body, Form::Documented, false).is_err());
        let nameless = json!({"cpu_percent": 1, "timestamp": "2025-10-10T16:32:42.118Z"});
        assert!(check(&nameless, Form::Documented, true).is_err());
    }

    #[test]
    fn times_are_unix_milliseconds() {
        assert_eq!(timestamp_ms("1970-01-01T00:00:01.002Z"), Some(1002));
        assert_eq!(
            timestamp_ms("2025-10-10T16:32:42.118Z"),
            Some(1_760_113_962_118)
        );
        assert_eq!(timestamp_ms("1969-12-31T23:59:59.999Z"), None);
    }
}
