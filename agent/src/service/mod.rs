//! What is said to whom, and what is heard.

pub mod lunasentri;
pub mod orchestrator;

use std::borrow::Cow;

use mote_core::text;

use crate::config::Secret;

/// How much of a server's own words is logged.
const WORDS_BYTES: usize = 200;
/// How much of them is looked at. A key has 3 KiB, and six times as many where all of it is escaped.
const LOOKED_AT_BYTES: usize = 64 * 1024;
/// Escapes within escapes that are undone in search of the key: JSON in JSON has two.
const ESCAPED_MOST: usize = 4;

/// What a server said, cut. One that repeats the key does not get it into a log.
pub fn said(body: &[u8], key: Option<&Secret>) -> String {
    let words = str::from_utf8(body).unwrap_or("(not text)");
    let mut words = Cow::Borrowed(text::cut(words, LOOKED_AT_BYTES));
    if let Some(key) = key {
        words = Cow::Owned(words.replace(key.expose(), "(key)"));
        if holds_escaped(&words, key.expose()) {
            words = Cow::Borrowed("(words left out: they hold the key)");
        }
    }
    text::cut(&words, WORDS_BYTES).to_owned()
}

/// Whether `words` have `key` in them once their escapes are undone.
fn holds_escaped(words: &str, key: &str) -> bool {
    let mut plain = words.as_bytes().to_vec();
    for _ in 0..ESCAPED_MOST {
        let before = plain.len();
        plain = unescaped(&plain);
        if plain.len() == before {
            return false;
        }
        if String::from_utf8_lossy(&plain).contains(key) {
            return true;
        }
    }
    false
}

/// `words` with `%2F`, `\u002f`, `\x2f` and `\/` undone: a key is plain, so other characters do not
/// matter.
fn unescaped(words: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(words.len());
    let mut rest = words;
    while let [first, after @ ..] = rest {
        let (from, to) = match rest {
            [b'%', ..] => (1, 3),
            [b'\\', b'u', ..] => (2, 6),
            [b'\\', b'x', ..] => (2, 4),
            _ => (0, 0),
        };
        let digits = rest.get(from..to).and_then(|hex| str::from_utf8(hex).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, used) = match (code, first, after) {
            (Some(code), ..) => (code, to),
            (None, b'\\', [escaped, ..]) => (*escaped, 2),
            _ => (*first, 1),
        };
        plain.push(byte);
        rest = &rest[used..];
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_repeated_is_left_out_however_it_is_written() {
        let key = Secret::new("q83/vBx+9L\"k/22==".into());
        let said = |words: &str| said(words.as_bytes(), Some(&key));
        assert_eq!(said("no q83/vBx+9L\"k/22== here"), "no (key) here");
        for words in [
            r#"{"got":"q83\/vBx+9L\"k\/22=="}"#,
            r#"{"got":"q83\u002FvBx\u002b9L\u0022k/22=="}"#,
            r"q83\x2fvBx+9L\x22k/22==",
            "q83%2FvBx%2b9L%22k%2F22%3D%3D",
            // JSON and a URL within JSON.
            r#"{"got":"{\"got\":\"q83\\/vBx+9L\\\"k\\/22==\"}"}"#,
            r#"{"got":"https:\/\/hub\/?q83%252FvBx%2b9L%22k%2F22=="}"#,
            r#"q83/vBx+9L"k/22== and q83\/vBx+9L\"k\/22=="#,
        ] {
            assert_eq!(
                said(words),
                "(words left out: they hold the key)",
                "{words}"
            );
        }
        for words in [r#"{"error":"C:\new\u2603 \"100%\" \"}"#, "", "\\", "%2"] {
            assert_eq!(said(words), words);
        }
        assert_eq!(super::said(b"\xff", None), "(not text)");
    }
}
