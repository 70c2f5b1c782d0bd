//! JSON from an orchestrator or a plugin, and what an orchestrator says with it.

use mote_core::json::{self, Object, Value};
use mote_core::wire::orchestrator::{
    EventsAnswer, Instruction, Poll, Recipient, ResultAnswer, is_id,
};

use crate::planted_bug;

/// As long as the longest answer.
const ROOM: usize = 64 * 1024;

/// What is accepted another reader accepts too, and it is walked to its leaves.
pub(crate) fn document(bytes: &[u8]) {
    match json::read(bytes, ROOM) {
        Ok(object) => {
            match serde_json::from_slice::<serde_json::Value>(bytes) {
                Ok(other) => same(Value::Object(object), &other),
                // It rounds up what lies just below the largest number that there is.
                Err(error) => {
                    let words = error.to_string();
                    assert!(words.starts_with("number out of range"), "{words}");
                }
            }
            planted_bug(object.get("bug").is_some());
        }
        Err(error) => assert!(error.at <= bytes.len(), "{error}"),
    }
}

fn same(ours: Value<'_>, other: &serde_json::Value) {
    match (ours, other) {
        (Value::Object(object), serde_json::Value::Object(map)) => {
            assert_eq!(object.members().count(), map.len());
            for (key, value) in object.members() {
                let mut buf = vec![0; key.raw().len()];
                let key = key.unescape(&mut buf).unwrap();
                assert_eq!(object.get(key), Some(value));
                same(value, &map[key]);
            }
        }
        (Value::Array(array), serde_json::Value::Array(list)) => {
            assert_eq!(array.elements().count(), list.len());
            array
                .elements()
                .zip(list)
                .for_each(|(ours, other)| same(ours, other));
        }
        (Value::Str(text), serde_json::Value::String(other)) => {
            assert!(text.is(other));
            assert!(!other.contains('\0'));
        }
        (Value::Number(number), serde_json::Value::Number(other)) => {
            assert!(other.as_f64().is_some_and(f64::is_finite));
            if let Some(other) = other.as_u64() {
                assert_eq!(number.as_u64(), Some(other));
            }
        }
        (Value::Bool(ours), serde_json::Value::Bool(other)) => assert_eq!(ours, *other),
        (Value::Null, serde_json::Value::Null) => {}
        (ours, other) => panic!("{} is not {other}", ours.raw()),
    }
}

/// What gets through can be a part of a path, of a URL and of an environment.
pub(crate) fn instruction(bytes: &[u8]) {
    let Ok(object) = json::read(bytes, ROOM) else {
        return;
    };
    let recipient = Recipient {
        agent_id: "a1",
        organization_id: Some("org"),
    };
    let Ok(instruction) = Instruction::read(object, recipient) else {
        return;
    };
    assert!(is_id(instruction.id) && is_id(instruction.plugin_id));
    if let Some(path) = instruction.entry_point {
        let path: String = path.chars().collect();
        assert!(!path.starts_with('/') && path.split('/').all(|step| step != ".."));
    }
    let variables = instruction.environment.iter().flat_map(|it| it.members());
    for (name, value) in variables {
        let name: String = name.chars().collect();
        assert!(!name.contains('=') && name != "PATH" && !name.starts_with("LD_"));
        assert!(value.as_str().is_some());
    }
    assert!(
        instruction
            .timeout_ms
            .is_none_or(|ms| (1_000..=86_400_000).contains(&ms))
    );
    planted_bug(instruction.max_retries == 7);
}

/// Whatever is answered, what comes of it is within its bounds.
pub(crate) fn answers(bytes: &[u8]) {
    if let Ok(poll) = Poll::read(bytes) {
        let next_ms = poll.next_poll_ms;
        assert!(next_ms.is_none_or(|ms| (1_000..=3_600_000).contains(&ms)));
        let raw = poll.instruction.map(Object::raw);
        assert!(raw.is_none_or(|raw| raw.starts_with('{') && raw.ends_with('}')));
        planted_bug(next_ms == Some(7_000));
    }
    if let Ok(answer) = EventsAnswer::read(bytes) {
        let _ = answer.has_failed("e1");
    }
    let _ = ResultAnswer::read(bytes);
}
