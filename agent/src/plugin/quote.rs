//! Text as JSON, at the end of a growing vector.

use mote_core::text::{write_escaped, write_json_str};

/// Adds `text` as a JSON string.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    let Ok(()) = write_json_str(out, text);
}

/// Adds what stands between the quotes.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    let Ok(()) = write_escaped(out, text);
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
