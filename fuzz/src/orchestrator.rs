//! What an orchestrator says: JSON, its answers, its instructions.

use std::path::{Component, Path};

use mote_core::json::{self, Fault, Object, Value};
use mote_core::wire::orchestrator::{
    ENTRY_POINT_BYTES, EventsAnswer, Instruction, Poll, Recipient, ResultAnswer, instruction_id_in,
    is_id,
};

use crate::planted_bug;

/// The largest document that is read.
const DOCUMENT_BYTES: usize = 64 * 1024;
/// Longer ones are not cut at every byte.
const CUT_BYTES: usize = 128;
/// Whom instructions are for.
const AGENT_ID: &str = "edge-1";
const ORGANIZATION_ID: &str = "acme";

/// What is taken says the same to another reader; what is refused is refused by the other too, or
/// for what this one is known to be stricter in.
pub(crate) fn json(bytes: &[u8]) {
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    match json::read(bytes, DOCUMENT_BYTES) {
        Ok(object) => {
            let theirs = match theirs {
                Ok(theirs) => theirs,
                // It rounds up what lies just below the largest number that there is.
                Err(error) if error.to_string().starts_with("number out of range") => return,
                Err(error) => panic!("only this reader takes it: {error}"),
            };
            let depth = compare(Value::Object(object), &theirs);
            assert!((1..=json::MAX_DEPTH).contains(&depth));
            let end = bytes.trim_ascii_end().len();
            for cut in 0..end.min(CUT_BYTES) {
                let part = json::read(&bytes[..cut], DOCUMENT_BYTES);
                assert!(part.is_err(), "cut at byte {cut}");
            }
            planted_bug(object.members().any(|(name, _)| name.is_empty()));
        }
        Err(error) => {
            assert!(error.at <= bytes.len(), "{error}");
            let is_stricter = matches!(
                error.fault,
                Fault::TooLong
                    | Fault::TooDeep
                    | Fault::TooManyKeys
                    | Fault::DuplicateKey
                    | Fault::Nul
            );
            let is_object = theirs.is_ok_and(|theirs| theirs.is_object());
            assert!(
                is_stricter || !is_object,
                "only another reader takes it: {error}"
            );
        }
    }
}

/// Gives how many containers are in each other.
fn compare(ours: Value<'_>, theirs: &serde_json::Value) -> usize {
    match ours {
        Value::Null => assert!(theirs.is_null()),
        Value::Bool(value) => assert_eq!(Some(value), theirs.as_bool()),
        Value::Number(number) => {
            assert!(theirs.is_number());
            if let Some(value) = theirs.as_u64() {
                assert_eq!(number.as_u64(), Some(value), "{}", number.raw());
                assert_eq!(number.scaled(0), Some(value));
            }
            let is_below = theirs.as_f64().is_some_and(|value| value < 0.0);
            assert!(number.is_negative() || !is_below, "{}", number.raw());
            number.scaled(3);
        }
        Value::Str(text) => {
            let unescaped: String = text.chars().collect();
            assert_eq!(Some(unescaped.as_str()), theirs.as_str());
            assert!(text.is(&unescaped));
            assert!(text.plain().is_none_or(|plain| plain == unescaped));
            let mut buffer = vec![0; text.raw().len()];
            assert_eq!(text.unescape(&mut buffer), Ok(unescaped.as_str()));
        }
        Value::Array(array) => {
            let count = array.elements().count();
            assert_eq!(Some(count), theirs.as_array().map(Vec::len));
            let pairs = array
                .elements()
                .zip(theirs.as_array().into_iter().flatten());
            return 1 + pairs
                .map(|(ours, theirs)| compare(ours, theirs))
                .max()
                .unwrap_or(0);
        }
        Value::Object(object) => {
            let count = object.members().count();
            assert_eq!(Some(count), theirs.as_object().map(serde_json::Map::len));
            let deepest = object.members().map(|(name, value)| {
                let name: String = name.chars().collect();
                assert_eq!(object.get(&name), Some(value));
                compare(value, &theirs[&name])
            });
            return 1 + deepest.max().unwrap_or(0);
        }
    }
    0
}

/// The first byte says what the answer is to.
pub(crate) fn answers(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else {
        return;
    };
    let is_object = |object: Option<Object<'_>>| {
        let raw = object.map(Object::raw);
        raw.is_none_or(|raw| json::read(raw.as_bytes(), raw.len()).is_ok())
    };
    assert!(instruction_id_in(body).is_none_or(is_id));
    let error = match first % 3 {
        0 => match Poll::read(body) {
            Ok(poll) => {
                assert!(is_object(poll.instruction));
                let next_ms = poll.next_poll_ms;
                assert!(next_ms.is_none_or(|ms| (1_000..=3_600_000).contains(&ms)));
                planted_bug(next_ms.is_some_and(|ms| ms < 2_500));
                return;
            }
            Err(error) => error,
        },
        1 => match ResultAnswer::read(body) {
            Ok(answer) => {
                assert!(is_object(answer.next_instruction));
                return;
            }
            Err(error) => error,
        },
        _ => match EventsAnswer::read(body) {
            Ok(answer) => {
                assert!(!answer.has_failed("nobody's id, with blanks in it") || body.len() > 30);
                return;
            }
            Err(error) => error,
        },
    };
    assert!(!error.to_string().is_empty());
}

/// What is to be carried out stays within its bounds, whatever it says.
pub(crate) fn instruction(bytes: &[u8]) {
    let Ok(object) = json::read(bytes, DOCUMENT_BYTES) else {
        return;
    };
    let recipient = Recipient {
        agent_id: AGENT_ID,
        organization_id: Some(ORGANIZATION_ID),
    };
    let instruction = match Instruction::read(object, recipient) {
        Ok(instruction) => instruction,
        Err(refused) => {
            assert!(refused.id.is_none_or(is_id));
            assert!(!refused.reason.to_string().is_empty());
            return;
        }
    };
    assert!(is_id(instruction.id) && is_id(instruction.plugin_id));
    for (name, ours) in [
        ("agent_id", AGENT_ID),
        ("organization_id", ORGANIZATION_ID),
        ("tenant_id", ORGANIZATION_ID),
    ] {
        let said = object.present(name).map(Value::raw);
        let text = said.and_then(|raw| serde_json::from_str::<String>(raw).ok());
        assert!(
            said.is_none() || text.as_deref() == Some(ours),
            "somebody else's"
        );
    }
    if let Some(entry_point) = instruction.entry_point {
        let text: String = entry_point.chars().collect();
        assert!(!text.is_empty() && text.len() <= ENTRY_POINT_BYTES);
        let mut steps = Path::new(&text).components();
        assert!(
            steps.all(|step| matches!(step, Component::Normal(_))),
            "{text:?}"
        );
    }
    if let Some(environment) = instruction.environment {
        for (name, value) in environment.members() {
            let name: String = name.chars().collect();
            assert!(value.as_str().is_some() && !name.contains(['=', '\0']));
            assert!(!name.starts_with("LD_") && name != "PATH", "{name}");
        }
    }
    if let Some(arguments) = instruction.arguments {
        assert!(
            arguments
                .elements()
                .all(|argument| argument.as_str().is_some())
        );
    }
    for text in [instruction.correlation_id, instruction.traceparent] {
        assert!(text.is_none_or(|text| !text.contains(char::is_control)));
    }
    let timeout_ms = instruction.timeout_ms;
    assert!(timeout_ms.is_none_or(|ms| (1_000..=86_400_000).contains(&ms)));
    assert!(instruction.max_retries <= 10);
    planted_bug(instruction.max_retries > 5);
}
