//! What plugins bring: a manifest, the operator's file for them, and whatever they say.

use std::cell::RefCell;

use mote::plugin::Sender;
use mote::plugin::event::{Seen, complete, raw_output};
use mote::plugin::manifest::{FILE, Manifest, is_id};
use mote::plugin::options::{OptionKind, PluginOption, configuration};
use mote_core::json::{self, Object, Value};
use mote_core::rng::Rng;
use mote_core::time::parse_rfc3339;

use crate::folder::Folder;
use crate::planted_bug;

/// More than is ever written here.
const DOCUMENT_BYTES: usize = 1024 * 1024;
const OUTPUT_BYTES: usize = 1_000;

fn object(text: &str) -> Object<'_> {
    match json::read(text.as_bytes(), DOCUMENT_BYTES) {
        Ok(object) => object,
        Err(error) => panic!("{error}: {text}"),
    }
}

/// A manifest that is taken keeps to its bounds, and its defaults are a configuration.
pub(crate) fn manifest(bytes: &[u8]) {
    let folder = Folder::new();
    folder.put(FILE, bytes);
    let read = Manifest::load(folder.path());
    let absent = folder.path().join("no file");
    let manifest = match read {
        Ok(Some(manifest)) => manifest,
        Ok(None) => panic!("the file is there"),
        Err(error) => {
            let (words, path) = (error.to_string(), folder.path().join(FILE));
            assert!(words.starts_with(&*path.to_string_lossy()), "{words}");
            return;
        }
    };
    drop(folder);
    assert!(is_id(&manifest.id) && !manifest.entry_point.is_empty());
    let day_ms = 86_400_000;
    let execution_ms = manifest.execution_ms;
    assert!(execution_ms.is_none_or(|ms| (100..=day_ms).contains(&ms)));
    match configuration(&manifest.options, &absent) {
        Ok((defaults, _)) => {
            object(&defaults);
        }
        Err(error) => panic!("a default that is not taken: {error}"),
    }
    planted_bug(execution_ms.is_some_and(|ms| ms != 60_000));
}

/// What a plugin is given is JSON of the types that it declared, in one line.
pub(crate) fn options(bytes: &[u8]) {
    let option = |name: &str, kind| PluginOption {
        name: name.to_owned(),
        kind,
        ..PluginOption::default()
    };
    let declared = [
        option("name", OptionKind::Text),
        option("count", OptionKind::Integer),
        PluginOption {
            minimum: Some("0.5".to_owned()),
            maximum: Some("100".to_owned()),
            ..option("share", OptionKind::Number)
        },
        option("on", OptionKind::Truth),
        PluginOption {
            items: OptionKind::Integer,
            ..option("list", OptionKind::Array)
        },
        option("map", OptionKind::Object),
    ];
    let folder = Folder::new();
    folder.put("cpu.yaml", bytes);
    let given = configuration(&declared, &folder.path().join("cpu.yaml"));
    drop(folder);
    let text = match given {
        Ok((text, _)) => text,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut is_other = false;
    for (name, value) in object(&text).members() {
        let name: String = name.chars().collect();
        let is_of_kind = match (name.as_str(), value) {
            ("name", Value::Str(_)) | ("on", Value::Bool(_)) | ("map", Value::Object(_)) => true,
            ("count", Value::Number(number)) => {
                is_other = number.as_u64().is_some_and(|count| count != 5);
                number.raw().parse::<i64>().is_ok()
            }
            ("share", Value::Number(number)) => {
                let share = number.raw().parse::<f64>();
                share.is_ok_and(|share| (0.499_999..=100.000_001).contains(&share))
            }
            ("list", Value::Array(list)) => list
                .elements()
                .all(|element| element.raw().parse::<i64>().is_ok()),
            _ => false,
        };
        assert!(is_of_kind, "{name}: {}", value.raw());
    }
    planted_bug(is_other);
}

thread_local! {
    static RNG: RefCell<Rng> = const { RefCell::new(Rng::new(1)) };
}

/// Events are sent on under the agent's own name; what is no JSON becomes some.
pub(crate) fn answer(bytes: &[u8]) {
    let Ok(answer) = json::read(bytes, DOCUMENT_BYTES) else {
        let output = raw_output(&String::from_utf8_lossy(bytes), OUTPUT_BYTES);
        assert!(output.len() <= OUTPUT_BYTES + 64, "{}", output.len());
        let read = serde_json::from_str::<serde_json::Value>(&output);
        assert!(
            read.is_ok_and(|read| read["raw_output"].is_string()),
            "{output}"
        );
        return;
    };
    let sender = Sender {
        agent_id: "edge-1".into(),
        tenant_id: Some("acme".into()),
    };
    let mut seen = Seen::default();
    let mut take = |event: Value<'_>| {
        let Some(event) = event.as_object() else {
            return;
        };
        let taken = RNG.with_borrow_mut(|rng| complete(event, "cpu", &sender, &mut seen, rng));
        match taken {
            Ok(Some(event)) => is_complete(&String::from_utf8_lossy(&event)),
            Ok(None) => {}
            Err(words) => assert!(!words.is_empty()),
        }
    };
    match answer.get("data") {
        Some(Value::Array(list)) => list.elements().for_each(take),
        Some(value) => take(value),
        None => {}
    }
}

fn is_complete(text: &str) {
    // Where data has as many keys as may be, those of the event are too many for this reader.
    let Ok(event) = serde_json::from_str::<serde_json::Value>(text) else {
        panic!("no JSON: {text}");
    };
    assert_eq!(event["agent_id"], "edge-1");
    assert_eq!(event["tenant_id"], "acme");
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    for key in ["id", "type", "source"] {
        assert!((1..=256).contains(&word(key).len()), "{key} of {text}");
    }
    assert!(["low", "medium", "high", "critical"].contains(&word("severity")));
    assert!(
        parse_rfc3339(word("timestamp").as_bytes()).is_ok(),
        "{text}"
    );
    assert!(event["data"].is_object() && event["metadata"].is_object());
    let tags = event["tags"].as_array().map_or(usize::MAX, Vec::len);
    assert!(tags <= 64);
    planted_bug(!["t", "cpu.high"].contains(&word("type")));
}
