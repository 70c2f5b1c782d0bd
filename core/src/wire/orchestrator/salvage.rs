//! The id of an instruction in an answer that cannot be read.
//!
//! An answer may be too long, too deep, cut, or no JSON further on. Whoever handed the instruction
//! out still waits for a word about it, and would hand it out again for ever. So its id is looked
//! for in whatever came: braces, brackets, strings and colons are all that is looked at, without
//! recursion and in one pass.
//!
//! What is found serves for a report of failure and for nothing else: nobody vouches for the rest.

use super::is_id;

/// The id of the instruction in `answer`, the body of an answer to a poll or to a result or the
/// beginning of it; none if there is none, or none by which it could be reported.
pub fn instruction_id_in(answer: &[u8]) -> Option<&str> {
    let mut depth = 0_u32;
    let mut key: &[u8] = b"";
    let mut is_inside = false;
    let mut at = 0;
    while let Some(byte) = answer.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let text = string_from(answer, at)?;
                at += text.len() + 1;
                if let Some(length) = colon_from(answer, at) {
                    key = text;
                    at += length;
                } else if depth == 2 && is_inside && key == b"id" {
                    return core::str::from_utf8(text).ok().filter(|id| is_id(id));
                }
            }
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                if depth == 2 {
                    is_inside =
                        *byte == b'{' && matches!(key, b"instruction" | b"next_instruction");
                }
                key = b"";
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                key = b"";
            }
            b',' => key = b"",
            _ => {}
        }
    }
    None
}

/// What stands between the quote before `from` and the one that ends the string.
fn string_from(answer: &[u8], from: usize) -> Option<&[u8]> {
    let rest = answer.get(from..)?;
    let mut is_escaped = false;
    let end = rest.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    rest.get(..end)
}

/// How far it is past the colon that comes next, if one does.
fn colon_from(answer: &[u8], from: usize) -> Option<usize> {
    let rest = answer.get(from..)?;
    let colon = rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (rest[colon] == b':').then_some(colon + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_whatever_is_wrong_around_it() {
        for text in [
            r#"{"instruction":{"id":"i-1","input_data":{"a":"#,
            r#"{"status":"x","instruction" : { "context": {"id":"no","a":["{","\"}"]}, "id" : "i-1"}}"#,
            r#"{"acknowledged":true,"next_instruction":{"priority":NaN,"id":"i-1","id":"i-2"}}"#,
            "{\"instruction\":{\"a\":\"\u{0}\",\"id\":\"i-1\"",
        ] {
            assert_eq!(instruction_id_in(text.as_bytes()), Some("i-1"), "{text}");
        }
        let deep = format!(
            r#"{{"instruction":{{"input_data":{}{},"id":"i-1"}}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(instruction_id_in(deep.as_bytes()), Some("i-1"));
        assert_eq!(
            instruction_id_in(b"{\"instruction\":{\"x\":\"\xff\",\"id\":\"i-1\"}}"),
            Some("i-1")
        );
    }

    #[test]
    fn what_is_no_instructions_id_is_none() {
        for text in [
            "",
            "{}",
            r#"{"id":"i-1"}"#,
            r#"{"instruction":null,"id":"i-1"}"#,
            r#"{"instruction":{"id":"../../x"}}"#,
            r#"{"instruction":{"id":7,"x":"i-1"}}"#,
            r#"{"instruction":{"id":"i-1"#,
            r#"{"instruction":{"context":{"id":"i-1"}}}"#,
            r#"{"instruction":[{"id":"i-1"}]}"#,
            r#"{"other":{"id":"i-1"}}"#,
            r#"["instruction",{"id":"i-1"}]"#,
            r#"{"instruction":{"a":"id","b":"i-1"}}"#,
        ] {
            assert_eq!(instruction_id_in(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_cut_answer_gives_the_id_or_nothing() {
        let text = r#"{"status":"a\\","instruction":{"x":["{"],"id":"i-1","y":{}}}"#;
        let there = text.find("i-1\"").unwrap() + 4;
        for cut in 0..=text.len() {
            let expected = (cut >= there).then_some("i-1");
            assert_eq!(
                instruction_id_in(&text.as_bytes()[..cut]),
                expected,
                "{cut}"
            );
        }
    }
}
