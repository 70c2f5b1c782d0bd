//! Walking what was checked. Nothing here can fail: on text that was not checked it would end
//! early, and never panic.

use super::check::is_space;
use super::{Array, Number, Object, Str, Value, string};

/// The members of an object.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 1 }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Str<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let from = skip(self.text, self.at, b",");
        if self.text.as_bytes().get(from) != Some(&b'"') {
            return None;
        }
        let key = string::at(self.text, from);
        let value_from = skip(self.text, from + key.raw().len(), b":");
        let (value, end) = value(self.text, value_from)?;
        self.at = end;
        Some((key, value))
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 1 }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (value, end) = value(self.text, skip(self.text, self.at, b","))?;
        self.at = end;
        Some(value)
    }
}

/// The place after white space and `marks`.
fn skip(text: &str, from: usize, marks: &[u8]) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let skipped = rest
        .iter()
        .take_while(|byte| is_space(**byte) || marks.contains(byte));
    from + skipped.count()
}

/// The value at `from` and the place after it.
fn value(text: &str, from: usize) -> Option<(Value<'_>, usize)> {
    let end = match text.as_bytes().get(from)? {
        b'{' | b'[' => container_end(text, from),
        b'"' => string::end(text, from),
        b'}' | b']' => return None,
        _ => scalar_end(text, from),
    };
    let raw = text.get(from..end)?;
    let value = match raw.as_bytes().first()? {
        b'{' => Value::Object(Object(raw)),
        b'[' => Value::Array(Array(raw)),
        b'"' => Value::Str(Str::of(raw)),
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'n' => Value::Null,
        _ => Value::Number(Number::of(raw)),
    };
    Some((value, end))
}

fn container_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string::end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

fn scalar_end(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let length = rest
        .iter()
        .take_while(|byte| !is_space(**byte) && !matches!(byte, b',' | b'}' | b']'))
        .count();
    from + length
}
