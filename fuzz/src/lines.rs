//! Texts of others in a line of the log.

use mote_core::log_line::{Level, Value, write_line_bounded, write_text_line_bounded};

use crate::planted_bug;

/// The first two bytes say how much room there is.
pub(crate) fn log_line(bytes: &[u8]) {
    let Some(([low, high], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let room = usize::from(u16::from_le_bytes([*low, *high])) % 4096;
    let text = String::from_utf8_lossy(rest);
    let middle = text.char_indices().nth(text.chars().count() / 2);
    let (msg, said) = text.split_at(middle.map_or(0, |(at, _)| at));
    let fields = [
        ("error", Value::Str(said)),
        ("held", Value::Uint(rest.len() as u64)),
    ];
    let mut buffer = [0xa5; 4096];

    let length = write_line_bounded(
        &mut buffer[..room],
        1,
        Level::Warn,
        msg,
        "ba7816bf",
        &fields,
    );
    is_one_line(&buffer[..length]);
    if length > 0 {
        let value: serde_json::Value =
            serde_json::from_slice(&buffer[..length]).unwrap_or_else(|error| {
                panic!("{error}: {}", String::from_utf8_lossy(&buffer[..length]))
            });
        if room == 4095 && text.len() < 500 {
            assert_eq!(value["error"], said, "with room for everything");
            planted_bug(said.contains('\u{1b}'));
        }
    }
    assert!(
        buffer[room..].iter().all(|byte| *byte == 0xa5),
        "past the end"
    );

    let length = write_text_line_bounded(
        &mut buffer[..room],
        1,
        Level::Warn,
        msg,
        "ba7816bf",
        &fields,
        false,
    );
    is_one_line(&buffer[..length]);
}

/// Nothing in it can begin another line or command a terminal.
fn is_one_line(line: &[u8]) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = str::from_utf8(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
