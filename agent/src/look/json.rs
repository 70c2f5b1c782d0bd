//! Finds single values in a JSON text that is larger than what is wanted of it.
//!
//! The text is not checked beyond what is passed over on the way; what is broken there is not
//! found. Nesting is limited.

use mote_core::text::is_steering;

/// Deeper than anything of ours.
const DEPTH: u32 = 16;

/// The text of the value at `path`, as it stands there.
pub(super) fn field<'j>(json: &'j str, path: &[&str]) -> Option<&'j str> {
    let mut value = json.trim();
    for name in path {
        value = member(value, name)?;
    }
    Some(value)
}

/// The text of a string at `path`, in characters that a terminal only shows.
pub(super) fn string(json: &str, path: &[&str]) -> Option<String> {
    let raw = field(json, path)?.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut rest = raw.chars();
    while let Some(letter) = rest.next() {
        let letter = if letter == '\\' {
            match rest.next()? {
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok()?;
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                'n' | 'r' | 't' | 'b' | 'f' => ' ',
                plain => plain,
            }
        } else {
            letter
        };
        text.push(if is_steering(letter) { '.' } else { letter });
    }
    Some(text)
}

/// The whole number at `path`.
pub(super) fn number(json: &str, path: &[&str]) -> Option<u64> {
    field(json, path)?.parse().ok()
}

/// The texts of the elements of the array at `path`.
pub(super) fn elements<'j>(json: &'j str, path: &[&str]) -> Vec<&'j str> {
    let mut found = Vec::new();
    let list = field(json, path).and_then(|list| list.strip_prefix('['));
    let mut rest = list.unwrap_or_default().trim_start();
    while let Some(length) = value_len(rest, DEPTH).filter(|_| !rest.starts_with(']')) {
        let (element, after) = rest.split_at(length);
        found.push(element);
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or("").trim_start();
    }
    found
}

/// The value of one member of the object that `json` begins with.
fn member<'j>(json: &'j str, wanted: &str) -> Option<&'j str> {
    let mut rest = json.strip_prefix('{')?.trim_start();
    while !rest.starts_with('}') {
        let (name, after) = rest.split_at(string_len(rest)?);
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let length = value_len(after, DEPTH)?;
        let (value, after) = after.split_at(length);
        if name.get(1..name.len() - 1)? == wanted {
            return Some(value);
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.starts_with('}') => after,
            None => return None,
        };
    }
    None
}

fn string_len(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let inside = text.strip_prefix('"')?;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    Some(end + 2)
}

fn value_len(text: &str, depth: u32) -> Option<usize> {
    if depth == 0 {
        return None;
    }
    let close = match text.bytes().next()? {
        b'"' => return string_len(text),
        b'{' => b'}',
        b'[' => b']',
        _ => {
            let end = text.find([',', '}', ']', ' ', '\n']).unwrap_or(text.len());
            return (end > 0).then_some(end);
        }
    };
    let mut at = 1;
    loop {
        match text.as_bytes().get(at)? {
            byte if *byte == close => return Some(at + 1),
            b',' | b':' | b' ' | b'\n' | b'\t' | b'\r' => at += 1,
            _ => at += value_len(text.get(at..)?, depth - 1)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"a":1,"b":{"c":"x\"}\u001b[31m\n€","d":[1,{"e":2}],"f":null},
        "g" : -12.3 , "h":true}"#;

    #[test]
    fn values_are_found_where_they_are() {
        assert_eq!(number(TEXT, &["a"]), Some(1));
        assert_eq!(field(TEXT, &["b", "d"]), Some(r#"[1,{"e":2}]"#));
        assert_eq!(field(TEXT, &["b", "f"]), Some("null"));
        assert_eq!(field(TEXT, &["g"]), Some("-12.3"));
        assert_eq!(field(TEXT, &["h"]), Some("true"));
        assert_eq!(field(TEXT, &["e"]), None);
        assert_eq!(field(TEXT, &["a", "b"]), None);
        assert_eq!(elements(TEXT, &["b", "d"]), ["1", r#"{"e":2}"#]);
        for (text, count) in [
            (r#"{"a":[]}"#, 0),
            (r#"{"a":[ ]}"#, 0),
            (r#"{"a":[1 , 2, [3]]}"#, 3),
            (r#"{"a":7}"#, 0),
            (r#"{"b":[1]}"#, 0),
        ] {
            assert_eq!(elements(text, &["a"]).len(), count, "{text}");
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_of_a_string() {
        assert_eq!(string(TEXT, &["b", "c"]).unwrap(), "x\"}.[31m €");
        let bare = "{\"a\":\"\u{1b}]0;x\u{7}\u{202e}\"}";
        assert_eq!(string(bare, &["a"]).unwrap(), ".]0;x..");
        assert_eq!(string(TEXT, &["a"]), None);
    }

    #[test]
    fn broken_text_gives_nothing_and_does_no_harm() {
        for cut in 0..TEXT.len() {
            if let Some(part) = TEXT.get(..cut) {
                let found = field(part, &["b", "d"]);
                assert!(found.is_none() || found == Some(r#"[1,{"e":2}]"#), "{cut}");
                field(part, &["h"]);
                assert!(elements(part, &["b", "d"]).len() <= 2);
            }
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(field(&deep, &["b"]), None);
        for text in [
            "",
            "{",
            "{}",
            "{\"a\"}",
            "[1]",
            "{\"a\":}",
            "{\"a\":1 \"b\":2}",
            "{x}",
        ] {
            assert_eq!(field(text, &["b"]), None, "{text:?}");
        }
    }
}
