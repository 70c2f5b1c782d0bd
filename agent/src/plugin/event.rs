//! An event as a trigger plugin reports it becomes one that the orchestrator takes.
//!
//! What is missing is filled in: an id, the source, the time, empty data. A time without a zone is
//! the device's local time; all are sent on in UTC. `agent_id` and `tenant_id` are always the
//! agent's own: a plugin speaks for no other. Data and metadata pass through untouched.
//!
//! An id that was seen among the last [`REMEMBERED`] is not reported again.

use mote_core::json::{Object, Value};
use mote_core::rng::Rng;
use mote_core::time::{format_rfc3339, parse_rfc3339};

use super::quote::{escape, quote};
use crate::clock;

/// Ids that are remembered.
pub const REMEMBERED: usize = 256;
/// Longest id, type and source.
const NAME_BYTES: usize = 256;
/// Tags of one event.
const MAX_TAGS: usize = 64;

/// Who reports.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// `agent.id`.
    pub agent_id: String,
    /// `agent.organization_id`, if there is one.
    pub tenant_id: Option<String>,
}

/// The ids that were seen last.
#[derive(Debug, Default)]
pub struct Seen {
    hashes: Vec<u64>,
    next: usize,
}

impl Seen {
    /// Whether the id is new; it no longer is then.
    fn is_new(&mut self, id: &str) -> bool {
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        if self.hashes.contains(&hash) {
            return false;
        }
        if self.hashes.len() < REMEMBERED {
            self.hashes.push(hash);
        } else {
            self.hashes[self.next] = hash;
            self.next = (self.next + 1) % REMEMBERED;
        }
        true
    }
}

/// Writes the event, unless it was reported before. `plugin` is the source where it names none.
pub fn complete(
    event: Object<'_>,
    plugin: &str,
    sender: &Sender,
    seen: &mut Seen,
    rng: &mut Rng,
) -> Result<Option<Vec<u8>>, &'static str> {
    let name = |key: &str| text(event.present(key));
    let kind = name("type").ok_or("an event without a type")?;
    let id = name("id").unwrap_or_else(|| draw_id(rng));
    if id.len().max(kind.len()) > NAME_BYTES {
        return Err("an event with an id or type of more than 256 bytes");
    }
    if !seen.is_new(&id) {
        return Ok(None);
    }
    let source = name("source").filter(|source| source.len() <= NAME_BYTES);
    let time = format_rfc3339(time_ms(event.present("timestamp")));
    let severity = name("severity").map(|severity| severity.to_ascii_lowercase());
    let severity = severity
        .filter(|severity| ["low", "medium", "high", "critical"].contains(&severity.as_str()));

    let mut out = Vec::with_capacity(event.raw().len() + 256);
    let mut string = |before: &str, text: &str| {
        out.extend_from_slice(before.as_bytes());
        quote(&mut out, text);
    };
    string("{\"id\":", &id);
    string(",\"type\":", &kind);
    string(",\"source\":", source.as_deref().unwrap_or(plugin));
    string(",\"timestamp\":", str::from_utf8(&time).unwrap_or_default());
    string(",\"severity\":", severity.as_deref().unwrap_or("medium"));
    string(",\"agent_id\":", &sender.agent_id);
    if let Some(tenant_id) = &sender.tenant_id {
        string(",\"tenant_id\":", tenant_id);
    }
    for key in ["data", "metadata"] {
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put(",\"");
        put(key);
        put("\":");
        match event.present(key) {
            Some(Value::Object(object)) => put(object.raw()),
            Some(other) => {
                put("{\"value\":");
                put(other.raw());
                put("}");
            }
            None => put("{}"),
        }
    }
    out.extend_from_slice(b",\"tags\":[");
    let tags = event.present("tags").and_then(Value::as_array);
    let tags = tags
        .iter()
        .flat_map(|tags| tags.elements().filter_map(Value::as_str));
    for (at, tag) in tags.take(MAX_TAGS).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(tag.raw().as_bytes());
    }
    out.extend_from_slice(b"]}");
    Ok(Some(out))
}

/// A string that is not empty.
fn text(value: Option<Value<'_>>) -> Option<String> {
    let text: String = value?.as_str()?.chars().collect();
    (!text.is_empty()).then_some(text)
}

/// When it happened; now, if it does not say so in a way that is understood.
fn time_ms(value: Option<Value<'_>>) -> u64 {
    let found = match value {
        Some(Value::Str(text)) => text.plain().and_then(|text| written_ms(text.as_bytes())),
        // Seconds since 1970.
        Some(Value::Number(number)) => number.scaled(3),
        _ => None,
    };
    found.unwrap_or_else(clock::wall_ms)
}

/// RFC 3339, or the same without a zone: `2025-07-01T12:00:00.123456`.
fn written_ms(text: &[u8]) -> Option<u64> {
    let mut text = text.to_vec();
    if let Some(byte @ b' ') = text.get_mut(10) {
        *byte = b'T';
    }
    if let Ok(ms) = parse_rfc3339(&text) {
        return Some(ms);
    }
    text.push(b'Z');
    let local_ms = parse_rfc3339(&text).ok()?;
    Some(clock::zone::utc_of_local_ms(local_ms))
}

/// An id of the form that others use too (RFC 9562, version 4).
fn draw_id(rng: &mut Rng) -> String {
    let mut id = Vec::with_capacity(36);
    let (high, low) = (rng.next_u64(), rng.next_u64());
    let mut bytes = [high.to_be_bytes(), low.to_be_bytes()].concat();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            id.push(b'-');
        }
        let digits = b"0123456789abcdef";
        id.extend([
            digits[usize::from(byte >> 4)],
            digits[usize::from(byte & 15)],
        ]);
    }
    String::from_utf8(id).unwrap_or_default()
}

/// JSON for what a program wrote that is no JSON: `{"raw_output": text}`, with at most `max_bytes`
/// of text as it is escaped: its first and its last half.
pub fn raw_output(text: &str, max_bytes: usize) -> String {
    let mut out = Vec::with_capacity(text.len().min(max_bytes) + 256);
    out.extend_from_slice(b"{\"raw_output\":\"");
    let (head, tail) = halves(text, max_bytes);
    escape(&mut out, head);
    if let Some(tail) = tail {
        escape(&mut out, "\n[…]\n");
        escape(&mut out, tail);
    }
    out.extend_from_slice(b"\"}");
    String::from_utf8(out).unwrap_or_default()
}

/// The beginning and the end of `text`, if it is too long to be there whole.
fn halves(text: &str, max_bytes: usize) -> (&str, Option<&str>) {
    let cost = |character: char| match character {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        ' '..='~' => 1,
        // What is not escaped has at most four bytes.
        _ => 6,
    };
    if text.chars().map(cost).sum::<usize>() <= max_bytes {
        return (text, None);
    }
    let half = max_bytes / 2;
    let fits = |used: &mut usize, character: char| {
        *used += cost(character);
        (*used <= half).then_some(character.len_utf8())
    };
    let head: usize = text.chars().scan(0, fits).sum();
    let tail: usize = text.chars().rev().scan(0, fits).sum();
    (&text[..head], Some(&text[text.len() - tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_core::json;

    fn sender() -> Sender {
        Sender {
            agent_id: "edge-1".into(),
            tenant_id: Some("acme".into()),
        }
    }

    fn completed(text: &str) -> Result<Option<String>, &'static str> {
        let event = json::read(text.as_bytes(), 65_536).unwrap();
        let mut rng = Rng::new(1);
        let event = complete(event, "cpu", &sender(), &mut Seen::default(), &mut rng)?;
        Ok(event.map(|event| String::from_utf8(event).unwrap()))
    }

    #[test]
    fn what_is_there_passes_and_the_agent_speaks_for_itself() {
        let text = r#"{"id":"e1","type":"cpu.high","source":"x","timestamp":"2025-07-01T12:00:00+02:00",
            "data":{"a": 1.50, "b":[null]},"metadata":{"k":"v"},"tags":["a","\u00e4",3],
            "severity":"HIGH","agent_id":"other","tenant_id":"other","more":1}"#;
        assert_eq!(
            completed(text).unwrap().unwrap(),
            concat!(
                r#"{"id":"e1","type":"cpu.high","source":"x","timestamp":"2025-07-01T10:00:00.000Z","#,
                r#""severity":"high","agent_id":"edge-1","tenant_id":"acme","data":{"a": 1.50, "b":[null]},"#,
                r#""metadata":{"k":"v"},"tags":["a","\u00e4"]}"#
            )
        );
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let before_ms = clock::wall_ms();
        let text = completed(r#"{"type":"t","severity":"red","data":5,"tags":"x"}"#)
            .unwrap()
            .unwrap();
        let event = json::read(text.as_bytes(), 65_536).unwrap();
        let word = |key: &str| {
            event
                .get(key)
                .unwrap()
                .as_str()
                .unwrap()
                .plain()
                .unwrap()
                .to_owned()
        };
        let id = word("id");
        assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
        assert_eq!(word("source"), "cpu");
        assert_eq!(word("severity"), "medium");
        let at_ms = parse_rfc3339(word("timestamp").as_bytes()).unwrap();
        assert!((before_ms..=clock::wall_ms()).contains(&at_ms));
        assert_eq!(event.get("data").unwrap().raw(), r#"{"value":5}"#);
        assert_eq!(event.get("tags").unwrap().raw(), "[]");
        assert_eq!(completed(r#"{"id":"x"}"#), Err("an event without a type"));
        assert!(completed(&format!(r#"{{"type":"{}"}}"#, "x".repeat(300))).is_err());
    }

    #[test]
    fn an_id_is_reported_once_among_the_last() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a"));
        assert!(!seen.is_new("a"));
        for number in 0..REMEMBERED - 1 {
            assert!(seen.is_new(&number.to_string()));
        }
        assert!(!seen.is_new("a"));
        assert!(seen.is_new("one more"));
        assert!(seen.is_new("a"));
        assert_eq!(seen.hashes.len(), REMEMBERED);
    }

    #[test]
    fn a_time_without_a_zone_is_local() {
        let utc_ms = 1_751_371_200_118;
        assert_eq!(written_ms(b"2025-07-01T12:00:00.118Z"), Some(utc_ms));
        let local = written_ms(b"2025-07-01T12:00:00.118345").unwrap();
        assert_eq!(Some(local), written_ms(b"2025-07-01 12:00:00.118345"));
        assert_eq!(local, clock::zone::utc_of_local_ms(utc_ms));
        assert_eq!(written_ms(b"yesterday"), None);
    }

    #[test]
    fn long_output_keeps_its_first_and_last_half() {
        assert_eq!(raw_output("a\"b\n", 64), r#"{"raw_output":"a\"b\n"}"#);
        let text = format!("begin{}end", "ä\u{1b}".repeat(10_000));
        let json = raw_output(&text, 1_000);
        assert!(json.len() < 1_100, "{}", json.len());
        assert!(json.starts_with("{\"raw_output\":\"begin") && json.ends_with("end\"}"));
        assert!(json::read(json.as_bytes(), 2_000).is_ok());
    }
}
