//! Text as JSON, at the end of a growing vector.

use mote_core::text::{write_escaped, write_json_str};

/// The longest escape of one byte of text.
const ESCAPE_BYTES: usize = 6;

/// Adds `text` as a JSON string.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    grow(out, text, |mut room, text| {
        // There is room for every byte escaped: no write is refused.
        let _ = write_json_str(&mut room, text);
        room.len()
    });
}

/// Adds what stands between the quotes.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    grow(out, text, |mut room, text| {
        let _ = write_escaped(&mut room, text);
        room.len()
    });
}

/// `write` says how much of the room it left.
fn grow(out: &mut Vec<u8>, text: &str, write: impl FnOnce(&mut [u8], &str) -> usize) {
    let start = out.len();
    out.resize(start + text.len() * ESCAPE_BYTES + 2, 0);
    let left = write(&mut out[start..], text);
    out.truncate(out.len() - left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_added_escaped_and_whole() {
        let mut out = vec![b':'];
        quote(&mut out, "a\"\u{1}ä");
        escape(&mut out, "\n");
        assert_eq!(out, ":\"a\\\"\\u0001ä\"\\n".as_bytes());
    }
}
